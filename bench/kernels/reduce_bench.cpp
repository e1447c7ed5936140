// Reduction kernels, each variant this processor runs. The default case is one segment of a collective: 4 sources of
// 256 KiB. bytes_per_second counts the bytes read from the sources (what a link delivers), not the write of dst.
//   reduce_bench --benchmark_filter=avx2
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "reduce/reduce.h"

namespace seaway {
namespace {

struct Shape {
  DType dtype;
  Reduction reduction;
  std::size_t sources;
  std::size_t bytes_each;
};

void reduce(benchmark::State& state, const Kernels* kernels, Shape shape) {
  // Every element is 1 or near it, so that no product or sum leaves the normal range, which would be slower.
  const std::uint64_t ones[] = {0, 0x3f8000003f800000, 0x3ff0000000000000, 0x3c003c003c003c00, 0x3f803f803f803f80};
  const std::uint64_t pattern = is_floating(shape.dtype) ? ones[static_cast<int>(shape.dtype)] : 0x0101010101010101;
  std::vector<std::vector<std::uint64_t>> operands(shape.sources,
                                                   std::vector<std::uint64_t>(shape.bytes_each / 8, pattern));
  std::vector<std::uint64_t> dst(shape.bytes_each / 8);
  std::vector<Source> sources;
  for (const auto& operand : operands) sources.push_back({operand.data(), 1.0});
  const ReduceArgs args{dst.data(), sources, shape.bytes_each / size_of(shape.dtype),
                        static_cast<double>(shape.sources)};
  const ReduceFunction kernel = kernels->reduce(shape.dtype, shape.reduction);
  for (auto _ : state) {
    kernel(args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(shape.sources * shape.bytes_each));
}

void register_all() {
  std::vector<const Kernels*> variants{&scalar_kernels()};
#if defined(__x86_64__)
  if (avx2_kernels() != nullptr && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("f16c") != 0) {
    variants.push_back(avx2_kernels());
  }
  if (avx512_kernels() != nullptr && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0) {
    variants.push_back(avx512_kernels());
  }
#endif
  std::vector<Shape> shapes;
  for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    for (Reduction reduction : kAllReductions) shapes.push_back({dtype, reduction, 4, 256 << 10});
  }
  for (DType dtype : {DType::i8, DType::i32, DType::u64}) {
    for (Reduction reduction : {Reduction::sum, Reduction::max, Reduction::prod}) {
      shapes.push_back({dtype, reduction, 4, 256 << 10});
    }
  }
  for (std::size_t sources : {2u, 16u, 64u}) shapes.push_back({DType::f32, Reduction::sum, sources, 256 << 10});
  shapes.push_back({DType::f32, Reduction::sum, 4, 16 << 20});
  for (const Shape& shape : shapes) {
    for (const Kernels* kernels : variants) {
      const std::string name = std::string(name_of(shape.dtype)) + "/" + name_of(shape.reduction) + "/" +
                               std::to_string(shape.sources) + "x" + std::to_string(shape.bytes_each >> 10) + "KiB/" +
                               kernels->name;
      benchmark::RegisterBenchmark(name.c_str(), reduce, kernels, shape);
    }
  }
}

}  // namespace
}  // namespace seaway

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  seaway::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
