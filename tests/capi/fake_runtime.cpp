// A runtime without a network, for what a real one does not do on demand: throw. What it does is the name of the
// communicator: "" ends every op at once, "pending" never does, "throws no memory" and "throws" throw in every call but
// close and last_error. Only seaway_capi_fake links it.
#include <memory>
#include <mutex>
#include <new>
#include <queue>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/assert.h"
#include "runtime/communicator.h"
#include "runtime/master_server.h"

namespace seaway::runtime {
namespace {

class FakeOperation : public Operation {
 public:
  FakeOperation(const Communicator* owner, Status status, const OpRequest& request)
      : owner_(owner), status_(status), tag_(request.descriptor.tag) {}
  Status status() const override { return status_; }
  collective::Result result() const override {
    collective::Result result;
    result.op = {.lane = 0, .generation = 1, .tag = tag_, .seq = 5};
    result.value = {.attempt = {2, 3}, .contributors = 11, .bits = 12};
    result.hash = 12;
    result.contributors = {{21, 1}, {22, 2}, {23, 0.5}};
    result.weight_sum = 3.5;
    result.lost = {31, 32};
    result.attempts = 2;
    result.plan = collective::PlanKind::one_shot;
    result.bytes_sent = 41;
    result.bytes_received = 42;
    result.bytes_resent = 43;
    result.posted = kSecond;
    result.ended = 3 * kSecond;
    return result;
  }
  Epoch ended_epoch() const override { return {7, 8}; }
  std::uint64_t scratch_bytes() const override { return 44; }
  Error error() const override {
    Error error;
    error.status = status_;
    error.phase = "waiting for peers: more than there is room for";
    error.op.tag = tag_;
    error.op.seq = 5;
    error.epoch = {7, 8};
    error.peer = 21;
    // 1022 bytes and a character of 3: it does not fit and is left out whole.
    error.text = status_ == Status::ok ? "" : std::string(1022, 'x') + "\xe2\x82\xac";
    return error;
  }
  void cancel(const std::string& reason) override {
    SEAWAY_ASSERT(reason.size() <= 1024, "a reason is cut by the C API");
    status_ = Status::aborted;
  }
  const Communicator* communicator() const override { return owner_; }

 private:
  const Communicator* owner_;
  Status status_;
  std::uint64_t tag_;
};

class FakeCommunicator : public Communicator {
 public:
  explicit FakeCommunicator(CommunicatorConfig config) : config_(std::move(config)) {}
  Status join(double /*timeout*/) override { return act(); }
  Status update(double /*timeout*/) override { return act(); }
  Status leave(double /*timeout*/) override { return act(); }
  void close() override { closed_ = true; }
  std::shared_ptr<const View> view() const override {
    act();
    return nullptr;
  }
  Error last_error() const override { return {}; }
  Status start(const OpRequest& request, std::uint64_t user, OperationPtr& operation) override {
    const Status status = act();
    const Status end = config_.name == "pending" ? Status::pending : Status::ok;
    operation = std::make_shared<FakeOperation>(this, end, request);
    if (end == Status::ok) {
      Event event;
      event.kind = Event::Kind::op_done;
      event.user = user;
      event.text = std::string(600, 'y');
      events_.push(event);
    }
    return status;
  }
  Status wait(std::span<const OperationPtr> /*ops*/, bool /*any*/, double /*timeout*/) override {
    return closed_ ? Status::closed : Status::pending;
  }
  Error begin_sync(std::shared_ptr<const View>& /*view*/) override {
    act();
    return {Status::not_member, "the fake is no member", "", {}, {}, kNoPeer};
  }
  void end_sync(PeerId /*self*/, std::optional<std::uint64_t> /*revision*/) override {}
  int event_fd() override {
    act();
    return -1;
  }
  Event next_event() override {
    act();
    Event event;
    if (!events_.empty()) {
      event = std::move(events_.front());
      events_.pop();
    }
    return event;
  }

 private:
  Status act() const {
    if (config_.name == "throws no memory") {
      throw std::bad_alloc();
    }
    SEAWAY_ASSERT(config_.name != "throws", "the fake was told to throw");
    return closed_ ? Status::closed : Status::ok;
  }
  const CommunicatorConfig config_;
  bool closed_ = false;
  std::queue<Event> events_;
};

class FakeMasterServer : public MasterServer {
 public:
  std::string address() const override { return "127.0.0.1:7117"; }
  std::string join_string() const override { return ""; }
  std::string admin_string() const override { return ""; }
  bool is_durable() const override { return true; }
  void drain() override {}
  End ended(std::string& /*why*/) const override { return End::none; }
};

}  // namespace

Error read_files(CommunicatorConfig& /*config*/) { return {}; }
Error validate(const CommunicatorConfig& /*config*/) { return {}; }

std::shared_ptr<Communicator> Communicator::create(CommunicatorConfig config) {
  if (config.name == "create throws") {
    throw std::runtime_error("the fake was told to throw");
  }
  return std::make_shared<FakeCommunicator>(std::move(config));
}

std::unique_ptr<MasterServer> MasterServer::start(MasterServerConfig config, std::unique_ptr<store::Store> /*store*/,
                                                  Error& error) {
  if (config.listen == "throws") {
    throw std::runtime_error("the fake was told to throw");
  }
  if (config.listen == "taken:1") {
    error.status = Status::no_address;
    error.text = "taken:1 cannot be listened on";
    return nullptr;
  }
  return std::make_unique<FakeMasterServer>();
}

}  // namespace seaway::runtime
