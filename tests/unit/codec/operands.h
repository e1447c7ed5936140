// What codec tests share: the variants that this processor can run, and encoding into a vector.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "unit/reduce/operands.h"

namespace seaway {

inline std::vector<const CodecKernels*> runnable_codec_kernels() {
  std::vector<const CodecKernels*> kernels{&scalar_codec_kernels()};
#if defined(__x86_64__)
  if (avx2_codec_kernels() != nullptr && __builtin_cpu_supports("avx2") != 0) kernels.push_back(avx2_codec_kernels());
  if (avx512_codec_kernels() != nullptr && __builtin_cpu_supports("avx512f") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512vl") != 0) {
    kernels.push_back(avx512_codec_kernels());
  }
#endif
  return kernels;
}

inline constexpr Codec kEncodings[] = {Codec::bf16, Codec::q8, Codec::q4};

inline std::vector<std::byte> encode(const CodecKernels& kernels, Codec codec, const std::vector<float>& x,
                                     std::vector<float>* residual = nullptr, Rounding rounding = Rounding::nearest,
                                     std::uint64_t key = 0, std::uint64_t stream = 0) {
  std::vector<std::byte> out(encoded_bytes(codec, x.size()));
  kernels.encode({codec, out.data(), x.data(), whole(x.size()), residual != nullptr ? residual->data() : nullptr,
                  rounding, key, stream});
  return out;
}

inline std::vector<float> decode(const CodecKernels& kernels, Codec codec, const std::vector<std::byte>& encoded,
                                 std::size_t count) {
  std::vector<float> out(count);
  kernels.decode(codec, out.data(), encoded.data(), whole(count));
  return out;
}

inline std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

}  // namespace seaway
