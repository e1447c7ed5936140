// libseaway_cuda.so: the table of src/device/table.h, over the CUDA run time, which is linked into it, and the kernels.
#include "device/table.h"

#include <cuda_runtime_api.h>

#include <new>

#include "cuda/kernels.h"

namespace {

struct Queue {
  int device = 0;
  cudaStream_t stream = nullptr;
  int processors = 0;
};

// The calling thread's device, put back when it goes: the caller has one of his own.
class On {
 public:
  explicit On(int device) {
    error_ = cudaGetDevice(&before_);
    if (error_ == cudaSuccess && device != before_) {
      error_ = cudaSetDevice(device);
      changed_ = error_ == cudaSuccess;
    }
  }
  ~On() {
    if (changed_) {
      static_cast<void>(cudaSetDevice(before_));
    }
  }
  On(const On&) = delete;
  On& operator=(const On&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  bool changed_ = false;
  cudaError_t error_ = cudaSuccess;
};

int done(cudaError_t error) {
  static_cast<void>(cudaGetLastError());  // one that can be forgotten is not to be found by somebody else
  return static_cast<int>(error);
}

const char* text(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

int count(int* devices) { return done(cudaGetDeviceCount(devices)); }

int device_of(const void* memory, int* device) {
  cudaPointerAttributes attributes{};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, memory);
  const bool is_devices = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  *device = error == cudaSuccess && is_devices ? attributes.device : -1;
  return done(error);
}

int allocate(std::size_t bytes, void** memory) { return done(cudaHostAlloc(memory, bytes, cudaHostAllocPortable)); }

int deallocate(void* memory) { return done(cudaFreeHost(memory)); }

int allocate_on(int device, std::size_t bytes, void** memory) {
  const On on(device);
  return done(on.error() != cudaSuccess ? on.error() : cudaMalloc(memory, bytes));
}

int deallocate_on(int device, void* memory) {
  const On on(device);
  return done(on.error() != cudaSuccess ? on.error() : cudaFree(memory));
}

int open(int device, void** queue) {
  const On on(device);
  if (on.error() != cudaSuccess) {
    return done(on.error());
  }
  auto* const made = new (std::nothrow) Queue{device};
  if (made == nullptr) {
    return done(cudaErrorMemoryAllocation);
  }
  cudaError_t error = cudaDeviceGetAttribute(&made->processors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess) {  // not the default stream's, nor held up by it
    error = cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking);
  }
  if (error != cudaSuccess) {
    delete made;
    return done(error);
  }
  *queue = made;
  return 0;
}

int close(void* queue) {
  auto* const closed = static_cast<Queue*>(queue);
  const On on(closed->device);
  const cudaError_t waited = cudaStreamSynchronize(closed->stream);
  const cudaError_t destroyed = cudaStreamDestroy(closed->stream);
  delete closed;
  return done(waited != cudaSuccess ? waited : destroyed);
}

// What `put` puts into the queue's stream, on its device.
template <class Put>
int put_into(void* queue, const Put& put) {
  const auto* const used = static_cast<Queue*>(queue);
  const On on(used->device);
  return done(on.error() != cudaSuccess ? on.error() : put(seaway::cuda::Where{used->stream, used->processors}));
}

int copy(void* queue, void* to, const void* from, std::size_t bytes) {
  return put_into(queue,
                  [&](const auto& where) { return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, where.stream); });
}

int zero(void* queue, void* to, std::size_t bytes) {
  return put_into(queue, [&](const auto& where) { return cudaMemsetAsync(to, 0, bytes, where.stream); });
}

int encode(void* queue, const SeawayEncode* call) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::encode(where, *call); });
}

int fold(void* queue, const SeawayFold* call) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::fold(where, *call); });
}

int reduce(void* queue, const SeawayReduce* call) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::reduce(where, *call); });
}

int hash(void* queue, const SeawayLeaf* leaves, std::size_t count) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::hash(where, leaves, count); });
}

int lincomb(void* queue, const SeawayLincomb* call) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::lincomb(where, *call); });
}

int squares(void* queue, const SeawaySquares* vectors, std::size_t count) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::squares(where, vectors, count); });
}

int mark_stream(int device, void* stream, void** mark) {
  const On on(device);
  if (on.error() != cudaSuccess) {
    return done(on.error());
  }
  cudaEvent_t event = nullptr;
  cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync);
  if (error == cudaSuccess) {
    error = cudaEventRecord(event, static_cast<cudaStream_t>(stream));
  }
  if (error != cudaSuccess && event != nullptr) {
    static_cast<void>(cudaEventDestroy(event));
    event = nullptr;
  }
  *mark = event;
  return done(error);
}

int mark(void* queue, void** mark) {
  const auto* const used = static_cast<Queue*>(queue);
  return mark_stream(used->device, used->stream, mark);
}

int follow(void* queue, void* mark) {
  return put_into(
      queue, [&](const auto& where) { return cudaStreamWaitEvent(where.stream, static_cast<cudaEvent_t>(mark), 0); });
}

int wait(void* mark) { return done(cudaEventSynchronize(static_cast<cudaEvent_t>(mark))); }

int passed(void* mark, int* is_passed) {
  const cudaError_t error = cudaEventQuery(static_cast<cudaEvent_t>(mark));
  *is_passed = error == cudaSuccess ? 1 : 0;
  return done(error == cudaErrorNotReady ? cudaSuccess : error);
}

int forget(void* mark) { return done(cudaEventDestroy(static_cast<cudaEvent_t>(mark))); }

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
    .close = close,
    .copy = copy,
    .zero = zero,
    .encode = encode,
    .fold = fold,
    .reduce = reduce,
    .hash = hash,
    .lincomb = lincomb,
    .squares = squares,
    .mark = mark,
    .mark_stream = mark_stream,
    .follow = follow,
    .wait = wait,
    .passed = passed,
    .forget = forget,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const SeawayDeviceTable* seaway_device_table(std::uint32_t version) {
  return version == kSeawayDeviceVersion ? &kTable : nullptr;
}
