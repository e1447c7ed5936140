// The shared state of a run: named tensors that a sync makes the same on every member. Drives state::Sync over a
// communicator, in the caller's thread: ops are started and waited for like anybody's, hashes are computed meanwhile. Tensors may
// lie on a GPU, all on one: leaves are hashed there, and those that travel are copied from and to it.
//
// Not thread-safe: the caller allows one call at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "runtime/communicator.h"
#include "runtime/device_tensors.h"
#include "state/sync.h"

namespace seaway::runtime {

struct SyncReport {
  std::uint64_t revision = 0;
  Hash128 digest;
  std::vector<PeerId> donors;  // who had the state that all have now
  std::uint32_t rounds = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_changed = 0;  // of mine
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  double seconds = 0;
};

class SharedState {
 public:
  explicit SharedState(std::shared_ptr<Communicator> communicator);

  // Registers a tensor, or says where one of this name, dtype and count lies now.
  Error add(const std::string& name, DType dtype, std::uint64_t count, std::byte* data, int device);

  // On which GPU tensors lie; kHost: on none. An error if on several.
  Error find_device(int& device) const;

  // Status::ok and a report; pending: call it again with the same arguments; or an error, after which nothing has changed. `mark`: when
  // tensors on a GPU are written; null if there are none.
  Error sync(std::uint64_t revision, state::Role role, const device::Mark* mark, double timeout, SyncReport& report);
  bool is_unfinished() const { return sync_ != nullptr; }

 private:
  struct Tensor {
    std::string name;
    DType dtype = DType::f32;
    std::uint64_t count = 0;
    std::byte* data = nullptr;
    int device = device::kHost;
    std::uint64_t bytes() const { return count * size_of(dtype); }
  };
  struct Running {
    state::SyncOp op;
    OperationPtr operation;
    std::vector<std::unique_ptr<std::byte[]>> fetched;  // leaves that are sent from a GPU
  };
  using Staging = std::vector<std::unique_ptr<std::byte[]>>;  // by leaf; null: nothing is there

  Error begin(std::uint64_t revision, state::Role role, const device::Mark* mark);
  Error hash_all(const device::Mark* mark, std::vector<Hash128>& hashes);
  Error drive(double timeout);
  Error start(const state::SyncOp& op);
  bool collect(Error& error);
  void ended(const Running& running);
  Error finish(SyncReport& report);
  Error give_up(Error error);
  std::uint64_t layout() const;
  std::byte* in_tensor(std::uint32_t leaf) const;
  bool is_on_device(std::uint32_t leaf) const { return tensors_[leaves_[leaf].tensor].device != device::kHost; }
  Hash128 hash_of(const std::byte* data, std::uint32_t leaf) const;

  std::shared_ptr<Communicator> communicator_;
  std::vector<Tensor> tensors_;  // by name
  std::vector<state::Leaf> leaves_;
  bool laid_out_ = false;  // leaves_, staging_ and staged_ are of tensors_

  Staging staging_;  // leaves that arrived stay here until a sync commits, whatever becomes of this one
  std::vector<std::optional<Hash128>> staged_;

  std::unique_ptr<state::Sync> sync_;  // unfinished
  PeerId self_ = kNoPeer;              // the incarnation that began it
  std::uint64_t revision_ = 0;
  state::Role role_ = state::Role::both;
  double began_ = 0;
  DeviceTensors devices_;
  std::vector<Running> running_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace seaway::runtime
