// What has to hold whatever the bytes are. Ends the program, which is how libFuzzer hears of it, and says where.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace seaway::fuzz {

[[noreturn]] inline void broken(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what);
  std::abort();
}

}  // namespace seaway::fuzz

#define FUZZ_REQUIRE(condition, what) \
  ((condition) ? static_cast<void>(0) : ::seaway::fuzz::broken(what, __FILE__, __LINE__))
