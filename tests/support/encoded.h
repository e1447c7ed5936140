// What an encoding says, for tests that know what a result has to be.
#pragma once

#include <cstddef>
#include <vector>

#include "codec/codec.h"

namespace seaway::support {

// A whole tensor at once: chunks are whole blocks of the codec, so how it was cut changes nothing.
inline std::vector<float> as_encoded(Codec codec, std::vector<float> x) {
  if (codec == Codec::none) {
    return x;
  }
  std::vector<std::byte> coded(encoded_bytes(codec, x.size()));
  const CodecKernels& kernels = scalar_codec_kernels();
  kernels.encode({codec, coded.data(), x.data(), whole(x.size()), nullptr, Rounding::nearest, 0, 0});
  kernels.decode(codec, x.data(), coded.data(), whole(x.size()));
  return x;
}

}  // namespace seaway::support
