// Kernels and memcpy taking turns: how many bytes of f32 each gets through in a second, as a ratio. The median of the pairs is
// what counts, for whatever else the machine does meets both sides of a pair alike. Reductions are held against a plain loop,
// dst += src, as well.
//   bench_against_memcpy [--mib 1024] [--pairs 11] [--filter q8]
// Twice: over buffers of --mib, which no cache holds, and over a chunk of 512 KiB that stays in the cache.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "codec/codec.h"
#include "reduce/reduce.h"
#include "reduce/vector.h"

namespace seaway {
namespace {

struct Options {
  std::size_t mib = 1024;
  std::size_t pairs = 11;
  std::string filter;
};

// Aligned to a cache line, as tensors are; written once, so that it is there before it is measured.
template <class T>
struct Memory {
  explicit Memory(std::size_t count) : start(static_cast<T*>(std::aligned_alloc(64, count * sizeof(T)))) {
    std::memset(start, 0, count * sizeof(T));
  }
  ~Memory() { std::free(start); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  T* data() { return start; }
  T* const start;
};

struct Buffers {
  std::size_t count;
  Memory<float> src, dst, residual;
  Memory<std::byte> encoded;
  explicit Buffers(std::size_t elements)
      : count(elements), src(elements), dst(elements), residual(elements), encoded(elements * 4) {
    Random random(1);
    for (std::size_t i = 0; i < count; ++i) {
      src.data()[i] = static_cast<float>(static_cast<std::int64_t>(random.next()) >> 20) * 0x1p-40f;
    }
  }
};

struct Case {
  std::string name;
  std::function<void(Buffers&)> prepare;
  std::function<void(Buffers&)> run;
};

Case encode_case(const CodecKernels& kernels, Codec codec, Rounding rounding, bool feedback) {
  const std::string how =
      std::string(rounding == Rounding::stochastic ? ", stochastic" : "") + (feedback ? ", feedback" : "");
  return {std::string(name_of(codec)) + " encode" + how + "/" + kernels.name, [](Buffers&) {},
          [&kernels, codec, rounding, feedback](Buffers& b) {
            kernels.encode({codec, b.encoded.data(), b.src.data(), whole(b.count),
                            feedback ? b.residual.data() : nullptr, rounding, 1, 2});
          }};
}

// dst += what came, or the sum of `sources` that came.
Case fold_case(const CodecKernels& kernels, Codec codec, std::size_t sources) {
  const std::string what = sources == 0   ? " decode"
                           : sources == 1 ? " decode-add"
                                          : " sum of " + std::to_string(sources);
  return {std::string(name_of(codec)) + what + "/" + kernels.name,
          [codec](Buffers& b) {
            scalar_codec_kernels().encode(
                {codec, b.encoded.data(), b.src.data(), whole(b.count), nullptr, Rounding::nearest, 0, 0});
          },
          [&kernels, codec, sources](Buffers& b) {
            std::vector<EncodedSource> from(std::max<std::size_t>(sources, 1), {b.encoded.data(), codec, 1});
            if (sources == 1) from.insert(from.begin(), {b.dst.data(), Codec::none, 1});
            kernels.sum({b.dst.data(), from, whole(b.count), 1});
          }};
}

Case reduce_case(const Kernels& kernels) {
  return {std::string("f32 dst += src/") + kernels.name, [](Buffers&) {},
          [&kernels](Buffers& b) {
            const Source sources[] = {{b.dst.data(), 1}, {b.src.data(), 1}};
            kernels.reduce(DType::f32, Reduction::sum)({b.dst.data(), sources, b.count, 1});
          }};
}

void add_vector_cases(std::vector<Case>& cases, const VectorKernels& kernels) {
  const std::string by = std::string("/") + kernels.name;
  const auto nothing = [](Buffers&) {};
  cases.push_back({"lincomb of 2" + by, nothing, [&kernels](Buffers& b) {
                     const Term terms[] = {{b.dst.data(), .5f}, {b.src.data(), .5f}};
                     kernels.lincomb({b.dst.data(), terms, b.count});
                   }});
  cases.push_back({"sqnorm" + by, nothing, [&kernels](Buffers& b) {
                     volatile double norm = kernels.sqnorm(b.src.data(), b.count);
                     static_cast<void>(norm);
                   }});
  cases.push_back({"outer_step" + by, nothing, [&kernels](Buffers& b) {
                     kernels.outer_step({b.dst.data(), b.residual.data(), b.src.data(), b.count, .7f, .9f, true});
                   }});
}

[[gnu::noinline]] void plain_loop(float* dst, const float* src, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) dst[i] += src[i];
}

std::vector<Case> all_cases() {
  std::vector<const CodecKernels*> codecs{&scalar_codec_kernels()};
  std::vector<const Kernels*> reductions{&scalar_kernels()};
  std::vector<const VectorKernels*> vectors{&scalar_vector_kernels()};
#if defined(__x86_64__)
  if (avx2_codec_kernels() != nullptr && __builtin_cpu_supports("avx2") != 0) {
    codecs.push_back(avx2_codec_kernels());
    vectors.push_back(avx2_vector_kernels());
  }
  if (avx512_codec_kernels() != nullptr && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0) {
    codecs.push_back(avx512_codec_kernels());
    vectors.push_back(avx512_vector_kernels());
  }
  if (avx2_kernels() != nullptr && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("f16c") != 0) {
    reductions.push_back(avx2_kernels());
  }
  if (avx512_kernels() != nullptr && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0) {
    reductions.push_back(avx512_kernels());
  }
#endif
  std::vector<Case> cases;
  for (const CodecKernels* kernels : codecs) {
    for (Codec codec : {Codec::bf16, Codec::q8, Codec::q4}) {
      cases.push_back(encode_case(*kernels, codec, Rounding::nearest, false));
      cases.push_back(fold_case(*kernels, codec, 0));
      cases.push_back(fold_case(*kernels, codec, 1));
    }
    cases.push_back(encode_case(*kernels, Codec::q8, Rounding::stochastic, false));
    cases.push_back(encode_case(*kernels, Codec::q8, Rounding::nearest, true));
    cases.push_back(fold_case(*kernels, Codec::q8, 4));
  }
  for (const Kernels* kernels : reductions) cases.push_back(reduce_case(*kernels));
  for (const VectorKernels* kernels : vectors) add_vector_cases(cases, *kernels);
  return cases;
}

// Seconds for one pass over the buffers, of as many as fit into a few milliseconds.
double seconds(const std::function<void()>& pass, std::size_t passes) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < passes; ++i) {
    pass();
    asm volatile("" : : : "memory");
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / static_cast<double>(passes);
}

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

void measure(const Options& options, std::size_t count, std::size_t passes) {
  Buffers buffers(count);
  const double gigabytes = static_cast<double>(count) * 4e-9;
  const auto copy = [&] { std::memcpy(buffers.dst.data(), buffers.src.data(), count * 4); };
  const auto loop = [&] { plain_loop(buffers.dst.data(), buffers.src.data(), count); };
  std::printf("\n%zu KiB of f32, %zu pairs\n%-32s %8s %8s %14s %10s\n", count / 256, options.pairs, "", "GB/s",
              "memcpy", "of memcpy", "of loop");
  for (const Case& c : all_cases()) {
    if (c.name.find(options.filter) == std::string::npos) continue;
    const bool reduces = c.name.starts_with("f32");
    const auto run = [&] { c.run(buffers); };
    c.prepare(buffers);
    seconds(copy, 1);
    seconds(run, 1);
    std::vector<double> of_copy, of_loop, rates, copies;
    for (std::size_t pair = 0; pair < options.pairs; ++pair) {
      const double copied = seconds(copy, passes);
      const double ran = seconds(run, passes);
      of_copy.push_back(copied / ran);
      if (reduces) of_loop.push_back(seconds(loop, passes) / ran);
      rates.push_back(gigabytes / ran);
      copies.push_back(gigabytes / copied);
    }
    const auto [low, high] = std::minmax_element(of_copy.begin(), of_copy.end());
    std::printf("%-32s %8.2f %8.2f %5.2f (%.2f-%.2f)", c.name.c_str(), median(rates), median(copies), median(of_copy),
                *low, *high);
    if (reduces) std::printf(" %8.2f", median(of_loop));
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace seaway

int main(int argc, char** argv) {
  seaway::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--mib") options.mib = std::strtoul(argv[i + 1], nullptr, 10);
    if (name == "--pairs") options.pairs = std::strtoul(argv[i + 1], nullptr, 10);
    if (name == "--filter") options.filter = argv[i + 1];
  }
  if (options.mib == 0 || options.pairs == 0 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: bench_against_memcpy [--mib 1024] [--pairs 11] [--filter TEXT]\n");
    return 2;
  }
  seaway::measure(options, options.mib << 18, 1);
  seaway::measure(options, std::size_t{128} << 10, 40);
}
