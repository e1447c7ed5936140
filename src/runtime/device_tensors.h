// Tensors that lie on a GPU. Only hashes and norms come from there, and the leaves of a shared state that travel. In the caller's
// thread, who waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "device/queue.h"
#include "hash/hash.h"

namespace seaway::runtime {

class DeviceTensors {
 public:
  // What is done from now on waits for `mark`. "" or what is wrong, here and below.
  std::string follow(int device, const device::Mark& mark);
  std::string hash(std::span<const std::span<const std::byte>> leaves, Hash128* hashes);
  // The squared norm of f32.
  std::string sqnorm(const void* x, std::uint64_t count, double& norm);
  void copy(void* to, const void* from, std::size_t bytes) { queue_->copy(to, from, bytes); }
  std::string wait() { return failed(queue_->wait()) ? problem_ : ""; }  // for what was copied

 private:
  // A queue that has failed does nothing more: the next call has another.
  bool failed(std::string problem);

  struct Free {
    void operator()(std::byte* memory) const { device::deallocate(memory); }
  };

  int device_ = device::kHost;
  bool is_failed_ = false;
  std::string problem_;
  std::unique_ptr<std::byte, Free> digests_;  // pinned: hashes, or sums of squares
  std::unique_ptr<device::Queue> queue_;      // last: it ends first
};

}  // namespace seaway::runtime
