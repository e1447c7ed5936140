// Copies between the host and a device, and kernels there, in their order, beside the caller's own work; or in it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <type_traits>

#include "device/library.h"

namespace seaway::device {

// One thread's, but for the callbacks, which come on a thread of the queue's own.
class Queue {
 public:
  // Null, and the reason in `problem`, if the device cannot be used.
  static std::unique_ptr<Queue> open(const SeawayDeviceTable& table, int device, std::string& problem);
  // A stream of the caller's, in whose order all is done then; null: the device's legacy default stream.
  static std::unique_ptr<Queue> borrow(const SeawayDeviceTable& table, int device, void* stream, std::string& problem);
  // Waits for what was put in, but not in a stream of the caller's. What has not been called by then is not called any more.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void follow(const Mark& mark);
  void copy(void* to, const void* from, std::size_t bytes);
  void zero(void* to, std::size_t bytes);
  void encode(const SeawayEncode& call);
  void fold(const SeawayFold& call);
  void reduce(const SeawayReduce& call);
  void hash(std::span<const SeawayLeaf> leaves);
  void lincomb(const SeawayLincomb& call);
  void outer_step(const SeawayOuterStep& call);
  void squares(const SeawaySquares& call);
  const std::string& problem() const { return problem_; }  // what failed first of what was put in
  // Until all that was put in before is done: "", or what failed first.
  std::string wait();
  // Once all that was put in before is done: with "", or with what failed first.
  void then(std::function<void(const std::string& problem)> done);

 private:
  struct Waiting {
    void* mark = nullptr;  // null: nothing to wait for, as something has failed
    std::string problem;
    std::function<void(const std::string&)> done;
  };

  Queue(const SeawayDeviceTable& table, void* queue);
  template <class... Arguments>
  void put(const char* what, int (*function)(void*, Arguments...), std::type_identity_t<Arguments>... arguments);
  void keep(std::string problem);
  void* mark_here();
  void serve();

  const SeawayDeviceTable* table_;
  void* queue_;
  std::string problem_;  // the first; nothing more is put in then
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  bool closing_ = false;
  std::thread server_;  // from the first `then` on
};

}  // namespace seaway::device
