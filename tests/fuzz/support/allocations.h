// operator new, watched: how many bytes a piece of code asks for, and one that fails when a fuzzer says so. Only what the
// thread does while a Watch lives is counted. A program that uses it has these operators instead of the library's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seaway::fuzz {

class Watch {
 public:
  // The `fail_at`-th allocation throws bad_alloc, counted from 1; 0: none does.
  explicit Watch(std::uint64_t fail_at = 0);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  std::size_t bytes() const;  // asked for in all, given back or not
  bool has_failed() const;    // the one that was to fail has
};

}  // namespace seaway::fuzz
