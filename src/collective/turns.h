// Ops that may have something to send to one peer, in turn: those of the highest priority first, of one priority a frame each,
// so that a small op does not wait for a large one that was posted before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace seaway::collective {

class Turns {
 public:
  void add(std::int32_t priority, OpHandle op) { ops_.emplace(-std::int64_t{priority}, op); }

  // The first, from whose turn it is, that is `ready`; 0 if none is. Those that are `over` are forgotten on the way.
  template <class Ready, class Over>
  OpHandle next(Ready&& ready, Over&& over) {
    OpHandle found = 0;
    std::vector<Entry> gone;
    for (auto begin = ops_.begin(); begin != ops_.end() && found == 0;) {
      const auto end = ops_.lower_bound({begin->first + 1, 0});
      auto it = ops_.upper_bound(last_);
      const bool is_here = it != ops_.end() && it->first == begin->first;
      it = is_here ? it : begin;
      const auto first = it;
      do {
        if (ready(it->second)) {
          found = it->second;
          last_ = *it;
          break;
        }
        if (over(it->second)) {
          gone.push_back(*it);
        }
        it = ++it == end ? begin : it;
      } while (it != first);
      begin = end;
    }
    for (const Entry& entry : gone) {
      ops_.erase(entry);
    }
    return found;
  }

  template <class Ready>
  bool any(Ready&& ready) const {
    return std::any_of(ops_.begin(), ops_.end(), [&](const Entry& entry) { return ready(entry.second); });
  }

 private:
  using Entry = std::pair<std::int64_t, OpHandle>;  // the highest priority is the smallest
  std::set<Entry> ops_;
  Entry last_{0, 0};
};

}  // namespace seaway::collective
