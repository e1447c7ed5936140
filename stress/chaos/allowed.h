// What may come of the faults of an episode. Nobody else may be evicted than who is named here:
//
//   * who was silent for longer than `evict`, or at the end of an edge that was for longer than `stall`: may_go;
//   * the former has to, if the master was well: must_go;
//   * who was hindered for a shorter time, once: not. Twice, or while the master was hindered too: it may, for two short silences
//     one after the other are a long one, and nobody knows how they fell.
//
// That the master was hindered explains by itself that nobody goes.
#pragma once

#include <map>
#include <set>

#include "chaos/run.h"

namespace seaway::chaos {

class Allowed {
 public:
  explicit Allowed(Run& run) : run_(&run) {}

  void may_go(unsigned replica) { run_->excuse(replica); }
  void must_go(unsigned replica) {
    may_go(replica);
    must_go_.insert(replica);
  }
  void hinder(unsigned replica) {
    ++hindered_[replica];
    excuse();
  }
  void hinder_master() {
    master_was_hindered_ = true;
    excuse();
  }
  bool master_was_hindered() const { return master_was_hindered_; }

  // Everyone is back: a Violation when somebody was not evicted who had to be. Then a new episode begins.
  void settle(const std::string& episode);

 private:
  void excuse();

  Run* run_;
  std::set<unsigned> must_go_;
  std::map<unsigned, unsigned> hindered_;  // how often
  bool master_was_hindered_ = false;
};

}  // namespace seaway::chaos
