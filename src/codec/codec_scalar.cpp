// The variant that runs everywhere: math.h applied to short arrays, which compilers turn into vector instructions where
// the processor's baseline has them.
#include "codec/kernels.h"

namespace seaway {
namespace {

struct ScalarLanes {
  struct Row {
    float lane[kRow];
  };
  struct Codes {
    std::int32_t lane[kRow];
  };
  using Magnitudes = Codes;
  static constexpr std::size_t kFoldRows = 1;

  static Row load(const std::byte* from) {
    Row row;
    std::memcpy(row.lane, from, sizeof row.lane);
    return row;
  }
  static void store(std::byte* to, const Row& row) { std::memcpy(to, row.lane, sizeof row.lane); }

  template <class To, class Function>
  static To each(Function function) {
    To to;
    for (std::size_t i = 0; i < kRow; ++i) {
      to.lane[i] = function(i);
    }
    return to;
  }

  static Row add(const Row& a, const Row& b) {
    return each<Row>([&](std::size_t i) { return a.lane[i] + b.lane[i]; });
  }
  static Row multiply(const Row& a, float b) {
    return each<Row>([&](std::size_t i) { return math::product(a.lane[i], b); });
  }
  static Row divide(const Row& a, float b) {
    return each<Row>([&](std::size_t i) { return a.lane[i] / b; });
  }
  static Row canonical(const Row& a) {
    return each<Row>(
        [&](std::size_t i) { return math::F32::widen(math::canonical<math::F32>(math::F32::narrow(a.lane[i]))); });
  }
  static Row lost(const Row& wanted, const Row& sent) {
    return each<Row>([&](std::size_t i) { return math::lost(wanted.lane[i], sent.lane[i]); });
  }

  static Magnitudes largest(const Magnitudes& so_far, const Row& row) {
    return each<Magnitudes>([&](std::size_t i) {
      const std::int32_t magnitude = static_cast<std::int32_t>(math::magnitude_bits(row.lane[i]));
      return magnitude > so_far.lane[i] ? magnitude : so_far.lane[i];
    });
  }
  static std::uint32_t reduced(const Magnitudes& magnitudes) {
    std::int32_t largest = 0;
    for (const std::int32_t magnitude : magnitudes.lane) {
      largest = magnitude > largest ? magnitude : largest;
    }
    return static_cast<std::uint32_t>(largest);
  }

  static Codes nearest(const Row& x, float inverse) {
    return each<Codes>([&](std::size_t i) { return math::nearest(x.lane[i], inverse); });
  }
  template <class Q>
  static Codes stochastic(const Row& x, float inverse, const Codes& draws) {
    return each<Codes>([&](std::size_t i) {
      return math::stochastic<Q>(x.lane[i], inverse, static_cast<std::uint32_t>(draws.lane[i]));
    });
  }
  static Row floats(const Codes& codes) {
    return each<Row>([&](std::size_t i) { return static_cast<float>(codes.lane[i]); });
  }
  static Codes narrow(const Row& x) {
    return each<Codes>([&](std::size_t i) { return math::f32_to_bf16(x.lane[i]); });
  }
  static Codes narrow_stochastic(const Row& x, const Codes& draws) {
    return each<Codes>(
        [&](std::size_t i) { return math::bf16_stochastic(x.lane[i], static_cast<std::uint32_t>(draws.lane[i])); });
  }
  static Row widen(const Codes& codes) {
    return each<Row>([&](std::size_t i) { return math::bf16_to_f32(static_cast<std::uint16_t>(codes.lane[i])); });
  }

  template <class Stored>
  static Codes load_each(const std::byte* from) {
    Stored stored[kRow];
    std::memcpy(stored, from, sizeof stored);
    return each<Codes>([&](std::size_t i) { return std::int32_t{stored[i]}; });
  }
  template <class Code>
  static Codes load_codes(const std::byte* from) {
    if constexpr (Code::kRowBytes == Half::kRowBytes) {
      return load_each<std::uint16_t>(from);
    } else if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      return load_each<std::int8_t>(from);
    } else {
      return each<Codes>([&](std::size_t i) {
        const std::int32_t both = static_cast<std::int32_t>(from[i % 16]);
        return ((i < 16 ? both & 15 : both >> 4) ^ 8) - 8;
      });
    }
  }

  template <class Stored>
  static void store_each(std::byte* to, const Codes& codes) {
    Stored stored[kRow];
    for (std::size_t i = 0; i < kRow; ++i) {
      stored[i] = static_cast<Stored>(codes.lane[i]);
    }
    std::memcpy(to, stored, sizeof stored);
  }
  template <class Code>
  static void store_codes(std::byte* to, const Codes& codes) {
    if constexpr (Code::kRowBytes == Half::kRowBytes) {
      store_each<std::uint16_t>(to, codes);
    } else if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      store_each<std::int8_t>(to, codes);
    } else {
      for (std::size_t j = 0; j < 16; ++j) {
        to[j] = static_cast<std::byte>((codes.lane[j] & 15) | ((codes.lane[j + 16] & 15) << 4));
      }
    }
  }

  static void draw(std::uint32_t counter, std::uint64_t key, std::uint64_t stream, Codes* rows) {
    for (std::uint32_t i = 0; i < 16; ++i) {
      const math::Philox random = math::philox(math::philox_counter(counter + i, stream), key);
      for (std::size_t word = 0; word < kGroupRows; ++word) {
        rows[word].lane[i] = static_cast<std::int32_t>(random.word[word] & 0xffffu);
        rows[word].lane[i + 16] = static_cast<std::int32_t>(random.word[word] >> 16);
      }
    }
  }
};

constinit const CodecKernels kScalarCodecKernels = codec_table<ScalarLanes>("scalar");

}  // namespace

const CodecKernels& scalar_codec_kernels() { return kScalarCodecKernels; }

}  // namespace seaway
