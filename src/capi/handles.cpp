#include "capi/handles.h"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace seaway::capi {
namespace {

std::atomic<std::uint64_t> forks{0};

struct Registry {
  std::mutex mutex;
  std::uint64_t serial = 0;                                            // guarded by mutex, as is all below
  std::unordered_map<std::uint64_t, std::shared_ptr<Object>> objects;  // by handle
  std::vector<std::shared_ptr<Object>> aside;                          // freed by a forked child

  Registry();
};

// Never destroyed: handles may be used until the process is gone, by other threads too.
Registry& registry() {
  static auto* const instance = new Registry;
  return *instance;
}

Registry::Registry() {
  const int failed = pthread_atfork([] { registry().mutex.lock(); }, [] { registry().mutex.unlock(); },
                                    [] {
                                      forks.fetch_add(1, std::memory_order_relaxed);
                                      registry().mutex.unlock();
                                    });
  if (failed != 0) {
    throw std::bad_alloc();
  }
}

constexpr unsigned kKindBits = 4;

}  // namespace

Object::Object(Kind kind) : kind_(kind), forks_(forks.load(std::memory_order_relaxed)) {}

bool Object::is_forked() const { return forks_ != forks.load(std::memory_order_relaxed); }

namespace handles {

std::uint64_t add(std::shared_ptr<Object> object) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const std::uint64_t handle = ++all.serial << kKindBits | static_cast<std::uint64_t>(object->kind());
  all.objects.emplace(handle, std::move(object));
  return handle;
}

std::shared_ptr<Object> find(std::uint64_t handle, Kind kind) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.objects.find(handle);
  return found == all.objects.end() || found->second->kind() != kind ? nullptr : found->second;
}

std::shared_ptr<Object> remove(std::uint64_t handle, Kind kind) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.objects.find(handle);
  if (found == all.objects.end() || found->second->kind() != kind) {
    return nullptr;
  }
  std::shared_ptr<Object> object = found->second;
  // A view is plain memory; the others would wait for threads that the child does not have.
  if (object->is_forked() && kind != Kind::view) {
    all.aside.push_back(object);
  }
  all.objects.erase(found);
  return object;
}

}  // namespace handles
}  // namespace seaway::capi
