#include "chaos/allowed.h"

namespace seaway::chaos {

void Allowed::excuse() {
  for (const auto& [replica, times] : hindered_) {
    if (times > 1 || master_was_hindered_) {
      run_->excuse(replica);
    }
  }
}

void Allowed::settle(const std::string& episode) {
  for (const unsigned replica : must_go_) {
    if (!master_was_hindered_ && !run_->was_evicted(replica)) {
      throw Violation(name_of(replica) + " was gone for long and not evicted: " + episode);
    }
  }
  must_go_.clear();
  hindered_.clear();
  master_was_hindered_ = false;
}

}  // namespace seaway::chaos
