#include "gpu/e2e/memory.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "device/queue.h"

namespace {

using namespace seaway;

void end_if(const std::string& problem) {
  if (!problem.empty()) {
    std::fprintf(stderr, "the GPU: %s\n", problem.c_str());
    std::abort();
  }
}

}  // namespace

int gpu_is_there(void) {
  std::string why;
  const bool is_there = device::table(why) != nullptr;
  if (!is_there) {
    std::printf("not run: %s\n", why.c_str());
  }
  return is_there ? 1 : 0;
}

void* gpu_allocate(size_t bytes) {
  void* const memory = device::allocate(bytes, 0);
  end_if(memory == nullptr ? "no memory is left" : "");
  return memory;
}

void gpu_free(void* memory) { device::deallocate(memory, 0); }

void gpu_copy(void* to, const void* from, size_t bytes) {
  static std::mutex mutex;
  static std::string why;
  static device::Queue* const queue = device::Queue::open(*device::table(why), 0, why).release();
  const std::lock_guard lock(mutex);
  end_if(why);
  queue->copy(to, from, bytes);
  end_if(queue->wait());
}
