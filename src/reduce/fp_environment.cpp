#include "reduce/fp_environment.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace seaway {

#if defined(__x86_64__)

// All exceptions masked, no flag raised, round to nearest, FTZ and DAZ off: the register's value at reset.
constexpr unsigned kDefaultMxcsr = 0x1f80;

FpEnvironment::FpEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(kDefaultMxcsr); }
FpEnvironment::~FpEnvironment() { _mm_setcsr(static_cast<unsigned>(saved_)); }

#elif defined(__aarch64__)

// FPCR holds rounding, flushing and traps; all zero is IEEE 754's default. The flags (FPSR) only accumulate and change
// no result, but the caller's are given back too: the upper half of `saved_` keeps them.
FpEnvironment::FpEnvironment() {
  std::uint64_t control;
  std::uint64_t flags;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("mrs %0, fpsr" : "=r"(flags));
  saved_ = (flags << 32) | (control & 0xffffffffu);
  asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}) : "memory");
}
FpEnvironment::~FpEnvironment() {
  asm volatile("msr fpcr, %0" : : "r"(saved_ & 0xffffffffu) : "memory");
  asm volatile("msr fpsr, %0" : : "r"(saved_ >> 32) : "memory");
}

#else

FpEnvironment::FpEnvironment() {
  std::fegetenv(&saved_);
  std::fesetenv(FE_DFL_ENV);
}
FpEnvironment::~FpEnvironment() { std::fesetenv(&saved_); }

#endif

}  // namespace seaway
