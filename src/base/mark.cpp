#include "base/mark.h"

#ifdef SEAWAY_MARKS

namespace seaway {
namespace {
// Constant-initialised, so it is ready before the first static Mark registers.
constinit Mark* first_mark = nullptr;
}  // namespace

Mark::Mark(const char* mark_name) : name(mark_name), next(first_mark) { first_mark = this; }

std::map<std::string, std::uint64_t> mark_counts() {
  std::map<std::string, std::uint64_t> counts;
  for (const Mark* mark = first_mark; mark != nullptr; mark = mark->next) {
    counts[mark->name] = mark->count;
  }
  return counts;
}

void reset_marks() {
  for (Mark* mark = first_mark; mark != nullptr; mark = mark->next) {
    mark->count = 0;
  }
}

}  // namespace seaway

#endif
