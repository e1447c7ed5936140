// Broken invariants. Bad input is an error value, a broken invariant is `SEAWAY_ASSERT`; the two never mix.
//
// The assertion is on in every build. It throws: the library must not end its host process, so the entry of each
// runtime thread and each C call catches `InvariantError` and turns that one communicator to INTERNAL. The master
// binary and the tests let it end them.
#pragma once

#include <stdexcept>

namespace seaway {

class InvariantError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void invariant_broken(const char* condition, const char* what, const char* file, int line);

}  // namespace seaway

// `what` says in words which rule was broken, so that the text alone helps whoever reads it in a bug report.
#define SEAWAY_ASSERT(condition, what) \
  ((condition) ? static_cast<void>(0) : ::seaway::invariant_broken(#condition, what, __FILE__, __LINE__))
