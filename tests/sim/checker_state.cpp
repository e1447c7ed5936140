// Promise 10: what a state sync ends with is one member's state, everywhere.
#include <algorithm>

#include "base/mark.h"
#include "sim/checker.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

void Checker::on_sync_begun(const PeerProcess& peer, std::uint64_t update, StateCopy copy) {
  syncs_[{run_of(peer.id()), peer.site().lane, peer.core().generation(), update}].before[peer.id()] = std::move(copy);
}

void Checker::on_synced(const PeerProcess& peer, std::uint64_t update, StateCopy copy) {
  synced_at_ = std::min(synced_at_, world_->clock.now());
  SyncHistory& history = syncs_[{run_of(peer.id()), peer.site().lane, peer.core().generation(), update}];
  const std::string which = "the state sync of update " + std::to_string(update);
  for (const auto& [other, theirs] : history.after) {
    const bool promised = world_->remembers() || (is_live_member(other) && is_live_member(peer.id()));
    if (promised && !theirs.same_as(copy)) {
      throw Violation("promise 10: two members end " + which + " with different states");
    }
  }
  bool somebody_had_it = false;
  bool somebody_synced_had_it = false;
  bool somebody_was_synced = false;
  for (const auto& [other, theirs] : history.before) {
    somebody_had_it = somebody_had_it || theirs.same_as(copy);
    somebody_synced_had_it = somebody_synced_had_it || (theirs.synced && theirs.same_as(copy));
    if (theirs.synced && is_live_member(other) && world_->remembers()) {
      somebody_was_synced = true;
      if (theirs.revision > copy.revision) {
        throw Violation("promise 10: " + which + " goes back behind the revision of a member");
      }
    }
  }
  if (!somebody_had_it || (somebody_was_synced && !somebody_synced_had_it)) {
    throw Violation("promise 10: the result of " + which + " is nobody's state, or a newcomer's");
  }
  if (history.before.at(peer.id()).same_as(copy)) {
    SEAWAY_MARK("sim: a member has the elected state");
  } else {
    SEAWAY_MARK("sim: a member gets the elected state");
  }
  history.after[peer.id()] = std::move(copy);
}

}  // namespace seaway::sim
