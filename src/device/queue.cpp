#include "device/queue.h"

#include <utility>

namespace seaway::device {

std::unique_ptr<Queue> Queue::open(const SeawayDeviceTable& table, int device, std::string& problem) {
  void* queue = nullptr;
  problem = device::problem(table, "opening a queue of the device", table.open(device, &queue));
  return problem.empty() ? std::unique_ptr<Queue>(new Queue(table, queue)) : nullptr;
}

std::unique_ptr<Queue> Queue::borrow(const SeawayDeviceTable& table, int device, void* stream, std::string& problem) {
  void* queue = nullptr;
  problem = device::problem(table, "using a stream of the device", table.borrow(device, stream, &queue));
  return problem.empty() ? std::unique_ptr<Queue>(new Queue(table, queue)) : nullptr;
}

Queue::Queue(const SeawayDeviceTable& table, void* queue) : table_(&table), queue_(queue) {}

Queue::~Queue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (server_.joinable()) {
    server_.join();
  }
  for (const Waiting& waiting : waiting_) {
    if (waiting.mark != nullptr) {
      table_->forget(waiting.mark);
    }
  }
  table_->close(queue_);
}

void Queue::keep(std::string problem) {
  if (problem_.empty()) {
    problem_ = std::move(problem);
  }
}

template <class... Arguments>
void Queue::put(const char* what, int (*function)(void*, Arguments...), std::type_identity_t<Arguments>... arguments) {
  if (problem_.empty()) {
    keep(device::problem(*table_, what, function(queue_, arguments...)));
  }
}

void Queue::follow(const Mark& mark) { put("waiting for the caller's stream", table_->follow, mark.get()); }

void Queue::copy(void* to, const void* from, std::size_t bytes) {
  put("a copy from or to the device", table_->copy, to, from, bytes);
}

void Queue::zero(void* to, std::size_t bytes) { put("filling with zeros on the device", table_->zero, to, bytes); }

void Queue::encode(const SeawayEncode& call) { put("encoding on the device", table_->encode, &call); }

void Queue::fold(const SeawayFold& call) { put("adding up on the device", table_->fold, &call); }

void Queue::reduce(const SeawayReduce& call) { put("reducing on the device", table_->reduce, &call); }

void Queue::hash(std::span<const SeawayLeaf> leaves) {
  put("hashing on the device", table_->hash, leaves.data(), leaves.size());
}

void Queue::lincomb(const SeawayLincomb& call) { put("a linear combination on the device", table_->lincomb, &call); }

void Queue::outer_step(const SeawayOuterStep& call) { put("an outer step on the device", table_->outer_step, &call); }

void Queue::squares(const SeawaySquares& call) { put("a squared norm on the device", table_->squares, &call); }

// Also after something has failed: what was put in before that is still to be waited for. Null if that fails, too.
void* Queue::mark_here() {
  void* mark = nullptr;
  const int error = table_->mark(queue_, &mark);
  keep(device::problem(*table_, "marking a point of the device's queue", error));
  return error == 0 ? mark : nullptr;
}

std::string Queue::wait() {
  if (void* const mark = mark_here()) {
    keep(device::problem(*table_, "waiting for the device", table_->wait(mark)));
    table_->forget(mark);
  }
  return problem_;
}

void Queue::then(std::function<void(const std::string& problem)> done) {
  void* const mark = mark_here();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({mark, problem_, std::move(done)});
  }
  if (!server_.joinable()) {
    server_ = std::thread([this] { serve(); });
  }
  changed_.notify_all();
}

void Queue::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (closing_) {
      return;
    }
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    if (next.mark != nullptr) {
      std::string problem = device::problem(*table_, "waiting for the device", table_->wait(next.mark));
      next.problem = next.problem.empty() ? std::move(problem) : next.problem;
      table_->forget(next.mark);
    }
    next.done(next.problem);
    lock.lock();
  }
}

}  // namespace seaway::device
