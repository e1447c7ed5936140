// The callers' half of a communicator.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "net/loop.h"
#include "runtime/communicator.h"
#include "runtime/front.h"
#include "runtime/session.h"

namespace seaway::runtime {

class FrontCommunicator : public Communicator, public std::enable_shared_from_this<FrontCommunicator> {
 public:
  explicit FrontCommunicator(CommunicatorConfig config);
  ~FrontCommunicator() override;

  Status join(double timeout) override;
  Status update(double timeout) override;
  Status leave(double timeout) override;
  void close() override;
  std::shared_ptr<const View> view() const override;
  Error last_error() const override;
  Status start(const OpRequest& request, std::uint64_t user, OperationPtr& operation) override;
  Status wait(std::span<const OperationPtr> ops, bool any, double timeout) override;
  Error begin_sync(std::shared_ptr<const View>& view) override;
  void end_sync(PeerId self, std::optional<std::uint64_t> revision) override;
  int event_fd() override;
  Event next_event() override;

  // Of an op: asks the loop.
  Error where(std::uint64_t op) const;
  void cancel(std::uint64_t op, const std::string& reason);
  void close_transaction(std::uint64_t op, bool cancelled);

 private:
  // The loop, what runs on it, and the thread that keeps it going. In a forked child it is left alone: its thread is not there.
  struct Engine;

  bool is_forked() const { return generation_ != net::fork_generation(); }
  Status fail(Status status, std::string text) const;
  Status no_member() const;
  Status begin_call();
  Status ensure_engine(std::unique_lock<std::mutex>& lock);
  bool wait_until(std::unique_lock<std::mutex>& lock, double timeout, const std::function<bool()>& done) const;
  void broken(const std::string& what);
  template <class Result>
  Result ask(Result otherwise, std::function<Result(const Session&)> question) const;

  CommunicatorConfig config_;
  std::uint32_t generation_;
  mutable std::shared_ptr<Front> front_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace seaway::runtime
