// Coverage marks. `SEAWAY_MARK("name")` stands in a branch that is rare and matters; in the product it is nothing. In
// the simulator's build (SEAWAY_MARKS) it counts, so that a campaign can say which rare branches its seeds reached, and
// which never. A name is registered before `main`, whether or not its branch is ever taken; one name may mark several
// places.
//
// Nothing here is thread-safe: the simulator has one thread.
#pragma once

#ifdef SEAWAY_MARKS

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace seaway {

struct Mark {
  explicit Mark(const char* mark_name);  // enters the registry, for ever
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  const char* name;
  std::uint64_t count = 0;
  Mark* next;
};

// Every mark linked into this program and how often it was reached since the last reset, ordered by name.
std::map<std::string, std::uint64_t> mark_counts();
void reset_marks();

// A string literal as a template argument, so that each name has one static Mark.
template <std::size_t N>
struct MarkName {
  char text[N];
  constexpr MarkName(const char (&literal)[N]) {  // NOLINT(google-explicit-constructor): that is its purpose
    for (std::size_t i = 0; i < N; ++i) {
      text[i] = literal[i];
    }
  }
};
template <MarkName Name>
struct MarkOf {
  static constexpr MarkName kName = Name;
  static inline Mark mark{kName.text};
};

}  // namespace seaway

#define SEAWAY_MARK(name) static_cast<void>(++::seaway::MarkOf<name>::mark.count)

#else

#define SEAWAY_MARK(name) static_cast<void>(0)

#endif
