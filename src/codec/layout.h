// Where the scales and codes of a chunk lie (codec/codec.h). Every kernel of every variant has it, the CUDA compiler too.
#pragma once

#include <cstddef>

#include "codec/math.h"

namespace seaway {

constexpr std::size_t kRow = 32;

// How a codec lies in memory: kRowBytes for 32 codes, a scale for each kBlock elements where there are any.
struct Plain {
  static constexpr std::size_t kBlock = 0;
  static constexpr std::size_t kRowBytes = 128;
};
struct Half {
  static constexpr std::size_t kBlock = 0;
  static constexpr std::size_t kRowBytes = 64;
};
struct Byte : math::Q8 {
  static constexpr std::size_t kRowBytes = 32;
};
struct Nibble : math::Q4 {
  static constexpr std::size_t kRowBytes = 16;
};

template <class Code>
SEAWAY_HD inline std::size_t scale_bytes(std::size_t count) {
  if constexpr (Code::kBlock == 0) {
    return 0;
  } else {
    return (count + Code::kBlock - 1) / Code::kBlock * 2;
  }
}

// Bytes of the codes of `count` elements that begin a row.
template <class Code>
SEAWAY_HD inline std::size_t code_bytes(std::size_t count) {
  const std::size_t rest = count % kRow;
  const std::size_t most = Code::kRowBytes == 16 ? 16 : kRow;
  return count / kRow * Code::kRowBytes + (rest < most ? rest : most) * (Code::kRowBytes / most);
}

}  // namespace seaway
