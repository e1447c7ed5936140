// The shared state of one trainer's process, and its syncs as the runtime drives them: tensors, staging memory, ops.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "sim/program.h"
#include "state/sync.h"

namespace seaway::sim {

class SharedState {
 public:
  SharedState(World& world, PeerProcess& peer);

  // What the steps up to this update do to it: the same at everybody who had the same, but for one who strays.
  void train(std::uint64_t update, bool strays, bool lags);
  // Ends in Program::synced, or with this incarnation.
  void sync(std::uint64_t update);
  // True: it was an op of the sync.
  bool ended(OpHandle op, const collective::Result& result);
  const std::map<OpHandle, PlannedOp>& running() const { return running_; }
  std::string where() const { return sync_ ? ", in a state sync: " + sync_->where() : ""; }

 private:
  void post_next();
  void post(const state::SyncOp& op);
  void finish();
  std::byte* in_tensor(std::uint32_t leaf);
  std::vector<std::byte>& staging(std::uint32_t leaf) { return staging_.at(leaf); }
  std::vector<std::byte> all_bytes() const;

  World* world_;
  PeerProcess* peer_;
  std::vector<std::vector<std::byte>> tensors_;
  std::vector<state::Leaf> leaves_;
  std::uint64_t revision_ = 0;
  std::map<std::uint32_t, std::vector<std::byte>> staging_;
  std::vector<std::optional<Hash128>> staged_;  // kept from sync to sync

  std::uint64_t update_ = 0;
  std::unique_ptr<state::Sync> sync_;
  std::map<OpHandle, PlannedOp> running_;
  std::map<OpHandle, state::SyncOp> ops_;
  std::vector<std::byte> before_;  // all bytes when the sync began
};

}  // namespace seaway::sim
