#include "sim/store.h"

#include "base/assert.h"
#include "base/mark.h"
#include "sim/world.h"

namespace seaway::sim {

core::Replaced Store::replace_now(core::Place expected, const wire::StoredRun& record) {
  if (core::Place::of(record_) != expected) {
    return core::Replaced::other;
  }
  record_ = wire::decode_stored(wire::encode(record));  // bytes, as a real store keeps it
  SEAWAY_ASSERT(record_ == record, "a record outlives its master as it was written");
  return core::Replaced::yes;
}

core::Replaced Store::replace(core::Place expected, const wire::StoredRun& record) {
  constexpr Duration kLate = 3 * kSecond;
  if (world_->clock.now() < full_until_) {
    SEAWAY_MARK("sim: the store is full");
    return core::Replaced::unknown;
  }
  if (world_->clock.now() >= lies_until_ || world_->random.one_in(4)) {
    return replace_now(expected, record);
  }
  switch (world_->random.below(3)) {
    case 0:
      break;
    case 1:
      replace_now(expected, record);
      break;
    default:
      world_->clock.after(world_->up_to(kLate), [this, expected, record] {
        if (replace_now(expected, record) == core::Replaced::yes) {
          SEAWAY_MARK("sim: a write takes effect late");
        }
      });
      break;
  }
  return core::Replaced::unknown;
}

bool Store::read(std::optional<wire::StoredRun>& record) {
  if (world_->clock.now() < lies_until_ && world_->random.one_in(3)) {
    return false;
  }
  record = record_;
  return true;
}

}  // namespace seaway::sim
