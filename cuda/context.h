// In whose context a call runs. The run time works in the one that is current to the thread, and where there is none it makes that of
// GPU 0: some hundred MB there for a process that uses another GPU, of every thread that has not chosen. So each call here makes the
// context of its own device current for as long as it takes.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstddef>

namespace seaway::cuda {

// What the run time has not: of the driver, which it has opened itself. Both number their errors alike.
struct Driver {
  decltype(&cuCtxGetCurrent) current;
  decltype(&cuCtxPushCurrent) push;
  decltype(&cuCtxPopCurrent) pop;
  decltype(&cuDevicePrimaryCtxRetain) retain;
  decltype(&cuDevicePrimaryCtxGetState) state;

  // Null where there is none, or one that is too old.
  static const Driver* get() {
    static const Driver driver = open();
    return driver.state == nullptr ? nullptr : &driver;
  }

 private:
  static Driver open() {
    int devices = 0;
    void* const library = cudaGetDeviceCount(&devices) == cudaSuccess ? dlopen("libcuda.so.1", RTLD_NOW) : nullptr;
    Driver driver{};
    const bool is_whole = library != nullptr && find(library, "cuCtxGetCurrent", driver.current) &&
                          find(library, "cuCtxPushCurrent_v2", driver.push) &&
                          find(library, "cuCtxPopCurrent_v2", driver.pop) &&
                          find(library, "cuDevicePrimaryCtxRetain", driver.retain) &&
                          find(library, "cuDevicePrimaryCtxGetState", driver.state);
    return is_whole ? driver : Driver{};
  }
  template <class Function>
  static bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
  }
};

// The context of a device, which stays until the process ends, as the run time's own use of it does. What is known of them is never
// destroyed, nor locked: threads of the library work on while the process ends, and a process may be forked meanwhile. Two that ask at
// once get the same.
inline cudaError_t context_of(const Driver& driver, int device, CUcontext& context) {
  constexpr std::size_t kKnown = 64;
  static std::array<std::atomic<CUcontext>, kKnown> contexts{};
  std::atomic<CUcontext>* const known =
      device >= 0 && static_cast<std::size_t>(device) < kKnown ? &contexts[static_cast<std::size_t>(device)] : nullptr;
  context = known != nullptr ? known->load() : nullptr;
  const CUresult result = context == nullptr ? driver.retain(&context, device) : CUDA_SUCCESS;
  if (result == CUDA_SUCCESS && known != nullptr) {
    known->store(context);
  }
  return static_cast<cudaError_t>(result);
}

// The calling thread works on a device, until this ends. It may do so while another thread of the process captures a graph: what the
// library allocates and asks is no part of that, and would end the capture in CUDA's own mode.
class On {
 public:
  explicit On(int device) {
    const Driver* const driver = Driver::get();
    CUcontext context = nullptr;
    error_ = driver == nullptr ? cudaErrorInsufficientDriver : context_of(*driver, device, context);
    CUcontext before = nullptr;
    if (error_ == cudaSuccess && (driver->current(&before) != CUDA_SUCCESS || before != context)) {
      error_ = static_cast<cudaError_t>(driver->push(context));
      is_pushed_ = error_ == cudaSuccess;
    }
    if (error_ == cudaSuccess) {
      error_ = cudaThreadExchangeStreamCaptureMode(&mode_);
      is_relaxed_ = error_ == cudaSuccess;
    }
  }
  ~On() {
    if (is_relaxed_) {
      static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_));
    }
    CUcontext popped = nullptr;
    if (is_pushed_) {
      static_cast<void>(Driver::get()->pop(&popped));
    }
  }
  On(const On&) = delete;
  On& operator=(const On&) = delete;

  cudaError_t error() const { return error_; }

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;  // then the thread's
  bool is_relaxed_ = false;
  bool is_pushed_ = false;
  cudaError_t error_ = cudaSuccess;
};

// For a question that any device's context answers: the thread's, else one that is there already.
inline int device_to_ask() {
  const Driver* const driver = Driver::get();
  int device = 0;
  CUcontext context = nullptr;
  if (driver == nullptr) {
    return device;
  }
  if (driver->current(&context) == CUDA_SUCCESS && context != nullptr) {
    return cudaGetDevice(&device) == cudaSuccess ? device : 0;
  }
  int devices = 0;
  static_cast<void>(cudaGetDeviceCount(&devices));
  for (; device < devices; ++device) {
    unsigned flags = 0;
    int is_active = 0;
    if (driver->state(device, &flags, &is_active) == CUDA_SUCCESS && is_active != 0) {
      return device;
    }
  }
  return 0;
}

}  // namespace seaway::cuda
