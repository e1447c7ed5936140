// What the codecs do to numbers: stochastic rounding is right on average, error feedback in the long run, and an all-reduce
// that is quantised twice stays close to the sum.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "codec/math.h"
#include "operands.h"

namespace seaway {
namespace {

TEST_CASE("codec: Philox4x32-10 has the answers of Random123's kat_vectors") {
  const auto words = [](const math::Philox& counter, std::uint64_t key) {
    const math::Philox out = math::philox(counter, key);
    return std::array<std::uint32_t, 4>{out.word[0], out.word[1], out.word[2], out.word[3]};
  };
  using Words = std::array<std::uint32_t, 4>;
  CHECK(words({{0, 0, 0, 0}}, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(words({{~0u, ~0u, ~0u, ~0u}}, ~std::uint64_t{0}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("codec: each bit of the draws is set half of the time, and draws of one place in a group differ") {
  std::array<int, 16> set{};
  constexpr std::size_t kDraws = 40000;
  std::size_t repeated = 0;
  for (std::size_t i = 0; i < kDraws; ++i) {
    const std::uint32_t draw = math::draw_of(i, 7, 9);
    for (std::size_t bit = 0; bit < 16; ++bit) set[bit] += static_cast<int>((draw >> bit) & 1);
    repeated += draw == math::draw_of(i + 128, 7, 9);
    repeated += draw == math::draw_of(i + 16, 7, 9);
    repeated += draw == math::draw_of(i, 8, 9);
    repeated += draw == math::draw_of(i, 7, 10);
  }
  for (int count : set) CHECK(std::abs(count - 20000) < 5 * 100);  // five standard deviations
  CHECK(repeated < 20);                                            // 2.4 in the mean
}

// The mean of what `value` decodes to, over 2^20 draws, in a block whose largest is 127 (q8) or 7 (q4): steps of 1.
double mean_of(const CodecKernels& kernels, Codec codec, float value) {
  std::vector<float> x(1024, value);
  for (std::size_t i = 0; i < x.size(); i += 32) x[i] = codec == Codec::q8 ? 127.0f : 7.0f;
  double sum = 0;
  double count = 0;
  for (std::uint64_t key = 0; key < 1024; ++key) {
    const auto encoded = encode(kernels, codec, x, nullptr, Rounding::stochastic, key, 5);
    const std::vector<float> y = decode(kernels, codec, encoded, x.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (i % 32 == 0) continue;
      sum += static_cast<double>(y[i]);
      count += 1;
    }
  }
  return sum / count;
}

TEST_CASE("codec: stochastic rounding is right on average") {
  // The standard deviation of the mean is at most .5 / 2^10 steps; five of them, where rounding to nearest would be off by
  // .2 steps or more.
  const CodecKernels& kernels = *runnable_codec_kernels().back();
  for (float value : {.3f, -.3f, 2.75f, -5.2f, .001f}) {
    for (Codec codec : {Codec::q8, Codec::q4}) {
      CAPTURE(name_of(codec));
      CHECK(std::abs(mean_of(kernels, codec, value) - static_cast<double>(value)) < 5 * .5 / 1024);
    }
  }
  for (float value : {1 + .3f / 128, -(3 + .8f / 64)}) {  // 1 and 3 and part of the way to the next bf16
    const double step = value > 0 ? 1.0 / 128 : 1.0 / 64;
    CHECK(std::abs(mean_of(kernels, Codec::bf16, value) - static_cast<double>(value)) < 5 * .5 / 1024 * step);
  }
}

TEST_CASE("codec: stochastic rounding leaves alone what a code can say, and repeats by key and stream") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    std::vector<float> x(500);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(static_cast<int>(i % 255) - 127);
    x[256] = 127;  // the second block's scale is 1 too
    const auto draw = [&](const std::vector<float>& from, std::uint64_t key, std::uint64_t stream) {
      return encode(*k, Codec::q8, from, nullptr, Rounding::stochastic, key, stream);
    };
    CHECK(draw(x, 1, 2) == encode(*k, Codec::q8, x));
    for (float& element : x) element *= .77f;
    CHECK(draw(x, 1, 2) == draw(x, 1, 2));
    CHECK(draw(x, 1, 2) != draw(x, 1, 3));
    CHECK(draw(x, 1, 2) != draw(x, 2, 2));
    CHECK(draw(x, 1, 2) != draw(x, 1 + (std::uint64_t{1} << 32), 2));
    CHECK(draw(x, 1, 2) != draw(x, 1, 2 + (std::uint64_t{1} << 32)));
  }
}

TEST_CASE("codec: with error feedback nothing is lost in the long run") {
  Random random(45);
  std::vector<float> x(1000);
  for (float& element : x) element = static_cast<float>(static_cast<double>(random.below(2'000'001)) * 1e-6 - 1);
  constexpr int kRounds = 200;
  for (const CodecKernels* k : runnable_codec_kernels()) {
    for (Codec codec : kEncodings) {
      for (Rounding rounding : {Rounding::nearest, Rounding::stochastic}) {
        std::vector<float> residual(x.size(), 0.0f);
        std::vector<double> sent(x.size(), 0.0);
        std::vector<double> sent_without(x.size(), 0.0);
        for (int round = 0; round < kRounds; ++round) {
          const std::uint64_t key = static_cast<std::uint64_t>(round);
          const std::vector<float> y = decode(*k, codec, encode(*k, codec, x, &residual, rounding, key), x.size());
          const std::vector<float> z = decode(*k, codec, encode(*k, codec, x, nullptr, rounding, key), x.size());
          for (std::size_t i = 0; i < x.size(); ++i) {
            sent[i] += static_cast<double>(y[i]);
            sent_without[i] += static_cast<double>(z[i]);
          }
        }
        double off = 0;
        double off_without = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          off = std::max(off, std::abs(sent[i] / kRounds - static_cast<double>(x[i])));
          off_without = std::max(off_without, std::abs(sent_without[i] / kRounds - static_cast<double>(x[i])));
        }
        // What is missing is the last residual: at most a step, of a block whose largest is 1 and a little.
        const double step = codec == Codec::q4 ? 1.0 / 6 : codec == Codec::q8 ? 1.0 / 126 : 1.0 / 256;
        CAPTURE(name_of(codec));
        CHECK(off <= 1.2 * step / kRounds);
        CHECK(off_without > 4 * off);
      }
    }
  }
}

// --- an all-reduce: every input quantised, summed in f32 in roster order, the result quantised ---

double uniform(Random& random) { return (static_cast<double>(random.next() >> 11) + .5) * 0x1p-53; }

double laplace(Random& random) {
  const double magnitude = -std::log(uniform(random));
  return random.one_in(2) ? magnitude : -magnitude;
}

// A normal number by a square root of a sum of four squares: Student's t with four degrees of freedom.
double normal(Random& random) {
  return std::sqrt(-2 * std::log(uniform(random))) * std::cos(6.283185307179586 * uniform(random));
}
double student_t4(Random& random) {
  double squares = 0;
  for (int i = 0; i < 4; ++i) squares += std::pow(normal(random), 2);
  return normal(random) / std::sqrt(squares / 4);
}

using Contributions = std::vector<std::vector<float>>;

// Like gradients: 32 tensors of 4096 elements, whose sizes span six orders of magnitude, Laplace within a tensor (its tails
// fall as exp(-|x|), not as exp(-x^2)); half of each member's variance is what all have in common.
Contributions gradients(std::size_t members, Random& random) {
  Contributions out(members, std::vector<float>(32 * 4096));
  for (std::size_t tensor = 0; tensor < 32; ++tensor) {
    const double size = std::pow(10, -6 * uniform(random));
    for (std::size_t i = tensor * 4096; i < (tensor + 1) * 4096; ++i) {
      const double common = laplace(random);
      for (auto& member : out) member[i] = static_cast<float>(size * (common + laplace(random)));
    }
  }
  return out;
}

// The members have nothing in common.
template <class Draw>
Contributions independent(std::size_t members, Random& random, Draw draw) {
  Contributions out(members, std::vector<float>(32 * 4096));
  for (auto& member : out) {
    for (float& element : member) element = static_cast<float>(draw(random));
  }
  return out;
}

// ||y_hat - y|| / ||y||, y being the sum in double.
double all_reduce_error(Codec codec, const Contributions& inputs) {
  const CodecKernels& kernels = *runnable_codec_kernels().back();
  const std::size_t count = inputs[0].size();
  std::vector<std::vector<std::byte>> encoded;
  std::vector<EncodedSource> sources;
  for (const auto& input : inputs) encoded.push_back(encode(kernels, codec, input));
  for (const auto& bytes : encoded) sources.push_back({bytes.data(), codec, 1});
  std::vector<float> sum(count);
  kernels.sum({sum.data(), sources, whole(count), 0});
  const std::vector<float> result = decode(kernels, codec, encode(kernels, codec, sum), count);
  double wrong = 0;
  double right = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double exact = 0;
    for (const auto& input : inputs) exact += static_cast<double>(input[i]);
    wrong += std::pow(static_cast<double>(result[i]) - exact, 2);
    right += exact * exact;
  }
  return std::sqrt(wrong / right);
}

TEST_CASE("codec: an all-reduce in q8 is within .012 of the sum, for gradients") {
  for (std::size_t members : {4u, 8u, 32u}) {
    Random random(46);
    const Contributions inputs = gradients(members, random);
    const double q8 = all_reduce_error(Codec::q8, inputs);
    MESSAGE(members << " members: q8 " << q8 << ", q4 " << all_reduce_error(Codec::q4, inputs) << ", bf16 "
                    << all_reduce_error(Codec::bf16, inputs));
    CHECK(q8 <= .012);
    CHECK(q8 > .004);  // as far as it gets with 8 bits: a smaller error would not be this codec's
    CHECK(all_reduce_error(Codec::bf16, inputs) <= .0035);
    CHECK(all_reduce_error(Codec::q4, inputs) <= .16);
  }
}

// What decides is how much larger a block's largest is than its usual element. Worse than gradients, and by how much:
TEST_CASE("codec: an all-reduce in q8 of members that have nothing in common") {
  for (std::size_t members : {4u, 8u, 32u}) {
    Random random(47);
    const double of_laplace = all_reduce_error(Codec::q8, independent(members, random, laplace));
    const double of_t4 = all_reduce_error(Codec::q8, independent(members, random, student_t4));
    MESSAGE(members << " members: Laplace " << of_laplace << ", Student's t of 4 " << of_t4);
    CHECK(of_laplace <= .0135);
    CHECK(of_t4 <= .019);
  }
}

}  // namespace
}  // namespace seaway
