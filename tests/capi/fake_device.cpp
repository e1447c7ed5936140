#include "fake_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "device/table.h"

namespace {

constexpr int kFailed = 7;

std::mutex mutex;
std::map<const std::byte*, std::pair<std::byte*, std::size_t>> allocations;  // by address: the view, and the bytes
std::atomic<long> copies_left = -1;

// Null for memory of the host's.
std::byte* view_of(const void* memory) {
  const auto* const address = static_cast<const std::byte*>(memory);
  const std::lock_guard lock(mutex);
  auto it = allocations.upper_bound(address);
  if (it == allocations.begin()) {
    return nullptr;
  }
  --it;
  const auto offset = static_cast<std::size_t>(address - it->first);
  return offset < it->second.second ? it->second.first + offset : nullptr;
}

std::byte* reachable(const void* memory) {
  std::byte* const view = view_of(memory);
  return view != nullptr ? view : static_cast<std::byte*>(const_cast<void*>(memory));
}

// A point of a worker, which any thread may wait for.
struct Mark {
  std::mutex mutex;
  std::condition_variable changed;
  bool passed = false;

  void pass() {
    const std::lock_guard lock(mutex);
    passed = true;
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return passed; });
  }
};
using SharedMark = std::shared_ptr<Mark>;

class Worker {
 public:
  Worker() : thread_([this] { work(); }) {}
  ~Worker() {
    put([this] { over_ = true; });
    thread_.join();
  }
  void put(std::function<void()> what) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(what));
    changed_.notify_all();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      changed_.wait(lock, [this] { return !waiting_.empty(); });
      const std::function<void()> what = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      what();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool over_ = false;
  std::thread thread_;
};

const char* text(int error) { return error == kFailed ? "the fake device was told to fail" : "no error"; }

int count(int* devices) {
  *devices = 1;
  return 0;
}

int device_of(const void* memory, int* device) {
  *device = view_of(memory) != nullptr ? 0 : -1;
  return 0;
}

int allocate(std::size_t bytes, void** memory) {
  *memory = std::malloc(bytes);
  return *memory == nullptr ? kFailed : 0;
}

int deallocate(void* memory) {
  std::free(memory);
  return 0;
}

int open(int /*device*/, void** queue) {
  *queue = new Worker;
  return 0;
}

int close(void* queue) {
  delete static_cast<Worker*>(queue);
  return 0;
}

int copy(void* queue, void* to, const void* from, std::size_t bytes) {
  if (copies_left >= 0 && copies_left-- <= 0) {
    copies_left = 0;
    return kFailed;
  }
  static_cast<Worker*>(queue)->put([=] {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    std::memcpy(reachable(to), reachable(from), bytes);
  });
  return 0;
}

int mark(void* queue, void** mark) {
  auto made = std::make_unique<SharedMark>(std::make_shared<Mark>());
  if (queue == nullptr) {
    (*made)->pass();
  } else {
    static_cast<Worker*>(queue)->put([shared = *made] { shared->pass(); });
  }
  *mark = made.release();
  return 0;
}

int mark_stream(int /*device*/, void* stream, void** made) { return mark(stream, made); }

int follow(void* queue, void* mark) {
  static_cast<Worker*>(queue)->put([shared = *static_cast<SharedMark*>(mark)] { shared->wait(); });
  return 0;
}

int wait(void* mark) {
  (*static_cast<SharedMark*>(mark))->wait();
  return 0;
}

int forget(void* mark) {
  delete static_cast<SharedMark*>(mark);
  return 0;
}

constexpr SeawayDeviceTable kTable = {
    .version = kSeawayDeviceVersion,
    .text = text,
    .count = count,
    .device_of = device_of,
    .allocate = allocate,
    .deallocate = deallocate,
    .open = open,
    .close = close,
    .copy = copy,
    .mark = mark,
    .mark_stream = mark_stream,
    .follow = follow,
    .wait = wait,
    .forget = forget,
};

}  // namespace

extern "C" {

const SeawayDeviceTable* seaway_device_table(std::uint32_t version) {
  return version == kSeawayDeviceVersion ? &kTable : nullptr;
}

void* fake_device_allocate(std::size_t bytes) {
  const int file = memfd_create("fake device", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    std::abort();
  }
  void* const address = mmap(nullptr, bytes, PROT_NONE, MAP_SHARED, file, 0);
  void* const view = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (address == MAP_FAILED || view == MAP_FAILED) {
    std::abort();
  }
  const std::lock_guard lock(mutex);
  allocations[static_cast<std::byte*>(address)] = {static_cast<std::byte*>(view), bytes};
  return address;
}

void* fake_device_view(const void* memory) { return view_of(memory); }

void* fake_stream_open(void) { return new Worker; }

void fake_stream_close(void* stream) { delete static_cast<Worker*>(stream); }

void fake_stream_fill(void* stream, float* memory, std::size_t count, float value, double seconds) {
  static_cast<Worker*>(stream)->put([=] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    std::fill_n(reinterpret_cast<float*>(reachable(memory)), count, value);
  });
}

void fake_device_fails_after(long copies) { copies_left = copies; }
}
