// The master's store, and how real ones lie. It outlives every master. Writes are compared, and take effect whether or not their
// author still lives.
//
// | while it  | a write                                                                     | a read              |
// |-----------|-----------------------------------------------------------------------------|---------------------|
// | is well   | is done or finds another record                                             | tells               |
// | lies      | may end as unknown: done, not done, or done up to 3 s later                 | fails now and then  |
// | is full   | ends as unknown and is not done                                             | tells               |
#pragma once

#include <optional>

#include "core/compared_write.h"

namespace seaway::sim {

class World;

class Store {
 public:
  explicit Store(World& world) : world_(&world) {}

  core::Replaced replace(core::Place expected, const wire::StoredRun& record);
  // False: it could not be read.
  bool read(std::optional<wire::StoredRun>& record);

  const std::optional<wire::StoredRun>& record() const { return record_; }
  void lie_until(Time until) { lies_until_ = until; }
  void be_full_until(Time until) { full_until_ = until; }
  void heal() { lies_until_ = full_until_ = 0; }
  // The disk is gone with all that it held, or its file was damaged and moved away.
  void lose() {
    record_.reset();
    lost_ = true;
  }
  // An older copy is put in its place.
  void go_back() {
    record_ = copy_;
    lost_ = true;
  }
  void copy() { copy_ = record_; }
  bool was_lost() const { return lost_; }

 private:
  core::Replaced replace_now(core::Place expected, const wire::StoredRun& record);

  World* world_;
  std::optional<wire::StoredRun> record_;
  std::optional<wire::StoredRun> copy_;
  Time lies_until_ = 0;
  Time full_until_ = 0;
  bool lost_ = false;
};

}  // namespace seaway::sim
