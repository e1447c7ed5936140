// One op as its caller sees it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "runtime/communicator.h"
#include "runtime/front.h"

namespace seaway::runtime {

class FrontCommunicator;

// What a caller is told of an op that ended so.
Status status_of(collective::Outcome outcome);

class FrontOperation : public Operation {
 public:
  FrontOperation(std::weak_ptr<FrontCommunicator> owner, const Communicator* identity, std::uint64_t id,
                 std::uint64_t user)
      : owner_(std::move(owner)), identity_(identity), id_(id), user_(user) {}

  Status status() const override { return status_.load(std::memory_order_acquire); }
  collective::Result result() const override { return result_; }
  Epoch ended_epoch() const override { return epoch_; }
  std::uint64_t scratch_bytes() const override { return scratch_; }
  Error error() const override;
  void cancel(const std::string& reason) override;
  void close_transaction(bool cancelled) override;
  const Communicator* communicator() const override { return identity_; }

  std::uint64_t id() const { return id_; }
  std::uint64_t user() const { return user_; }

 private:
  friend void finish(Front& front, std::uint64_t op, Status status, const collective::Result& result, Epoch epoch,
                     std::uint64_t scratch);

  std::weak_ptr<FrontCommunicator> owner_;
  const Communicator* identity_;
  std::uint64_t id_;
  std::uint64_t user_;
  std::atomic<Status> status_{Status::pending};
  // Written once, before status_ says so.
  collective::Result result_;
  Epoch epoch_;
  std::uint64_t scratch_ = 0;
};

// Makes an open op final; front.mutex is held. Nothing happens to one that is final already.
void finish(Front& front, std::uint64_t op, Status status, const collective::Result& result, Epoch epoch,
            std::uint64_t scratch);
// All that are open: nobody is left who could.
void finish_all(Front& front, Status status, const std::string& reason);

}  // namespace seaway::runtime
