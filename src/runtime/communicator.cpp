#include "runtime/communicator.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <utility>

#include "runtime/driver.h"
#include "runtime/front_communicator.h"
#include "runtime/operation.h"

namespace seaway::runtime {

namespace {

constexpr double kForEver = 1e9;              // seconds: about 30 years
constexpr std::chrono::seconds kPatience{1};  // for an answer of the loop's thread

}  // namespace

struct FrontCommunicator::Engine {
  explicit Engine(std::shared_ptr<Front> f) : front(std::move(f)) {}

  std::shared_ptr<Front> front;  // what the thread uses lives as long
  net::Loop loop;
  std::unique_ptr<Driver> driver;
  std::unique_ptr<Session> session;  // of whoever runs the loop
  std::thread keeper;
};

FrontCommunicator::FrontCommunicator(CommunicatorConfig config)
    : config_(std::move(config)), generation_(net::fork_generation()), front_(std::make_shared<Front>()) {}

FrontCommunicator::~FrontCommunicator() {
  if (is_forked()) {
    // The thread is the parent's, and so are locks that it may hold: nothing of it can be undone here.
    [[maybe_unused]] const auto* thread = engine_.release();
    return;
  }
  FrontCommunicator::close();
}

// --- Small things ---------------------------------------------------------------------------------------------------

Status FrontCommunicator::fail(Status status, std::string text) const {
  front_->last_error = {status, std::move(text), "", {}, {}, kNoPeer};
  return status;
}

// For what only a member may do; the lock is held.
Status FrontCommunicator::no_member() const {
  if (front_->phase == Phase::over && front_->over == Status::evicted) {
    return fail(Status::evicted, front_->over_text);
  }
  return fail(Status::not_member, front_->phase == Phase::over && !front_->over_text.empty()
                                      ? "this peer is no member any more: " + front_->over_text
                                      : "this peer is no member: join first");
}

// A join, update or leave begins; the lock is held.
Status FrontCommunicator::begin_call() {
  if (front_->closed) {
    return Status::closed;
  }
  if (front_->broken) {
    return Status::internal;
  }
  if (front_->in_call) {
    return fail(Status::busy, "another join, update or leave of this communicator is running: one at a time");
  }
  return Status::ok;
}

bool FrontCommunicator::wait_until(std::unique_lock<std::mutex>& lock, double timeout,
                                   const std::function<bool()>& done) const {
  auto limit = Driver::Clock::time_point::max();
  if (timeout >= 0 && timeout <= kForEver) {
    limit = Driver::Clock::now() +
            std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(timeout));
  }
  return engine_ ? engine_->driver->wait(lock, limit, done) : done();
}

Status FrontCommunicator::ensure_engine(std::unique_lock<std::mutex>& lock) {
  if (engine_) {
    return Status::ok;
  }
  lock.unlock();
  std::string problem;
  net::UniqueFd listening = net::listen_on(config_.listen, problem);
  lock.lock();
  if (!listening) {
    return fail(Status::no_address, "listen: " + problem);
  }
  engine_ = std::make_unique<Engine>(front_);
  engine_->session = std::make_unique<Session>(engine_->loop, *front_, config_, std::move(listening));
  engine_->driver =
      std::make_unique<Driver>(engine_->loop, front_->changed, [this](const char* what) { broken(what); });
  engine_->keeper = std::thread([this] {
    engine_->driver->keep(Driver::Lock(front_->mutex));
    engine_->session.reset();
  });
  return Status::ok;
}

// A bug: this communicator is over, the process lives.
void FrontCommunicator::broken(const std::string& what) {
  engine_->session.reset();  // closes every connection; no buffer is touched any more
  const std::lock_guard lock(front_->mutex);
  front_->broken = true;
  front_->phase = Phase::over;
  front_->over = Status::internal;
  front_->over_text = "a bug in seaway: " + what + ". Please report it. Destroy this communicator; a new one can join";
  front_->view = nullptr;
  front_->updating = false;
  finish_all(*front_, Status::internal, front_->over_text);
  front_->last_error = {Status::internal, front_->over_text, "", {}, {}, kNoPeer};
  front_->changed.notify_all();
}

// --- join, update, leave --------------------------------------------------------------------------------------------

namespace {

struct Call {
  explicit Call(Front& f) : front(f) { front.in_call = true; }
  ~Call() { front.in_call = false; }
  Front& front;
};

}  // namespace

Status FrontCommunicator::join(double timeout) {
  if (is_forked()) {
    return Status::forked;
  }
  std::unique_lock lock(front_->mutex);
  if (const Status status = begin_call(); status != Status::ok) {
    return status;
  }
  const Call call(*front_);
  if (front_->phase == Phase::member) {
    return Status::ok;
  }
  if (front_->phase == Phase::leaving) {
    return fail(Status::busy, "this peer is leaving: wait for seaway_leave, then join again");
  }
  if (front_->phase != Phase::joining) {
    if (const Status status = ensure_engine(lock); status != Status::ok) {
      return status;
    }
    front_->phase = Phase::joining;
    engine_->driver->post([session = engine_->session.get()] { session->join(); });
  }
  const bool done = wait_until(lock, timeout, [&] { return front_->closed || front_->phase != Phase::joining; });
  if (!done) {
    return Status::pending;
  }
  if (front_->closed) {
    return Status::closed;
  }
  return front_->phase == Phase::member ? Status::ok : front_->over == Status::ok ? Status::not_member : front_->over;
}

Status FrontCommunicator::update(double timeout) {
  if (is_forked()) {
    return Status::forked;
  }
  std::unique_lock lock(front_->mutex);
  if (const Status status = begin_call(); status != Status::ok) {
    return status;
  }
  const Call call(*front_);
  if (front_->phase != Phase::member) {
    front_->update_untold = false;
    return no_member();
  }
  if (front_->syncing != kNoPeer && front_->view && front_->syncing == front_->view->self) {
    return fail(Status::busy, "a state sync is unfinished: call seaway_state_sync until it is over, then update");
  }
  if (!front_->open_transactions.empty()) {
    return fail(Status::busy, "a transaction is open: close it (seaway_transaction_close), then update");
  }
  if (std::exchange(front_->at_admission, false)) {
    return Status::ok;  // the others are in the update that admitted this peer; it stands there too
  }
  if (!front_->update_untold) {  // a call that timed out is gone on with, also when its update has passed meanwhile
    front_->update_untold = front_->updating = true;
    engine_->driver->run_now(lock, [session = engine_->session.get()] { session->update(); });
  }
  if (!wait_until(lock, timeout, [&] { return front_->closed || !front_->updating; })) {
    return Status::pending;
  }
  front_->update_untold = false;
  if (front_->closed) {
    return Status::closed;
  }
  return front_->broken ? Status::internal : front_->phase == Phase::member ? Status::ok : no_member();
}

Status FrontCommunicator::leave(double timeout) {
  if (is_forked()) {
    return Status::forked;
  }
  std::unique_lock lock(front_->mutex);
  if (const Status status = begin_call(); status != Status::ok) {
    return status;
  }
  const Call call(*front_);
  if (front_->phase == Phase::idle || front_->phase == Phase::over) {
    return Status::ok;
  }
  if (front_->phase != Phase::leaving) {
    front_->phase = Phase::leaving;
    engine_->driver->post([session = engine_->session.get()] { session->leave(); });
  }
  if (!wait_until(lock, timeout, [&] { return front_->closed || front_->phase != Phase::leaving; })) {
    return Status::pending;
  }
  return front_->closed ? Status::closed : front_->over;
}

void FrontCommunicator::close() {
  if (is_forked()) {
    return;
  }
  {
    const std::lock_guard lock(front_->mutex);
    if (front_->closed) {
      return;
    }
    front_->closed = true;
    front_->changed.notify_all();
    if (engine_) {
      engine_->driver->post([this] {
        engine_->session->fence("the communicator was destroyed");
        engine_->loop.stop();
      });
      engine_->driver->hurry();
    }
  }
  if (engine_) {
    engine_->keeper.join();
  }
  const std::lock_guard lock(front_->mutex);
  front_->view = nullptr;
  // Posted, and not reached by the loop any more.
  finish_all(*front_, Status::undecided,
             "the communicator was destroyed before this op was decided; the input is intact");
}

// --- Looking --------------------------------------------------------------------------------------------------------

std::shared_ptr<const View> FrontCommunicator::view() const {
  if (is_forked()) {
    return nullptr;
  }
  const std::lock_guard lock(front_->mutex);
  return front_->view;
}

template <class Result>
Result FrontCommunicator::ask(Result otherwise, std::function<Result(const Session&)> question) const {
  auto promise = std::make_shared<std::promise<Result>>();
  std::future<Result> answer = promise->get_future();
  {
    const std::lock_guard lock(front_->mutex);
    if (!engine_ || front_->closed || front_->broken) {
      return otherwise;
    }
    engine_->driver->post([promise, question = std::move(question), session = engine_->session.get()] {
      promise->set_value(question(*session));
    });
    engine_->driver->hurry();
  }
  return answer.wait_for(kPatience) == std::future_status::ready ? answer.get() : otherwise;
}

Error FrontCommunicator::last_error() const {
  if (is_forked()) {
    return {Status::forked, "this process is a fork of the one that created the communicator", "", {}, {}, kNoPeer};
  }
  {
    const std::lock_guard lock(front_->mutex);
    const bool waits = front_->phase == Phase::joining || front_->phase == Phase::leaving || front_->updating;
    if (!waits || front_->closed || front_->broken) {
      return front_->last_error;
    }
  }
  Error error;
  error.status = Status::pending;
  error.text = "waits for " + ask<std::string>("", [](const Session& session) { return session.waits_for(); });
  return error;
}

Error FrontCommunicator::where(std::uint64_t op) const {
  if (is_forked()) {
    return {Status::forked, "", "", {}, {}, kNoPeer};
  }
  return ask<Error>({Status::pending, "", "", {}, {}, kNoPeer},
                    [op](const Session& session) { return session.where(op); });
}

// --- Ops ------------------------------------------------------------------------------------------------------------

Status FrontCommunicator::start(const OpRequest& request, std::uint64_t user, OperationPtr& operation) {
  if (is_forked()) {
    return Status::forked;
  }
  std::unique_lock lock(front_->mutex);
  if (front_->closed) {
    return Status::closed;
  }
  if (front_->phase != Phase::member) {
    return no_member();
  }
  front_->at_admission = false;
  const std::uint64_t id = front_->next_op++;
  const auto op = std::make_shared<FrontOperation>(weak_from_this(), this, id, user);
  front_->open_ops.emplace(id, op);
  operation = op;
  if (request.descriptor.kind == collective::OpKind::transaction) {
    front_->open_transactions.insert(id);
  }
  const auto* const in = static_cast<const FrontOperation*>(request.transaction.get());
  const std::uint64_t transaction = in == nullptr ? 0 : in->id();
  engine_->driver->run_now(lock,
                           [session = engine_->session.get(), id, transaction, request = OpRequest(request)]() mutable {
                             session->post(id, transaction, std::move(request));
                           });
  return Status::ok;
}

void FrontCommunicator::close_transaction(std::uint64_t op, bool cancelled) {
  if (is_forked()) {
    return;
  }
  std::unique_lock lock(front_->mutex);
  if (front_->open_transactions.erase(op) > 0 && engine_ && !front_->closed && !front_->broken) {
    engine_->driver->run_now(lock, [session = engine_->session.get(), op, cancelled] {
      if (cancelled) {
        session->cancel(op, "it was given up before it was closed");
      }
      session->close_transaction(op);
    });
  }
}

void FrontCommunicator::cancel(std::uint64_t op, const std::string& reason) {
  if (is_forked()) {
    return;
  }
  const std::lock_guard lock(front_->mutex);
  if (engine_ && !front_->closed && !front_->broken) {
    engine_->driver->post([session = engine_->session.get(), op, reason] { session->cancel(op, reason); });
  }
}

Status FrontCommunicator::wait(std::span<const OperationPtr> ops, bool any, double timeout) {
  if (is_forked()) {
    return Status::forked;
  }
  const auto is_final = [](const OperationPtr& op) { return op->status() != Status::pending; };
  const auto done = [&] {
    return any ? std::any_of(ops.begin(), ops.end(), is_final) : std::all_of(ops.begin(), ops.end(), is_final);
  };
  if (done()) {
    return Status::ok;
  }
  std::unique_lock lock(front_->mutex);
  return wait_until(lock, timeout, done) ? Status::ok : Status::pending;
}

// --- State syncs ----------------------------------------------------------------------------------------------------

Error FrontCommunicator::begin_sync(std::shared_ptr<const View>& view) {
  if (is_forked()) {
    return {Status::forked, "", "", {}, {}, kNoPeer};
  }
  const std::lock_guard lock(front_->mutex);
  if (const Status status = begin_call(); status != Status::ok) {
    return {status, front_->last_error.text, "", {}, {}, kNoPeer};
  }
  if (front_->phase != Phase::member || !front_->view) {
    const Status status = no_member();
    return {status, front_->last_error.text, "", {}, {}, kNoPeer};
  }
  if (front_->updating || front_->syncing == front_->view->self) {
    return {Status::busy,
            front_->updating ? "an update is unfinished: call seaway_update until it returns"
                             : "another state sync of this communicator is unfinished: one at a time",
            "",
            {},
            {},
            kNoPeer};
  }
  front_->syncing = front_->view->self;
  view = front_->view;
  return {};
}

void FrontCommunicator::end_sync(PeerId self, std::optional<std::uint64_t> revision) {
  if (is_forked()) {
    return;
  }
  const std::lock_guard lock(front_->mutex);
  if (front_->syncing == self) {
    front_->syncing = kNoPeer;
  }
  const bool is_it = front_->view && front_->view->self == self;
  if (revision && is_it && engine_ && !front_->closed && !front_->broken) {
    front_->synced = self;
    auto synced = std::make_shared<View>(*front_->view);
    synced->synced = true;
    front_->view = std::move(synced);
    engine_->driver->post([session = engine_->session.get(), self, revision] { session->synced(self, *revision); });
  }
}

// --- Events ---------------------------------------------------------------------------------------------------------

int FrontCommunicator::event_fd() {
  if (is_forked()) {
    return -1;
  }
  const std::lock_guard lock(front_->mutex);
  if (!front_->event_fd) {
    front_->event_fd = net::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    front_->signal_events();
  }
  return front_->event_fd ? front_->event_fd.get() : -1;
}

Event FrontCommunicator::next_event() {
  if (is_forked()) {
    return {};
  }
  const std::lock_guard lock(front_->mutex);
  return front_->take_event();
}

}  // namespace seaway::runtime
