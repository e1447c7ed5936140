// Who runs a kernel's body: 32 threads in step, which is a warp of a GPU, or a loop of the host's. Bodies are written once, for
// either, so that a machine without a GPU tests what one with it runs.
//
//   Each<T>           a T of each thread
//   each(f)           f(lane) in every thread
//   max, crossed      of the values of all 32; of the thread whose number differs in the bits of `with`
//
// A block is kWarps warps and memory that they share:
//
//   each_warp(f)      f(warp, its number) in every warp
//   first_warp(f)     f(warp) in warp 0. The others go on
//   sync()            what was written to the shared memory before is read after
#pragma once

#include <cstdint>

#include "base/host_device.h"

#ifdef __CUDA_ARCH__
#define SEAWAY_UNROLL _Pragma("unroll")
#else
#define SEAWAY_UNROLL
#endif

namespace seaway::cuda {

inline constexpr unsigned kLanes = 32;
inline constexpr unsigned kWarps = 8;

struct HostWarp {
  template <class T>
  struct Each {
    T value[kLanes] = {};
    T& operator[](unsigned lane) { return value[lane]; }
    const T& operator[](unsigned lane) const { return value[lane]; }
  };

  template <class F>
  void each(F f) const {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      f(lane);
    }
  }
  std::uint32_t max(const Each<std::uint32_t>& values) const {
    std::uint32_t most = 0;
    for (const std::uint32_t value : values.value) {
      most = value > most ? value : most;
    }
    return most;
  }
  template <class T>
  Each<T> crossed(const Each<T>& values, unsigned with) const {
    Each<T> other;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      other[lane] = values[lane ^ with];
    }
    return other;
  }
};

template <class Shared>
struct HostBlock {
  using Warp = HostWarp;
  Shared shared{};

  template <class F>
  void each_warp(F f) const {
    for (unsigned number = 0; number < kWarps; ++number) {
      f(HostWarp{}, number);
    }
  }
  template <class F>
  void first_warp(F f) const {
    f(HostWarp{});
  }
  void sync() const {}
};

#ifdef __CUDACC__
struct DeviceWarp {
  template <class T>
  struct Each {
    T value;
    __device__ T& operator[](unsigned) { return value; }
    __device__ const T& operator[](unsigned) const { return value; }
  };
  static constexpr unsigned kAll = 0xffffffffu;

  template <class F>
  __device__ void each(F f) const {
    f(threadIdx.x % kLanes);
    __syncwarp();
  }
  __device__ std::uint32_t max(const Each<std::uint32_t>& values) const {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(kAll, values.value);
#else
    std::uint32_t most = values.value;
    for (unsigned with = kLanes / 2; with > 0; with /= 2) {
      const std::uint32_t other = __shfl_xor_sync(kAll, most, with);
      most = other > most ? other : most;
    }
    return most;
#endif
  }
  template <class T>
  __device__ Each<T> crossed(const Each<T>& values, unsigned with) const {
    return {__shfl_xor_sync(kAll, values.value, with)};
  }
};

template <class Shared>
struct DeviceBlock {
  using Warp = DeviceWarp;
  Shared& shared;

  template <class F>
  __device__ void each_warp(F f) const {
    f(DeviceWarp{}, threadIdx.x / kLanes);
  }
  template <class F>
  __device__ void first_warp(F f) const {
    if (threadIdx.x < kLanes) {
      f(DeviceWarp{});
    }
  }
  __device__ void sync() const { __syncthreads(); }
};
#endif

}  // namespace seaway::cuda
