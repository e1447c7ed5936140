// The floating-point environment of a kernel: round to nearest even, no flush-to-zero, no denormals-are-zero, no
// traps. Another library in the process may have left the thread in a different one.
#pragma once

#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <cfenv>
#endif

namespace seaway {

// Sets the environment and gives the caller's back, exception flags included.
// Out of line on purpose: a copy compiled for AVX2 must not be the one the linker keeps for everyone, and the
// compiler must not see through the change and move arithmetic across it.
class FpEnvironment {
 public:
  FpEnvironment();
  ~FpEnvironment();
  FpEnvironment(const FpEnvironment&) = delete;
  FpEnvironment& operator=(const FpEnvironment&) = delete;

 private:
#if defined(__x86_64__) || defined(__aarch64__)
  std::uint64_t saved_;
#else
  std::fenv_t saved_;
#endif
};

}  // namespace seaway
