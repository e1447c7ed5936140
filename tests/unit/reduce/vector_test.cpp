// lincomb, sqnorm and outer_step: answers worked out by hand, and every variant against math.h at every small size.
#include "reduce/vector.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/assert.h"
#include "operands.h"
#include "reduce/math.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace seaway {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<const VectorKernels*> runnable() {
  std::vector<const VectorKernels*> kernels{&scalar_vector_kernels()};
#if defined(__x86_64__)
  if (avx2_vector_kernels() != nullptr && __builtin_cpu_supports("avx2") != 0) kernels.push_back(avx2_vector_kernels());
  if (avx512_vector_kernels() != nullptr && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0) {
    kernels.push_back(avx512_vector_kernels());
  }
#endif
  return kernels;
}

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

// Wide enough that each path of a kernel takes part.
std::vector<float> many(float value) { return std::vector<float>(77, value); }

TEST_CASE("vector: lincomb goes from the first term to the last and rounds each product") {
  for (const VectorKernels* k : runnable()) {
    CAPTURE(k->name);
    const std::vector<float> big = many(0x1p24f);
    const std::vector<float> one = many(1);
    std::vector<float> y = many(0);
    const std::vector<Term> falling{{big.data(), 1}, {one.data(), 1}, {one.data(), 1}};
    k->lincomb({y.data(), falling, y.size()});
    CHECK(y == big);
    const std::vector<Term> rising{{one.data(), 2}, {big.data(), 1}};
    k->lincomb({y.data(), rising, y.size()});
    CHECK(y == many(0x1p24f + 2));
    // (1 + 2^-12)^2 rounds to 1 + 2^-11. A fused multiply-add would leave 2^-24.
    const std::vector<float> x = many(1.0f + 0x1p-12f);
    y = many(1.0f + 0x1p-11f);
    const std::vector<Term> tie{{y.data(), -1}, {x.data(), x[0]}};
    k->lincomb({y.data(), tie, y.size()});
    CHECK(y == many(0));
    const std::vector<float> nan = many(-kNan);
    const std::vector<Term> nothing{{one.data(), 1}, {nan.data(), 0}};
    k->lincomb({y.data(), nothing, y.size()});
    for (float value : y) CHECK(bits(value) == 0x7fc00000u);
    CHECK_THROWS_AS(k->lincomb({y.data(), {}, y.size()}), InvariantError);
  }
}

TEST_CASE("vector: sqnorm adds up as its tree says, in f64") {
  for (const VectorKernels* k : runnable()) {
    CAPTURE(k->name);
    CHECK(k->sqnorm(nullptr, 0) == 0);
    const std::vector<float> x{3, -4, 12};
    CHECK(k->sqnorm(x.data(), 3) == 169);
    const float far[] = {0x1p127f, 0x1p-140f};
    CHECK(k->sqnorm(far, 1) == 0x1p254);  // beyond f32, both ways
    CHECK(k->sqnorm(far + 1, 1) == 0x1p-280);
    // 2^54 in partial sum 0; ones in 1 and 33, which are 2 by then; in 16 a one that is added to 2^54 first and lost.
    std::vector<float> tree(64, 0.0f);
    tree[0] = 0x1p27f;
    tree[1] = tree[33] = tree[16] = 1;
    CHECK(k->sqnorm(tree.data(), 64) == 0x1p54);  // 2^54 + 2 is a tie that goes back
    tree[3] = tree[5] = 1;                        // with 1 and 33 four of them now meet 2^54 together
    CHECK(k->sqnorm(tree.data(), 64) == 0x1p54 + 4);
    CHECK(k->sqnorm(many(kInf).data(), 77) == static_cast<double>(kInf));
    CHECK(std::bit_cast<std::uint64_t>(k->sqnorm(many(-kNan).data(), 77)) == 0x7ff8000000000000u);
  }
}

TEST_CASE("vector: the outer step has the known answers of SGD, heavy ball and Nesterov") {
  const float gradients[] = {.5f, .5f, -.25f};
  const double sgd[] = {.65, .3, .475};
  const double heavy_ball[] = {.65, -.015, -.4385};
  const double nesterov[] = {.335, -.6135, -.81965};
  const double buf_of_nesterov[] = {.5, .95, .605};
  for (const VectorKernels* k : runnable()) {
    CAPTURE(k->name);
    struct Form {
      float momentum;
      bool nesterov;
      const double* theta;
    };
    for (const Form& form : {Form{0, false, sgd}, Form{.9f, false, heavy_ball}, Form{.9f, true, nesterov}}) {
      std::vector<float> theta = many(1);
      std::vector<float> buf = many(0);
      for (std::size_t round = 0; round < 3; ++round) {
        const std::vector<float> gradient = many(gradients[round]);
        k->outer_step({theta.data(), buf.data(), gradient.data(), theta.size(), .7f, form.momentum, form.nesterov});
        CHECK(theta == many(theta[0]));
        CHECK(static_cast<double>(theta[0]) == doctest::Approx(form.theta[round]).epsilon(1e-6));
        if (form.nesterov) CHECK(static_cast<double>(buf[0]) == doctest::Approx(buf_of_nesterov[round]).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("vector: f64 is the same definition, in any environment") {
  const double gradients[] = {.5, .5, -.25};
  for (const bool nesterov : {false, true}) {
    std::vector<double> theta(9, 1.0);
    std::vector<double> buf(9, 0.0);
    double expected[3] = {};
    double expected_buf[3] = {};
    for (std::size_t round = 0; round < 3; ++round) {
      const double last_buf = round > 0 ? expected_buf[round - 1] : 0;
      const double last = round > 0 ? expected[round - 1] : 1;
      expected_buf[round] = .9 * last_buf + gradients[round];
      expected[round] = last - .7 * (nesterov ? .9 * expected_buf[round] + gradients[round] : expected_buf[round]);
    }
    for (std::size_t round = 0; round < 3; ++round) {
      const std::vector<double> gradient(9, gradients[round]);
#if defined(__x86_64__)
      const unsigned mine = _mm_getcsr();
      _mm_setcsr(mine | 0x6000u);  // towards zero
#endif
      outer_step_f64({theta.data(), buf.data(), gradient.data(), theta.size(), .7, .9, nesterov});
#if defined(__x86_64__)
      CHECK(_mm_getcsr() == (mine | 0x6000u));
      _mm_setcsr(mine);
#endif
      CHECK(theta == std::vector<double>(9, expected[round]));
      CHECK(buf == std::vector<double>(9, expected_buf[round]));
    }
  }
  const std::vector<double> big(9, 0x1p53);
  const std::vector<double> one(9, 1.0);
  std::vector<double> sum(9);
  const std::vector<TermOf<double>> falling{{big.data(), 1}, {one.data(), 1}, {one.data(), 1}};
  lincomb_f64({sum.data(), falling, sum.size()});
  CHECK(sum == big);
  const std::vector<TermOf<double>> rising{{one.data(), 2}, {big.data(), 1}};
  lincomb_f64({sum.data(), rising, sum.size()});
  CHECK(sum == std::vector<double>(9, 0x1p53 + 2));
  // A NaN with a payload becomes the canonical one.
  const std::vector<double> odd(9, std::bit_cast<double>(0xfff8000000001234u));
  const std::vector<TermOf<double>> zero_times{{odd.data(), 0}};
  lincomb_f64({sum.data(), zero_times, sum.size()});
  CHECK(std::bit_cast<std::uint64_t>(sum[8]) == 0x7ff8000000000000u);
  CHECK_THROWS_AS(lincomb_f64({sum.data(), {}, sum.size()}), InvariantError);
}

std::vector<float> draw(std::size_t count, Random& random) {
  Buffer buffer(count * 4, 0);
  fill(buffer, DType::f32, kAllContents[random.below(std::size(kAllContents))], random);
  std::vector<float> out(count);
  if (count > 0) std::memcpy(out.data(), buffer.data(), count * 4);
  return out;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) { return bits(x) == bits(y); });
}

// One element after the other; the sums of the blocks.
std::vector<double> sums_reference(const std::vector<float>& x) {
  std::vector<std::vector<double>> blocks;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 16384 == 0) blocks.emplace_back(32, 0.0);
    blocks.back()[i % 32] += math::square(x[i]);
  }
  std::vector<double> sums;
  for (std::vector<double>& partial : blocks) {
    for (std::size_t half = 16; half > 0; half /= 2) {
      for (std::size_t j = 0; j < half; ++j) partial[j] += partial[j + half];
    }
    sums.push_back(partial[0]);
  }
  return sums;
}

double sqnorm_reference(const std::vector<float>& x) {
  double sum = 0;
  for (const double each : sums_reference(x)) sum += each;
  return std::isnan(sum) ? std::numeric_limits<double>::quiet_NaN() : sum;
}

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

void check_all(std::size_t count, unsigned environment, Random& random) {
  const std::vector<std::vector<float>> x{draw(count, random), draw(count, random), draw(count, random)};
  const float factors[] = {1.0f / 3, -2.5f, 1e-40f};
  std::vector<float> sum(count), theta(count), buf(count);
  const bool nesterov = random.one_in(2);
  for (std::size_t i = 0; i < count; ++i) {
    const float two = math::product(factors[0], x[0][i]) + math::product(factors[1], x[1][i]);
    sum[i] = math::canonical(two + math::product(factors[2], x[2][i]));
    const math::OuterState next = math::outer_step({x[0][i], x[1][i]}, x[2][i], .7f, .9f, nesterov);
    theta[i] = next.theta;
    buf[i] = next.buf;
  }
  const double norm = sqnorm_reference(x[0]);
  for (const VectorKernels* k : runnable()) {
    INFO(k->name << ", " << count << " elements, environment " << environment);
    std::vector<std::vector<float>> y = x;
    std::vector<float> got(count);
    const std::vector<Term> terms{{x[0].data(), factors[0]}, {x[1].data(), factors[1]}, {x[2].data(), factors[2]}};
#if defined(__x86_64__)
    const unsigned mine = _mm_getcsr();
    _mm_setcsr(environment);
#endif
    k->lincomb({got.data(), terms, count});
    const double got_norm = k->sqnorm(x[0].data(), count);
    k->outer_step({y[0].data(), y[1].data(), y[2].data(), count, .7f, .9f, nesterov});
#if defined(__x86_64__)
    const unsigned left = _mm_getcsr();
    _mm_setcsr(mine);
    CHECK(left == environment);
#endif
    CHECK(same(got, sum));
    CHECK(bits(got_norm) == bits(norm));
    CHECK(same(y[0], theta));
    CHECK(same(y[1], buf));
    CHECK(same(y[2], x[2]));
  }
}

TEST_CASE("vector: every variant gives the bits of math.h, in any floating-point environment") {
  Random random(51);
  // The usual one; flush to zero and denormals are zero; rounding up; everything would trap.
  for (unsigned environment : {0x1f80u, 0x9fc0u, 0x5f80u, 0u}) {
    for (std::size_t count = 0; count <= 100; ++count) check_all(count, environment, random);
    for (int round = 0; round < 10; ++round) check_all(random.between(101, 3000), environment, random);
  }
}

TEST_CASE("vector: sqnorm is that of blocks of 16384 elements, one after the other") {
  constexpr std::size_t kBlock = 16384;
  static_assert(math::kSquaresBlock == kBlock);
  Random random(52);
  for (const std::size_t count : {kBlock - 1, kBlock, kBlock + 1, kBlock + 33, 2 * kBlock, 3 * kBlock + 77}) {
    for (int round = 0; round < 4; ++round) check_all(count, round % 2 == 0 ? 0x1f80u : 0x5f80u, random);
    const std::vector<float> x = draw(count, random);
    CHECK(bits(sqnorm_of_blocks(sums_reference(x))) == bits(sqnorm_reference(x)));
  }
  for (const VectorKernels* k : runnable()) {
    CAPTURE(k->name);
    // 2^54 in the first block, two ones in each of two others: that is a tie twice. Added up first they would be more than that.
    std::vector<float> x(2 * kBlock + 2, 0.0f);
    x[0] = 0x1p27f;
    x[kBlock] = x[kBlock + 1] = x[2 * kBlock] = x[2 * kBlock + 1] = 1;
    CHECK(k->sqnorm(x.data(), x.size()) == 0x1p54);
    CHECK(k->sqnorm(x.data() + 1, x.size() - 1) == 4);
  }
  CHECK(sqnorm_of_blocks({}) == 0);
}

TEST_CASE("vector: variants by name") {
  CHECK(vector_kernels_by_name("scalar") == &scalar_vector_kernels());
  CHECK(vector_kernels_by_name("avx2") == avx2_vector_kernels());
  CHECK(vector_kernels_by_name("avx512") == avx512_vector_kernels());
  CHECK(vector_kernels_by_name("avx") == nullptr);
}

}  // namespace
}  // namespace seaway
