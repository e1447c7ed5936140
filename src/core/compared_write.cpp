#include "core/compared_write.h"

#include <algorithm>

#include "base/mark.h"
#include "base/mutant.h"

namespace seaway::core {

Duration ComparedWrite::pause_after(unsigned failed) {
  constexpr Duration kFirst = 100 * kMillisecond;
  constexpr Duration kLongest = 2 * kSecond;
  constexpr unsigned kDoublings = 5;
  return std::min(kFirst << std::min(std::max(failed, 1u) - 1, kDoublings), kLongest);
}

bool ComparedWrite::on_replaced(Replaced replaced) {
  const bool written = replaced == Replaced::yes || MUTANT(unknown_write_counts, false, replaced == Replaced::unknown);
  next_ = written ? Next::done : Next::read;
  ok_ = written;
  failed_ += replaced == Replaced::unknown ? 1 : 0;
  return next_ == Next::read && replaced == Replaced::unknown;
}

bool ComparedWrite::on_read_failed() {
  ++failed_;
  return true;
}

void ComparedWrite::on_read(const std::optional<wire::StoredRun>& found) {
  if (Place::of(found) == expected_) {
    next_ = Next::replace;
    return;
  }
  next_ = Next::done;
  ok_ = found == record_;
  if (ok_) {
    SEAWAY_MARK("a write that seemed to fail was done");
  }
}

}  // namespace seaway::core
