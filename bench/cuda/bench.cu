// What the kernels take, against a copy on the device of the same run: script/test-gpu builds and runs it.
//
//   kernels     each on 256 MiB of f32, in the memory of the device. GB/s counts what is read and what is written
//   the bus     copies of pinned memory, and the kernels that reach it: what an all-reduce in q8 does
//   beside      a fixed loop of matrix products on a stream of the caller's, alone and while chunks are encoded and added up at
//               the pace of a link of 10 Gbit/s
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/works.h"

namespace {

using namespace seaway;

constexpr std::size_t kBytes = std::size_t{256} << 20;
constexpr std::size_t kCount = kBytes / sizeof(float);
constexpr int kRounds = 15;

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    std::fprintf(stderr, "bench/cuda: %s: %s\n", what, cudaGetErrorString(error));
    std::exit(1);
  }
}
#define CHECK(call) check(call, #call)

cuda::Where where;

template <class T = std::byte>
T* on_device(std::size_t bytes) {
  void* memory = nullptr;
  CHECK(cudaMalloc(&memory, bytes));
  return static_cast<T*>(memory);
}
std::byte* pinned(std::size_t bytes) {
  void* memory = nullptr;
  CHECK(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable));
  return static_cast<std::byte*>(memory);
}

std::size_t coded(Codec codec, std::size_t count) {
  std::size_t bytes = 0;
  cuda::with_code(codec,
                  [&](auto code) { bytes = scale_bytes<decltype(code)>(count) + code_bytes<decltype(code)>(count); });
  return bytes;
}

// The median of some rounds, in seconds.
double time_of(const std::function<cudaError_t()>& run) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<double> seconds;
  for (int round = 0; round < kRounds + 2; ++round) {
    CHECK(cudaEventRecord(begin, where.stream));
    CHECK(run());
    CHECK(cudaEventRecord(end, where.stream));
    CHECK(cudaEventSynchronize(end));
    float milliseconds = 0;
    CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    if (round >= 2) {
      seconds.push_back(milliseconds / 1e3);
    }
  }
  CHECK(cudaEventDestroy(begin));
  CHECK(cudaEventDestroy(end));
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  return seconds[kRounds / 2];
}

double copy_rate = 0;

void tell(const char* name, std::size_t bytes, double seconds) {
  const double rate = static_cast<double>(bytes) / seconds / 1e9;
  std::printf("%-44s %8.1f GB/s  %.2f of the copy\n", name, rate, copy_rate > 0 ? rate / copy_rate : 1.0);
  std::fflush(stdout);
}

struct Memory {
  float* x = on_device<float>(kBytes);
  float* y = on_device<float>(kBytes);
  float* residual = on_device<float>(kBytes);
  std::byte* codes[2] = {on_device(kBytes), on_device(kBytes)};
  SeawayHash* hashes = on_device<SeawayHash>(sizeof(SeawayHash) * 4096);
  std::byte* near = pinned(kBytes);
};

__global__ void fill(float* x, std::size_t count) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += gridDim.x * std::size_t{blockDim.x}) {
    x[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 2000003u) - 1000000) * 1e-6f;
  }
}

SeawayEncode encoding(Codec codec, const SeawaySpan& from, void* to) {
  return {codec, false, true, from.count, to, &from, 1, nullptr, 0, 1, 2};
}

// What all others are compared with.
double copying(const Memory& m) {
  return time_of([&] { return cudaMemcpyAsync(m.y, m.x, kBytes, cudaMemcpyDeviceToDevice, where.stream); });
}

// An idle GPU's clock is slow, and takes a while to rise.
void warm_up(const Memory& m) {
  const auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - began < std::chrono::seconds(1)) {
    copying(m);
  }
}

void kernels(const Memory& m) {
  warm_up(m);
  const double once = copying(m);
  tell("a copy on the device", 2 * kBytes, once);
  copy_rate = 2 * kBytes / once / 1e9;
  const SeawaySpan x{m.x, kCount};
  const SeawaySpan residual{m.residual, kCount};
  for (const Codec codec : {Codec::bf16, Codec::q8, Codec::q4}) {
    const std::size_t bytes = coded(codec, kCount);
    const std::string name = name_of(codec);
    SeawayEncode call = encoding(codec, x, m.codes[0]);
    tell(("encode " + name).c_str(), kBytes + bytes, time_of([&] { return cuda::encode(where, call); }));
    call.stochastic = true;
    tell(("encode " + name + ", stochastic").c_str(), kBytes + bytes,
         time_of([&] { return cuda::encode(where, call); }));
    call.stochastic = false;
    call.residual = &residual;
    call.residual_spans = 1;
    call.residual_stays = false;
    tell(("encode " + name + ", with a residual").c_str(), 3 * kBytes + bytes,
         time_of([&] { return cuda::encode(where, call); }));
    call.dst = m.codes[1];
    call.residual_spans = 0;
    CHECK(cuda::encode(where, call));
    const SeawaySource sources[] = {{m.codes[0], 1}, {m.codes[1], 1}};
    SeawayFold fold{m.y, sources, 1, kCount, codec, false, 1, Codec::none, nullptr};
    tell(("decode " + name).c_str(), kBytes + bytes, time_of([&] { return cuda::fold(where, fold); }));
    fold.source_count = 2;
    tell(("decode " + name + " and add, two sources").c_str(), kBytes + 2 * bytes,
         time_of([&] { return cuda::fold(where, fold); }));
    fold.coded_by = codec;
    fold.coded = m.residual;
    tell("the same, and encode the sum", kBytes + 3 * bytes, time_of([&] { return cuda::fold(where, fold); }));
    fill<<<1024, 256, 0, where.stream>>>(m.residual, kCount);
  }
  const SeawaySource sources[] = {{m.x, 0.25}, {m.residual, 0.75}};
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i8}) {
    for (const Reduction reduction : {Reduction::sum, Reduction::avg}) {
      if (reduction == Reduction::avg && !is_floating(dtype)) {
        continue;
      }
      const SeawayReduce call{dtype, reduction, m.y, sources, 2, kBytes / size_of(dtype), 1};
      tell((std::string("reduce ") + name_of(dtype) + ", " + name_of(reduction) + " of two").c_str(), 3 * kBytes,
           time_of([&] { return cuda::reduce(where, call); }));
    }
  }
  std::vector<SeawayLeaf> leaves;
  constexpr std::size_t kLeaf = 256 * 1024;
  for (std::size_t at = 0; at < kBytes; at += kLeaf) {
    leaves.push_back({reinterpret_cast<const std::byte*>(m.x) + at, kLeaf, m.hashes + at / kLeaf});
  }
  tell("hash, leaves of 256 KiB", kBytes, time_of([&] { return cuda::hash(where, leaves.data(), leaves.size()); }));
  const SeawayTerm terms[] = {{m.x, 0.5}, {m.residual, 0.25}};
  const SeawayLincomb lincomb{DType::f32, m.y, terms, 2, kCount};
  tell("a linear combination of two", 3 * kBytes, time_of([&] { return cuda::lincomb(where, lincomb); }));
  const SeawayOuterStep outer_step{DType::f32, m.y, m.codes[0], m.residual, kCount, 0.7, 0.9, true};
  CHECK(cudaMemsetAsync(m.codes[0], 0, kBytes, where.stream));
  tell("an outer step", 5 * kBytes, time_of([&] { return cuda::outer_step(where, outer_step); }));
  const SeawaySquares squares{m.x, kCount, reinterpret_cast<double*>(m.near)};
  tell("a squared norm, but for the sum of its blocks", kBytes, time_of([&] { return cuda::squares(where, squares); }));
  tell("the copy again", 2 * kBytes, copying(m));
}

void bus(const Memory& m) {
  const double down =
      time_of([&] { return cudaMemcpyAsync(m.near, m.x, kBytes, cudaMemcpyDeviceToHost, where.stream); });
  const double up = time_of([&] { return cudaMemcpyAsync(m.x, m.near, kBytes, cudaMemcpyHostToDevice, where.stream); });
  const SeawaySpan x{m.x, kCount};
  const std::size_t bytes = coded(Codec::q8, kCount);
  const SeawayEncode encode = encoding(Codec::q8, x, m.near);
  const double encoding_out = time_of([&] { return cuda::encode(where, encode); });
  const SeawaySource source{m.near, 1};
  const SeawayFold decode{m.y, &source, 1, kCount, Codec::q8, false, 1, Codec::none, nullptr};
  const double decoding_in = time_of([&] { return cuda::fold(where, decode); });
  const auto line = [](const char* name, std::size_t crossed, double seconds) {
    std::printf("%-44s %8.1f GB/s over the bus, %7.1f GB/s of f32\n", name, crossed / seconds / 1e9,
                kBytes / seconds / 1e9);
  };
  line("a copy to the host", kBytes, down);
  line("a copy from the host", kBytes, up);
  line("encode q8 to pinned memory", bytes, encoding_out);
  line("decode q8 from pinned memory", bytes, decoding_in);
}

// 2048 x 2048, by tiles: what a user may have on a stream. Not cuBLAS, which is no part of the run time.
constexpr int kSide = 2048;
constexpr int kTileSide = 32;
__global__ void multiply(const float* a, const float* b, float* c) {
  __shared__ float left[kTileSide][kTileSide];
  __shared__ float right[kTileSide][kTileSide];
  const int row = static_cast<int>(blockIdx.y) * kTileSide + static_cast<int>(threadIdx.y);
  const int column = static_cast<int>(blockIdx.x) * kTileSide + static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int at = 0; at < kSide; at += kTileSide) {
    left[threadIdx.y][threadIdx.x] = a[row * kSide + at + static_cast<int>(threadIdx.x)];
    right[threadIdx.y][threadIdx.x] = b[(at + static_cast<int>(threadIdx.y)) * kSide + column];
    __syncthreads();
    for (int k = 0; k < kTileSide; ++k) {
      sum += left[threadIdx.y][k] * right[k][threadIdx.x];
    }
    __syncthreads();
  }
  c[row * kSide + column] = sum;
}

double products(cudaStream_t stream, const Memory& m) {
  constexpr int kProducts = 300;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kProducts; ++i) {
    multiply<<<dim3(kSide / kTileSide, kSide / kTileSide), dim3(kTileSide, kTileSide), 0, stream>>>(
        m.residual, m.residual + kSide * kSide, m.residual + 2 * kSide * kSide);
  }
  CHECK(cudaStreamSynchronize(stream));
  return kProducts / std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void beside(const Memory& m) {
  constexpr std::size_t kChunk = (std::size_t{1} << 20) / sizeof(float);
  constexpr double kLink = 10e9 / 8;  // bytes a second, of what is encoded
  cudaStream_t users = nullptr;
  CHECK(cudaStreamCreateWithFlags(&users, cudaStreamNonBlocking));
  products(users, m);
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round) {
    const double alone = products(users, m);
    bool over = false;
    std::size_t chunks = 0;
    std::thread seaway([&] {
      const double pace = coded(Codec::q8, kChunk) / kLink;
      const auto began = std::chrono::steady_clock::now();
      for (; !__atomic_load_n(&over, __ATOMIC_RELAXED); ++chunks) {
        const SeawaySpan x{m.x + chunks % 64 * kChunk, kChunk};
        CHECK(cuda::encode(where, encoding(Codec::q8, x, m.near)));
        const SeawaySource source{m.near, 1};
        CHECK(cuda::fold(where, {m.y, &source, 1, kChunk, Codec::q8, false, 1, Codec::q8, m.codes[0]}));
        const SeawayLeaf leaf{m.y, kChunk * sizeof(float), m.hashes};
        CHECK(cuda::hash(where, &leaf, 1));
        std::this_thread::sleep_until(began + std::chrono::duration<double>((chunks + 1) * pace));
      }
      CHECK(cudaStreamSynchronize(where.stream));
    });
    const double with = products(users, m);
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    seaway.join();
    ratios.push_back(with / alone);
    std::printf("matrix products: %.1f a second alone, %.1f beside %zu chunks: %.3f\n", alone, with, chunks,
                with / alone);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("matrix products beside a link of 10 Gbit/s: %.3f of their throughput alone (median of 5)\n", ratios[2]);
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("not run: there is no GPU\n");
    return 77;
  }
  cudaDeviceProp properties{};
  CHECK(cudaGetDeviceProperties(&properties, 0));
  where.processors = properties.multiProcessorCount;
  CHECK(cudaStreamCreateWithFlags(&where.stream, cudaStreamNonBlocking));
  std::printf("%s, %d multiprocessors, %zu MiB of f32\n", properties.name, where.processors, kBytes >> 20);
  const Memory memory;
  fill<<<1024, 256, 0, where.stream>>>(memory.x, kCount);
  fill<<<1024, 256, 0, where.stream>>>(memory.residual, kCount);
  kernels(memory);
  bus(memory);
  beside(memory);
  return 0;
}
