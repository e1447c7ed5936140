#include "fake_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "codec/codec.h"
#include "cuda/host.h"
#include "device/table.h"

namespace {

constexpr int kFailed = 7;

std::mutex mutex;
std::map<const std::byte*, std::pair<std::byte*, std::size_t>> allocations;  // by address: the view, and the bytes
std::map<const std::byte*, std::size_t> pinned;
std::atomic<long> calls_left = -1;
std::atomic<std::size_t> crossed = 0;
std::atomic<bool> is_full = false;
std::atomic<std::size_t> requests = 0;
constexpr double kDelay = 1e-4;
std::atomic<double> delay = kDelay;

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

bool is_pinned(const void* memory, std::size_t bytes) {
  const auto* const address = static_cast<const std::byte*>(memory);
  const std::lock_guard lock(mutex);
  const auto it = pinned.upper_bound(address);
  return it != pinned.begin() && address + bytes <= std::prev(it)->first + std::prev(it)->second;
}

// What a kernel reads or writes: of the device, or pinned, and then it crosses the bus.
template <class T>
T* by_kernel(T* memory, std::size_t bytes) {
  if (std::byte* const view = view_of(memory)) {
    return reinterpret_cast<T*>(view);
  }
  if (bytes > 0 && !is_pinned(memory, bytes)) {
    std::fputs("a kernel of the fake device reads or writes memory that it does not reach\n", stderr);
    std::abort();
  }
  crossed += bytes;
  return memory;
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
  bool has_passed() {
    const std::lock_guard lock(mutex);
    return passed;
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
  std::atomic<bool> is_captured = false;
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

struct Queue {
  Worker* worker;
  bool is_borrowed;
};

// A stream of the caller's; null: the default one, which is there as long as the process.
Worker& worker_of(void* stream) {
  static Worker* const by_default = new Worker;
  return stream == nullptr ? *by_default : *static_cast<Worker*>(stream);
}

const char* text(int error) {
  return error == kFailed ? "the fake device was told to fail, or to do what it cannot" : "no error";
}

int count(int* devices) {
  *devices = 1;
  return 0;
}

int device_of(const void* memory, int* device) {
  *device = view_of(memory) != nullptr ? 0 : -1;
  return 0;
}

int allocate(std::size_t bytes, void** memory) {
  ++requests;
  *memory = std::malloc(bytes);
  const std::lock_guard lock(mutex);
  pinned[static_cast<std::byte*>(*memory)] = bytes;
  return *memory == nullptr ? kFailed : 0;
}

int deallocate(void* memory) {
  {
    const std::lock_guard lock(mutex);
    pinned.erase(static_cast<std::byte*>(memory));
  }
  std::free(memory);
  return 0;
}

int allocate_on(int /*device*/, std::size_t bytes, void** memory) {
  ++requests;
  if (bytes > std::size_t{1} << 40 || is_full) {
    return kFailed;
  }
  *memory = fake_device_allocate(bytes);
  return 0;
}

int deallocate_on(int /*device*/, void* memory) {
  const std::lock_guard lock(mutex);
  const auto it = allocations.find(static_cast<std::byte*>(memory));
  munmap(it->second.first, it->second.second);
  munmap(memory, it->second.second);
  allocations.erase(it);
  return 0;
}

int open(int device, void** queue) {
  if (device != 0) {
    return kFailed;
  }
  *queue = new Queue{new Worker, false};
  return 0;
}

int borrow(int device, void* stream, void** queue) {
  if (device != 0) {
    return kFailed;
  }
  *queue = new Queue{&worker_of(stream), true};
  return 0;
}

int close(void* queue) {
  auto* const closed = static_cast<Queue*>(queue);
  if (!closed->is_borrowed) {
    delete closed->worker;
  }
  delete closed;
  return 0;
}

// Later than it could be.
int put(void* queue, std::function<void()> what) {
  if (calls_left >= 0 && calls_left-- <= 0) {
    calls_left = 0;
    return kFailed;
  }
  static_cast<Queue*>(queue)->worker->put([what = std::move(what)] {
    std::this_thread::sleep_for(std::chrono::duration<double>(delay.load()));
    what();
  });
  return 0;
}

int copy(void* queue, void* to, const void* from, std::size_t bytes) {
  if (view_of(to) == nullptr || view_of(from) == nullptr) {
    crossed += bytes;
  }
  return put(queue, [=] { std::memcpy(reachable(to), reachable(from), bytes); });
}

int zero(void* queue, void* to, std::size_t bytes) {
  return put(queue, [=] { std::memset(reachable(to), 0, bytes); });
}

// The kernels' bodies, on as many warps as comes to mind. Their lists are read before the call returns.

std::vector<SeawaySpan> by_kernel(const SeawaySpan* spans, std::size_t count) {
  std::vector<SeawaySpan> reached(spans, spans + count);
  for (SeawaySpan& span : reached) {
    span.data = by_kernel(span.data, span.count * sizeof(float));
  }
  return reached;
}

std::vector<SeawaySource> by_kernel(const SeawaySource* sources, std::size_t count, std::size_t bytes) {
  std::vector<SeawaySource> reached(sources, sources + count);
  for (SeawaySource& source : reached) {
    source.data = by_kernel(source.data, bytes);
  }
  return reached;
}

int encode(void* queue, const SeawayEncode* call) {
  return put(queue, [call = *call, src = by_kernel(call->src, call->src_spans),
                     residual = by_kernel(call->residual, call->residual_spans),
                     dst = by_kernel(call->dst, seaway::encoded_bytes(call->codec, call->count))]() mutable {
    call.src = src.data();
    call.residual = residual.data();
    call.dst = dst;
    seaway::cuda::host::encode(5, call);
  });
}

int fold(void* queue, const SeawayFold* call) {
  if (call->source_count > seaway::cuda::kMostSources) {
    return kFailed;
  }
  const std::size_t coded =
      call->coded_by == seaway::Codec::none ? 0 : seaway::encoded_bytes(call->coded_by, call->count);
  return put(queue,
             [call = *call, dst = by_kernel(call->dst, call->count * sizeof(float)),
              sources = by_kernel(call->sources, call->source_count, seaway::encoded_bytes(call->codec, call->count)),
              coded = by_kernel(call->coded, coded)]() mutable {
               call.dst = dst;
               call.sources = sources.data();
               call.coded = coded;
               seaway::cuda::host::fold(5, call);
             });
}

int reduce(void* queue, const SeawayReduce* call) {
  const std::size_t bytes = call->count * seaway::size_of(call->dtype);
  return put(queue, [call = *call, dst = by_kernel(call->dst, bytes),
                     sources = by_kernel(call->sources, call->source_count, bytes)]() mutable {
    call.dst = dst;
    call.sources = sources.data();
    seaway::cuda::host::reduce(5, call);
  });
}

int hash(void* queue, const SeawayLeaf* leaves, std::size_t count) {
  std::vector<SeawayLeaf> reached(leaves, leaves + count);
  for (SeawayLeaf& leaf : reached) {
    leaf = {by_kernel(leaf.data, leaf.bytes), leaf.bytes, by_kernel(leaf.hash, sizeof(SeawayHash))};
  }
  return put(queue, [reached] { seaway::cuda::host::hash(reached.data(), reached.size()); });
}

bool is_real(seaway::DType dtype) { return dtype == seaway::DType::f32 || dtype == seaway::DType::f64; }

int lincomb(void* queue, const SeawayLincomb* call) {
  if (!is_real(call->dtype) || call->term_count == 0 || call->term_count > kSeawayMostTerms) {
    return kFailed;
  }
  const std::size_t bytes = call->count * seaway::size_of(call->dtype);
  std::vector<SeawayTerm> terms(call->terms, call->terms + call->term_count);
  for (SeawayTerm& term : terms) {
    term.x = by_kernel(term.x, bytes);
  }
  return put(queue, [call = *call, dst = by_kernel(call->dst, bytes), terms]() mutable {
    call.dst = dst;
    call.terms = terms.data();
    seaway::cuda::host::lincomb(5, call);
  });
}

int outer_step(void* queue, const SeawayOuterStep* call) {
  const std::size_t bytes = call->count * seaway::size_of(call->dtype);
  SeawayOuterStep reached = *call;
  reached.theta = by_kernel(call->theta, bytes);
  reached.buf = by_kernel(call->buf, bytes);
  reached.gradient = by_kernel(call->gradient, bytes);
  return is_real(call->dtype) ? put(queue, [reached] { seaway::cuda::host::outer_step(5, reached); }) : kFailed;
}

int squares(void* queue, const SeawaySquares* call) {
  const std::size_t bytes = seaway::cuda::work_of(*call).blocks() * sizeof(double);
  const SeawaySquares reached{by_kernel(call->x, call->count * sizeof(float)), call->count,
                              by_kernel(call->sums, bytes)};
  return put(queue, [reached] { seaway::cuda::host::squares(5, reached); });
}

int mark_worker(Worker& worker, void** mark) {
  auto made = std::make_unique<SharedMark>(std::make_shared<Mark>());
  worker.put([shared = *made] { shared->pass(); });
  *mark = made.release();
  return 0;
}

int mark(void* queue, void** mark) { return mark_worker(*static_cast<Queue*>(queue)->worker, mark); }

int mark_stream(int /*device*/, void* stream, void** mark) {
  Worker& worker = worker_of(stream);
  return worker.is_captured ? kFailed : mark_worker(worker, mark);
}

int follow(void* queue, void* mark) {
  static_cast<Queue*>(queue)->worker->put([shared = *static_cast<SharedMark*>(mark)] { shared->wait(); });
  return 0;
}

int wait(void* mark) {
  (*static_cast<SharedMark*>(mark))->wait();
  return 0;
}

int passed(void* mark, int* is_passed) {
  *is_passed = (*static_cast<SharedMark*>(mark))->has_passed() ? 1 : 0;
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
    .allocate_on = allocate_on,
    .deallocate_on = deallocate_on,
    .open = open,
    .borrow = borrow,
    .close = close,
    .copy = copy,
    .zero = zero,
    .encode = encode,
    .fold = fold,
    .reduce = reduce,
    .hash = hash,
    .lincomb = lincomb,
    .outer_step = outer_step,
    .squares = squares,
    .mark = mark,
    .mark_stream = mark_stream,
    .follow = follow,
    .wait = wait,
    .passed = passed,
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

void fake_stream_is_captured(void* stream, int captured) { worker_of(stream).is_captured = captured != 0; }

void fake_stream_fill(void* stream, float* memory, std::size_t count, float value, double seconds) {
  worker_of(stream).put([=] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    std::fill_n(reinterpret_cast<float*>(reachable(memory)), count, value);
  });
}

void* fake_stream_hold(void* stream) {
  auto* const held = new SharedMark(std::make_shared<Mark>());
  worker_of(stream).put([shared = *held] { shared->wait(); });
  return held;
}

void fake_stream_release(void* held) {
  const std::unique_ptr<SharedMark> mark(static_cast<SharedMark*>(held));
  (*mark)->pass();
}

void fake_device_fails_after(long calls) { calls_left = calls; }

void fake_device_delays(double seconds) { delay = seconds > 0 ? seconds : kDelay; }

void fake_device_is_full(int full) { is_full = full != 0; }

std::size_t fake_device_requests(void) { return requests; }

size_t fake_device_crossed(void) { return crossed; }
}
