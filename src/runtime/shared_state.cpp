#include "runtime/shared_state.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "runtime/operation.h"

namespace seaway::runtime {

using collective::Outcome;

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Error make_error(Status status, std::string text) { return {status, std::move(text), "state sync", {}, {}, kNoPeer}; }

Error device_error(std::string problem) {
  return problem.empty() ? Error{} : make_error(Status::no_device, "a tensor on a GPU: " + std::move(problem));
}

std::optional<Outcome> outcome_of(Status status) {
  for (const Outcome outcome :
       {Outcome::committed, Outcome::refused, Outcome::aborted, Outcome::evicted, Outcome::undecided}) {
    if (status_of(outcome) == status) {
      return outcome;
    }
  }
  return std::nullopt;
}

}  // namespace

SharedState::SharedState(std::shared_ptr<Communicator> communicator) : communicator_(std::move(communicator)) {}

// --- Tensors --------------------------------------------------------------------------------------------------------

Error SharedState::add(const std::string& name, DType dtype, std::uint64_t count, std::byte* data, int device) {
  if (sync_) {
    return make_error(Status::busy, "a sync of this state is unfinished: call seaway_state_sync until it is over");
  }
  const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                   [](const Tensor& tensor, const std::string& n) { return tensor.name < n; });
  if (at == tensors_.end() || at->name != name) {
    tensors_.insert(at, Tensor{name, dtype, count, data, device});
    laid_out_ = false;
    return {};
  }
  if (at->dtype != dtype || at->count != count) {
    return make_error(Status::invalid, "\"" + name + "\" is registered already, with another dtype or count");
  }
  at->data = data;
  at->device = device;
  return {};
}

Error SharedState::find_device(int& device) const {
  device = device::kHost;
  for (const Tensor& tensor : tensors_) {
    if (device != device::kHost && tensor.device != device::kHost && tensor.device != device) {
      return make_error(Status::invalid, "\"" + tensor.name + "\" is on GPU " + std::to_string(tensor.device) +
                                             ", another tensor on GPU " + std::to_string(device) +
                                             ": those of one state lie on one");
    }
    device = tensor.device != device::kHost ? tensor.device : device;
  }
  return {};
}

std::uint64_t SharedState::layout() const {
  std::string text;
  for (const Tensor& tensor : tensors_) {
    text += std::to_string(tensor.name.size()) + ' ' + tensor.name + ' ' + name_of(tensor.dtype) + ' ' +
            std::to_string(tensor.count) + '\n';
  }
  return hash64(std::as_bytes(std::span(text)));
}

std::byte* SharedState::in_tensor(std::uint32_t leaf) const {
  return tensors_[leaves_[leaf].tensor].data + leaves_[leaf].offset;
}

Hash128 SharedState::hash_of(const std::byte* data, std::uint32_t leaf) const {
  return hash128({data, leaves_[leaf].length});
}

// --- A sync ---------------------------------------------------------------------------------------------------------

Error SharedState::sync(std::uint64_t revision, state::Role role, const device::Mark* mark, double timeout,
                        SyncReport& report) {
  if (!sync_) {
    if (Error error = begin(revision, role, mark); error.status != Status::ok) {
      return error;
    }
  } else if (revision != revision_ || role != role_) {
    return make_error(Status::invalid, "revision or role differ from those of the sync that is unfinished");
  }
  if (Error error = drive(timeout); error.status != Status::ok) {
    return error;
  }
  return finish(report);
}

Error SharedState::begin(std::uint64_t revision, state::Role role, const device::Mark* mark) {
  std::shared_ptr<const View> view;
  if (Error error = communicator_->begin_sync(view); error.status != Status::ok) {
    return error;
  }
  began_ = seconds_now();
  self_ = view->self;
  revision_ = revision;
  role_ = role;
  bytes_sent_ = bytes_received_ = 0;
  if (!laid_out_) {
    std::vector<std::uint64_t> sizes;
    sizes.reserve(tensors_.size());
    for (const Tensor& tensor : tensors_) {
      sizes.push_back(tensor.bytes());
    }
    leaves_ = state::cut_into_leaves(sizes);
    staging_ = Staging(leaves_.size());
    staged_.assign(leaves_.size(), std::nullopt);
    laid_out_ = true;
  }
  std::vector<Hash128> hashes(leaves_.size());
  if (Error error = hash_all(mark, hashes); error.status != Status::ok) {
    communicator_->end_sync(self_, std::nullopt);
    return error;
  }
  state::SyncConfig config;
  config.members = view->base;
  config.self = self_;
  config.layout = layout();
  config.leaves = leaves_;
  config.role = role;
  config.synced = view->synced;
  config.revision = revision;
  sync_ = std::make_unique<state::Sync>(std::move(config), std::move(hashes));
  sync_->reuse(staged_);
  return {};
}

Error SharedState::hash_all(const device::Mark* mark, std::vector<Hash128>& hashes) {
  std::vector<std::span<const std::byte>> there;
  for (std::uint32_t leaf = 0; leaf < leaves_.size(); ++leaf) {
    if (is_on_device(leaf)) {
      there.emplace_back(in_tensor(leaf), leaves_[leaf].length);
    } else {
      hashes[leaf] = hash_of(in_tensor(leaf), leaf);
    }
  }
  int device = device::kHost;
  if (Error error = find_device(device); device == device::kHost || error.status != Status::ok) {
    return error;
  }
  std::vector<Hash128> of_there(there.size());
  std::string problem = devices_.follow(device, *mark);
  problem = problem.empty() ? devices_.hash(there, of_there.data()) : std::move(problem);
  auto hash = of_there.begin();
  for (std::uint32_t leaf = 0; leaf < leaves_.size(); ++leaf) {
    hashes[leaf] = is_on_device(leaf) ? *hash++ : hashes[leaf];
  }
  return device_error(std::move(problem));
}

// Status::ok: it has committed.
Error SharedState::drive(double timeout) {
  const double until = timeout < 0 ? -1 : seconds_now() + timeout;
  for (;;) {
    while (const auto op = sync_->next()) {
      if (Error error = start(*op); error.status != Status::ok) {
        return give_up(std::move(error));
      }
    }
    if (const auto& outcome = sync_->outcome()) {
      if (outcome->outcome == Outcome::committed) {
        return {};
      }
      return give_up(make_error(status_of(outcome->outcome), outcome->reason));
    }
    std::vector<OperationPtr> operations;
    operations.reserve(running_.size());
    for (const Running& running : running_) {
      operations.push_back(running.operation);
    }
    const double left = until < 0 ? -1 : std::max(0.0, until - seconds_now());
    const Status waited = communicator_->wait(operations, true, left);
    if (waited == Status::pending) {
      return make_error(Status::pending, sync_->where());
    }
    if (waited != Status::ok) {
      return give_up(make_error(waited, ""));
    }
    Error error;
    if (!collect(error)) {
      return give_up(std::move(error));
    }
  }
}

Error SharedState::start(const state::SyncOp& op) {
  OpRequest request;
  request.descriptor = op.descriptor;
  if (!op.bytes.empty()) {
    request.in.push_back({op.bytes.data(), op.bytes.size()});
  }
  Running running{op, nullptr, {}};
  for (const std::uint32_t leaf : op.leaves) {
    std::byte* at = in_tensor(leaf);
    if (!op.descriptor.has_data || sync_->at(leaf) == state::Place::staging) {
      if (!staging_[leaf]) {
        staging_[leaf] = std::make_unique_for_overwrite<std::byte[]>(leaves_[leaf].length);
      }
      at = staging_[leaf].get();
    } else if (is_on_device(leaf)) {
      running.fetched.push_back(std::make_unique_for_overwrite<std::byte[]>(leaves_[leaf].length));
      devices_.copy(running.fetched.back().get(), at, leaves_[leaf].length);
      at = running.fetched.back().get();
    }
    request.in.push_back({at, leaves_[leaf].length});
  }
  if (!running.fetched.empty()) {
    if (Error error = device_error(devices_.wait()); error.status != Status::ok) {
      return error;
    }
  }
  if (const Status status = communicator_->start(request, 0, running.operation); status != Status::ok) {
    return make_error(status, communicator_->last_error().text);
  }
  running_.push_back(std::move(running));
  return {};
}

// False: an op ended as none of a sync can.
bool SharedState::collect(Error& error) {
  std::vector<Running> over;
  std::erase_if(running_, [&](Running& running) {
    const bool is_over = running.operation->status() != Status::pending;
    if (is_over) {
      over.push_back(std::move(running));
    }
    return is_over;
  });
  for (const Running& running : over) {
    const Status status = running.operation->status();
    if (status ==
        Status::too_many) {  // the caller has as many open as there may be: later, since the others post it too
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (error = start(running.op); error.status != Status::ok) {
        return false;
      }
    } else if (outcome_of(status)) {
      ended(running);
    } else {
      error = running.operation->error();
      return false;
    }
  }
  return true;
}

void SharedState::ended(const Running& running) {
  const collective::Result result = running.operation->result();
  bytes_sent_ += result.bytes_sent;
  bytes_received_ += result.bytes_received;
  const auto outcome = *outcome_of(running.operation->status());
  std::vector<Hash128> arrived;
  if (!running.op.descriptor.has_data && running.op.descriptor.root != self_) {
    for (const std::uint32_t leaf : running.op.leaves) {
      arrived.push_back(hash_of(staging_[leaf].get(), leaf));
    }
  }
  sync_->ended(running.op.id, outcome, result.reason, arrived);
}

// Only a GPU that fails now leaves tensors half written.
Error SharedState::finish(SyncReport& report) {
  const state::SyncOutcome& outcome = *sync_->outcome();
  bool copies = false;
  report = {};
  report.revision = outcome.revision;
  report.digest = outcome.digest;
  report.donors = outcome.donors;
  report.rounds = outcome.rounds;
  for (std::uint32_t leaf = 0; leaf < leaves_.size(); ++leaf) {
    report.bytes += leaves_[leaf].length;
  }
  for (const std::uint32_t leaf : outcome.staged) {
    if (is_on_device(leaf)) {
      copies = true;
      devices_.copy(in_tensor(leaf), staging_[leaf].get(), leaves_[leaf].length);
    } else {
      std::memcpy(in_tensor(leaf), staging_[leaf].get(), leaves_[leaf].length);
    }
    report.bytes_changed += leaves_[leaf].length;
  }
  report.bytes_sent = bytes_sent_;
  report.bytes_received = bytes_received_;
  report.seconds = seconds_now() - began_;
  Error error = copies ? device_error(devices_.wait()) : Error{};
  communicator_->end_sync(self_, error.status == Status::ok ? std::optional(outcome.revision) : std::nullopt);
  staging_ = Staging(leaves_.size());
  staged_.assign(leaves_.size(), std::nullopt);
  sync_.reset();
  return error;
}

// Leaves that have arrived stay for the next sync. Nothing may still be written when the staging memory is looked at
// again: ops end at once when their incarnation is over, and otherwise only one is open when a sync fails.
Error SharedState::give_up(Error error) {
  std::vector<OperationPtr> open;
  for (const Running& running : running_) {
    running.operation->cancel("the state sync has failed");
    open.push_back(running.operation);
  }
  if (!open.empty()) {
    communicator_->wait(open, false, -1);
    Error ignored;
    collect(ignored);
  }
  running_.clear();
  staged_ = sync_->staged();
  sync_.reset();
  communicator_->end_sync(self_, std::nullopt);
  if (error.phase.empty()) {
    error.phase = "state sync";
  }
  return error;
}

}  // namespace seaway::runtime
