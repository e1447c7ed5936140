#include "sim/shared_state.h"

#include <cstring>

#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

using collective::OpKind;
using collective::Outcome;

namespace {

void scramble(std::vector<std::byte>& bytes, std::uint64_t by) {
  Random random(by);
  for (std::byte& byte : bytes) {
    byte ^= static_cast<std::byte>(random.next());
  }
}

}  // namespace

SharedState::SharedState(World& world, PeerProcess& peer) : world_(&world), peer_(&peer) {
  Random alike(world.options.seed + 404);  // what everybody registers
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t n = alike.between(1, 4); n > 0; --n) {
    sizes.push_back(alike.one_in(6) ? 0 : alike.between(1, 400));
  }
  Random own(peer.id());
  for (const std::uint64_t size : sizes) {
    tensors_.emplace_back(size);
    scramble(tensors_.back(), own.next());
  }
  leaves_ = state::cut_into_leaves(sizes, static_cast<std::uint32_t>(alike.between(20, 120)));
  staged_.resize(leaves_.size());
}

void SharedState::train(std::uint64_t update, bool strays, bool lags) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    scramble(tensors_[i], world_->options.seed + 31 * update + i);
  }
  revision_ = lags && update > 0 ? update - 1 : update;
  if (!peer_->core().is_synced()) {  // whatever a newcomer says
    revision_ = world_->random.below(update + 3);
  }
  if (strays && !tensors_.front().empty()) {
    tensors_.front()[world_->random.below(tensors_.front().size())] ^= std::byte{1};
  }
}

std::byte* SharedState::in_tensor(std::uint32_t leaf) {
  return tensors_[leaves_[leaf].tensor].data() + leaves_[leaf].offset;
}

std::vector<std::byte> SharedState::all_bytes() const {
  std::vector<std::byte> bytes;
  for (const auto& tensor : tensors_) {
    bytes.insert(bytes.end(), tensor.begin(), tensor.end());
  }
  return bytes;
}

void SharedState::sync(std::uint64_t update) {
  update_ = update;
  state::SyncConfig config;
  config.members = peer_->core().base();
  config.self = peer_->id();
  config.layout = 7;
  config.leaves = leaves_;
  config.synced = peer_->core().is_synced();
  config.revision = revision_;
  Random alike(world_->options.seed + update);
  config.group_bytes = alike.between(1, 300);
  config.groups_at_once = static_cast<std::uint32_t>(alike.between(1, 4));
  std::vector<Hash128> hashes;
  for (std::uint32_t leaf = 0; leaf < leaves_.size(); ++leaf) {
    hashes.push_back(hash128({in_tensor(leaf), leaves_[leaf].length}));
  }
  before_ = all_bytes();
  world_->checker.on_sync_begun(*peer_, update, {revision_, before_, config.synced});
  sync_ = std::make_unique<state::Sync>(std::move(config), std::move(hashes));
  sync_->reuse(staged_);
  post_next();
}

void SharedState::post_next() {
  while (const auto op = sync_->next()) {
    post(*op);
  }
}

void SharedState::post(const state::SyncOp& op) {
  const PlannedOp planned{peer_->site().lane, update_, kFirstSyncOp + op.id};
  std::vector<std::byte> input(op.bytes.begin(), op.bytes.end());
  for (const std::uint32_t leaf : op.leaves) {
    const std::byte* at = sync_->at(leaf) == state::Place::staging ? staging(leaf).data() : in_tensor(leaf);
    input.insert(input.end(), at, at + leaves_[leaf].length);
  }
  if (const auto handle = peer_->post(op.descriptor, planned, std::move(input))) {
    running_[*handle] = planned;
    ops_[*handle] = op;
  }
}

bool SharedState::ended(OpHandle handle, const collective::Result& result) {
  const auto it = ops_.find(handle);
  if (it == ops_.end()) {
    return false;
  }
  const state::SyncOp op = it->second;
  ops_.erase(it);
  running_.erase(handle);
  if (!sync_) {
    return true;  // another of its ops ended it: this incarnation is over
  }
  const collective::Descriptor& descriptor = op.descriptor;
  const bool lands_here =
      descriptor.kind == OpKind::broadcast && !descriptor.has_data && descriptor.root != peer_->id();
  const std::vector<std::byte>& bytes = lands_here ? peer_->output_of(handle) : peer_->input_of_op(handle);
  if (result.outcome == Outcome::committed && !op.bytes.empty()) {
    std::memcpy(op.bytes.data(), bytes.data(), op.bytes.size());
  }
  std::vector<Hash128> arrived;
  std::size_t at = 0;
  for (const std::uint32_t leaf : op.leaves) {
    if (lands_here) {
      const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      staging_[leaf].assign(from, from + leaves_[leaf].length);
      arrived.push_back(hash128(staging_[leaf]));
    }
    at += leaves_[leaf].length;
  }
  sync_->ended(op.id, result.outcome, result.reason, arrived);
  if (sync_->outcome()) {
    finish();
  } else {
    post_next();
  }
  return true;
}

void SharedState::finish() {
  const state::SyncOutcome outcome = *sync_->outcome();
  staged_ = sync_->staged();
  sync_.reset();
  if (all_bytes() != before_) {
    throw Violation("a state has changed before its sync was over");
  }
  if (outcome.outcome == Outcome::evicted || outcome.outcome == Outcome::undecided) {
    return;
  }
  if (outcome.outcome != Outcome::committed) {
    throw Violation("a state sync fails: " + outcome.reason);
  }
  for (const std::uint32_t leaf : outcome.staged) {
    std::memcpy(in_tensor(leaf), staging(leaf).data(), leaves_[leaf].length);
  }
  revision_ = outcome.revision;
  world_->checker.on_synced(*peer_, update_, {revision_, all_bytes(), true});
  peer_->synced(revision_);
}

}  // namespace seaway::sim
