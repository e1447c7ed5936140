#include "net/fd.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>

namespace seaway::net {

namespace {

// One for the process, because fork() is. Never destroyed: descriptors may be closed by objects that outlive `main`.
struct ForkRegistry {
  std::mutex mutex;
  std::set<int> open;
  std::atomic<std::uint32_t> generation{1};

  ForkRegistry() { pthread_atfork(prepare, in_parent, in_child); }

  static ForkRegistry& get() {
    static ForkRegistry* registry = new ForkRegistry;
    return *registry;
  }
  static void prepare() { get().mutex.lock(); }
  static void in_parent() { get().mutex.unlock(); }
  static void in_child() {
    ForkRegistry& registry = get();
    for (const int fd : registry.open) {
      ::close(fd);
    }
    registry.open.clear();
    registry.generation.fetch_add(1);
    registry.mutex.unlock();
  }
};

}  // namespace

std::uint32_t fork_generation() { return ForkRegistry::get().generation.load(std::memory_order_relaxed); }

UniqueFd::UniqueFd(int fd) : fd_(fd) {
  if (fd_ >= 0) {
    ForkRegistry& registry = ForkRegistry::get();
    const std::lock_guard lock(registry.mutex);
    registry.open.insert(fd_);
    generation_ = registry.generation;
  }
}

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    generation_ = std::exchange(other.generation_, 0);
  }
  return *this;
}

void UniqueFd::reset() {
  if (fd_ < 0) {
    return;
  }
  ForkRegistry& registry = ForkRegistry::get();
  const std::lock_guard lock(registry.mutex);
  if (generation_ == registry.generation) {
    registry.open.erase(fd_);
    ::close(fd_);
  }
  fd_ = -1;
}

}  // namespace seaway::net
