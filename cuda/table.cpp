// libseaway_cuda.so: the table of src/device/table.h, over the CUDA run time, which is linked into it, and the kernels.
#include "device/table.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <new>

#include "cuda/context.h"
#include "cuda/kernels.h"

namespace {

using seaway::cuda::device_to_ask;
using seaway::cuda::On;

struct Queue {
  int device = 0;
  cudaStream_t stream = nullptr;
  int processors = 0;
  bool is_borrowed = false;
};

struct Mark {
  int device = 0;
  cudaEvent_t event = nullptr;
};

// Whose context pins the host's memory: the first device that was opened, which this process uses.
std::atomic<int> pinning_device = -1;

int device_that_pins() {
  const int device = pinning_device;
  return device >= 0 ? device : device_to_ask();
}

int done(cudaError_t error) {
  static_cast<void>(cudaGetLastError());  // one that can be forgotten is not to be found by somebody else
  return static_cast<int>(error);
}

// 75 for 7.5; 0: it cannot be told. It takes no context.
int capability_of(int device) {
  int major = 0;
  int minor = 0;
  const bool is_known = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
                        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess;
  return is_known ? major * 10 + minor : 0;
}

const char* text(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

// What `call` gives, made on a device.
template <class Call>
int made_on(int device, const Call& call) {
  const On on(device);
  return done(on.error() != cudaSuccess ? on.error() : call());
}

// What the kernels take: architectures as in CMakeLists.txt, and tables of some 20 kilobytes as parameters.
constexpr int kLeastDriver = 12010;
constexpr int kLeastCapability = 75;

int count(int* devices) {
  int version = 0;
  cudaError_t error = cudaDriverGetVersion(&version);
  if (error == cudaSuccess) {
    error = version < kLeastDriver ? cudaErrorInsufficientDriver : cudaGetDeviceCount(devices);
  }
  bool is_usable = false;
  for (int device = 0; error == cudaSuccess && device < *devices; ++device) {
    is_usable = is_usable || capability_of(device) >= kLeastCapability;
  }
  return done(error == cudaSuccess && !is_usable ? cudaErrorNoKernelImageForDevice : error);
}

int device_of(const void* memory, int* device) {
  cudaPointerAttributes attributes{};
  const int error = made_on(device_to_ask(), [&] { return cudaPointerGetAttributes(&attributes, memory); });
  const bool is_devices = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  *device = error == 0 && is_devices ? attributes.device : -1;
  return error;
}

int allocate(std::size_t bytes, void** memory) {
  return made_on(device_that_pins(), [&] { return cudaHostAlloc(memory, bytes, cudaHostAllocPortable); });
}

int deallocate(void* memory) {
  return made_on(device_that_pins(), [&] { return cudaFreeHost(memory); });
}

int allocate_on(int device, std::size_t bytes, void** memory) {
  return made_on(device, [&] { return cudaMalloc(memory, bytes); });
}

int deallocate_on(int device, void* memory) {
  return made_on(device, [&] { return cudaFree(memory); });
}

int open(int device, void** queue) {
  auto* const made = new (std::nothrow) Queue{device};
  if (made == nullptr) {
    return done(cudaErrorMemoryAllocation);
  }
  const int error = made_on(device, [&] {
    if (capability_of(device) < kLeastCapability) {
      return cudaErrorNoKernelImageForDevice;
    }
    const cudaError_t known = cudaDeviceGetAttribute(&made->processors, cudaDevAttrMultiProcessorCount, device);
    // Not the default stream's, nor held up by it.
    return known != cudaSuccess ? known : cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking);
  });
  if (error != 0) {
    delete made;
    return error;
  }
  int none = -1;
  pinning_device.compare_exchange_strong(none, device);
  *queue = made;
  return 0;
}

int borrow(int device, void* stream, void** queue) {
  int processors = 0;
  const cudaError_t error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  auto* const made = error == cudaSuccess ? new (std::nothrow)
                                                Queue{device, static_cast<cudaStream_t>(stream), processors, true}
                                          : nullptr;
  *queue = made;
  return done(error == cudaSuccess && made == nullptr ? cudaErrorMemoryAllocation : error);
}

int close(void* queue) {
  auto* const closed = static_cast<Queue*>(queue);
  if (closed->is_borrowed) {
    delete closed;
    return 0;
  }
  const int error = made_on(closed->device, [&] {
    const cudaError_t waited = cudaStreamSynchronize(closed->stream);
    const cudaError_t destroyed = cudaStreamDestroy(closed->stream);
    return waited != cudaSuccess ? waited : destroyed;
  });
  delete closed;
  return error;
}

// What `put` puts into the queue's stream, on its device.
template <class Put>
int put_into(void* queue, const Put& put) {
  const auto* const used = static_cast<Queue*>(queue);
  return made_on(used->device, [&] { return put(seaway::cuda::Where{used->stream, used->processors}); });
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

int outer_step(void* queue, const SeawayOuterStep* call) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::outer_step(where, *call); });
}

int squares(void* queue, const SeawaySquares* call) {
  return put_into(queue, [&](const auto& where) { return seaway::cuda::squares(where, *call); });
}

int record(int device, cudaStream_t stream, void** mark) {
  auto* const made = new (std::nothrow) Mark{device};
  if (made == nullptr) {
    return done(cudaErrorMemoryAllocation);
  }
  const int error = made_on(device, [&] {
    const cudaError_t created = cudaEventCreateWithFlags(&made->event, cudaEventDisableTiming | cudaEventBlockingSync);
    const cudaError_t recorded = created == cudaSuccess ? cudaEventRecord(made->event, stream) : created;
    if (recorded != cudaSuccess && made->event != nullptr) {
      static_cast<void>(cudaEventDestroy(made->event));
    }
    return recorded;
  });
  if (error != 0) {
    delete made;
    return error;
  }
  *mark = made;
  return 0;
}

int mark(void* queue, void** mark) {
  const auto* const used = static_cast<Queue*>(queue);
  return record(used->device, used->stream, mark);
}

// Not of one that is being captured: the event would be a part of the caller's graph, and not to be asked.
int mark_stream(int device, void* stream, void** mark) {
  const auto marked = static_cast<cudaStream_t>(stream);
  const int error = made_on(device, [&] {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    const cudaError_t asked = cudaStreamIsCapturing(marked, &capture);
    const bool is_captured = asked == cudaSuccess && capture != cudaStreamCaptureStatusNone;
    return is_captured ? cudaErrorStreamCaptureUnsupported : asked;
  });
  return error != 0 ? error : record(device, marked, mark);
}

int follow(void* queue, void* mark) {
  return put_into(
      queue, [&](const auto& where) { return cudaStreamWaitEvent(where.stream, static_cast<Mark*>(mark)->event, 0); });
}

int wait(void* mark) {
  const auto* const waited = static_cast<Mark*>(mark);
  return made_on(waited->device, [&] { return cudaEventSynchronize(waited->event); });
}

int passed(void* mark, int* is_passed) {
  const auto* const asked = static_cast<Mark*>(mark);
  return made_on(asked->device, [&] {
    const cudaError_t error = cudaEventQuery(asked->event);
    *is_passed = error == cudaSuccess ? 1 : 0;
    return error == cudaErrorNotReady ? cudaSuccess : error;
  });
}

int forget(void* mark) {
  const auto* const forgotten = static_cast<Mark*>(mark);
  const int error = made_on(forgotten->device, [&] { return cudaEventDestroy(forgotten->event); });
  delete forgotten;
  return error;
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

extern "C" __attribute__((visibility("default"))) const SeawayDeviceTable* seaway_device_table(std::uint32_t version) {
  return version == kSeawayDeviceVersion ? &kTable : nullptr;
}
