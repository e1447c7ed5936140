// Another library may have turned on flush-to-zero, another rounding or traps. Results must not change, and the
// caller's environment must not either.
#include <doctest/doctest.h>

#if defined(__x86_64__)

#include <xmmintrin.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "operands.h"
#include "reduce/fp_environment.h"
#include "reduce/reduce.h"

namespace seaway {
namespace {

constexpr unsigned kDefault = 0x1f80;
constexpr unsigned kFlushToZero = 0x8000;
constexpr unsigned kDenormalsAreZero = 0x0040;
constexpr unsigned kRoundDown = 0x2000;
constexpr unsigned kRoundUp = 0x4000;
constexpr unsigned kRoundToZero = 0x6000;
constexpr unsigned kFlags = 0x003f;
constexpr unsigned kTrapMasks = 0x1f80;

constexpr unsigned kEnvironments[] = {kDefault | kFlushToZero | kDenormalsAreZero,
                                      kDefault | kFlushToZero,
                                      kDefault | kDenormalsAreZero,
                                      kDefault | kRoundDown,
                                      kDefault | kRoundUp | kFlushToZero,
                                      kDefault | kRoundToZero,
                                      kDefault | kFlags,
                                      kDefault & ~kTrapMasks};  // every exception would trap

// Calls the kernel in an environment; returns the one it left behind.
[[gnu::noinline]] unsigned call_in(unsigned environment, ReduceFunction kernel, const ReduceArgs& args) {
  const unsigned mine = _mm_getcsr();
  _mm_setcsr(environment);
  kernel(args);
  const unsigned left = _mm_getcsr();
  _mm_setcsr(mine);
  return left;
}

TEST_CASE("environment: the caller's neither changes a result nor is changed") {
  constexpr std::size_t kCount = 333;
  Random random(21);
  for (const Kernels* kernels : runnable_kernels()) {
    for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32}) {
      for (Reduction reduction : kAllReductions) {
        const ReduceFunction kernel = kernels->reduce(dtype, reduction);
        if (kernel == nullptr) continue;
        for (Content content : kAllContents) {
          std::vector<Buffer> operands(3, Buffer(kCount * size_of(dtype), 4));
          std::vector<Source> sources;
          for (Buffer& operand : operands) {
            fill(operand, dtype, content, random);
            // A third of a subnormal is one, and 1e-40 is a subnormal weight in f32.
            sources.push_back({operand.data(), sources.size() == 2 ? 1e-40 : 1.0 / 3.0});
          }
          Buffer right(kCount * size_of(dtype), 0);
          kernel({right.data(), sources, kCount, 2.0 / 3.0});
          for (unsigned environment : kEnvironments) {
            Buffer got(kCount * size_of(dtype), 0);
            const unsigned left = call_in(environment, kernel, {got.data(), sources, kCount, 2.0 / 3.0});
            CAPTURE(kernels->name);
            CAPTURE(name_of(dtype));
            CAPTURE(name_of(reduction));
            CAPTURE(environment);
            CHECK(left == environment);
            CHECK(std::memcmp(right.data(), got.data(), got.size()) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("environment: a subnormal sum survives a caller that flushes to zero") {
  const float least = std::bit_cast<float>(std::uint32_t{1});
  for (const Kernels* kernels : runnable_kernels()) {
    const Source sources[] = {{&least, 1}, {&least, 1}};
    float sum = 0;
    call_in(kDefault | kFlushToZero | kDenormalsAreZero, kernels->reduce(DType::f32, Reduction::sum),
            {&sum, sources, 1, 0});
    CHECK(std::bit_cast<std::uint32_t>(sum) == 2);
  }
}

TEST_CASE("environment: the guard sets the default inside and gives the caller's back") {
  const unsigned mine = _mm_getcsr();
  const unsigned odd = kDefault | kFlushToZero | kRoundUp | 0x0020;
  _mm_setcsr(odd);
  unsigned inside = 0;
  {
    const FpEnvironment environment;
    inside = _mm_getcsr();
  }
  const unsigned after = _mm_getcsr();
  _mm_setcsr(mine);
  CHECK(inside == kDefault);
  CHECK(after == odd);
}

}  // namespace
}  // namespace seaway

#endif
