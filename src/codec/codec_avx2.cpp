// The codecs of math.h in AVX2 instructions. This file alone is compiled for them; elsewhere it is empty. It must emit no
// inline function with external linkage (see reduce/fold.h); everything is in the unnamed namespace.
#include "codec/codec.h"

#if defined(__AVX2__)

#include <immintrin.h>

#include "codec/kernels.h"

namespace seaway {
namespace {

__m256i load_256(const std::byte* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
void store_256(std::byte* to, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
__m256i load_bytes(const std::byte* from) {  // eight bytes as eight numbers
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}
__m256i all(std::uint64_t value) { return _mm256_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(value))); }

struct Avx2Lanes {
  static constexpr std::size_t kVectors = 4;
  struct Row {
    __m256 v[kVectors];
  };
  struct Codes {
    __m256i v[kVectors];
  };
  using Magnitudes = __m256i;
  static constexpr std::size_t kFoldRows = 2;

  template <class To, class Function>
  [[gnu::always_inline]] static To each(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
  }

  static Row load(const std::byte* from) {
    return each<Row>([&](std::size_t v) { return _mm256_castsi256_ps(load_256(from + v * 32)); });
  }
  static void store(std::byte* to, const Row& row) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      store_256(to + v * 32, _mm256_castps_si256(row.v[v]));
    }
  }
  static Row add(const Row& a, const Row& b) {
    return each<Row>([&](std::size_t v) { return _mm256_add_ps(a.v[v], b.v[v]); });
  }
  static Row multiply(const Row& a, float b) {
    return each<Row>([&](std::size_t v) { return _mm256_mul_ps(a.v[v], _mm256_set1_ps(b)); });
  }
  static Row divide(const Row& a, float b) {
    return each<Row>([&](std::size_t v) { return _mm256_div_ps(a.v[v], _mm256_set1_ps(b)); });
  }

  static __m256 canonical(__m256 a) {
    return _mm256_blendv_ps(a, _mm256_castsi256_ps(all(math::F32::kNan)), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  }
  static Row canonical(const Row& a) {
    return each<Row>([&](std::size_t v) { return canonical(a.v[v]); });
  }
  static __m256i magnitude(__m256 a) { return _mm256_and_si256(_mm256_castps_si256(a), all(0x7fffffff)); }
  static Row lost(const Row& wanted, const Row& sent) {
    return each<Row>([&](std::size_t v) {
      const __m256 rest = _mm256_sub_ps(wanted.v[v], sent.v[v]);
      const __m256i finite = _mm256_cmpgt_epi32(all(math::F32::kInfinity), magnitude(rest));
      return _mm256_and_ps(rest, _mm256_castsi256_ps(finite));
    });
  }

  static Magnitudes largest(Magnitudes so_far, const Row& row) {
    const __m256i a = _mm256_max_epi32(magnitude(row.v[0]), magnitude(row.v[1]));
    const __m256i b = _mm256_max_epi32(magnitude(row.v[2]), magnitude(row.v[3]));
    return _mm256_max_epi32(so_far, _mm256_max_epi32(a, b));
  }
  static std::uint32_t reduced(Magnitudes magnitudes) {
    const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(magnitudes), _mm256_extracti128_si256(magnitudes, 1));
    const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    const __m128i one = _mm_max_epi32(two, _mm_shuffle_epi32(two, _MM_SHUFFLE(2, 3, 0, 1)));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(one));
  }

  static Codes integers(const Row& a) {
    return each<Codes>([&](std::size_t v) { return _mm256_cvtps_epi32(a.v[v]); });
  }
  static Codes nearest(const Row& x, float inverse) { return integers(multiply(x, inverse)); }
  template <class Q>
  static Codes stochastic(const Row& x, float inverse, const Codes& draw) {
    const Codes steps = integers(multiply(multiply(x, inverse), 32768.0f));
    return each<Codes>([&](std::size_t v) {
      const __m256i code = _mm256_srai_epi32(_mm256_add_epi32(steps.v[v], _mm256_srli_epi32(draw.v[v], 1)), 15);
      const __m256i bounded = _mm256_min_epi32(code, _mm256_set1_epi32(Q::kLargestCode));
      return _mm256_max_epi32(bounded, _mm256_set1_epi32(-Q::kLargestCode));
    });
  }
  static Row floats(const Codes& codes) {
    return each<Row>([&](std::size_t v) { return _mm256_cvtepi32_ps(codes.v[v]); });
  }

  // A canonical NaN survives the rounding as the canonical NaN; the highest draw would carry into infinity, not further.
  static Codes narrow(const Row& x) {
    return each<Codes>([&](std::size_t v) {
      const __m256i bits = _mm256_castps_si256(canonical(x.v[v]));
      const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), all(1));
      return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, all(0x7fff))), 16);
    });
  }
  static Codes narrow_stochastic(const Row& x, const Codes& draw) {
    return each<Codes>([&](std::size_t v) {
      return _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(canonical(x.v[v])), draw.v[v]), 16);
    });
  }
  static Row widen(const Codes& codes) {
    return each<Row>([&](std::size_t v) { return _mm256_castsi256_ps(_mm256_slli_epi32(codes.v[v], 16)); });
  }

  template <class Code>
  static Codes load_codes(const std::byte* from) {
    if constexpr (Code::kRowBytes == Half::kRowBytes) {
      return each<Codes>([&](std::size_t v) {
        return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + v * 16)));
      });
    } else if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      return each<Codes>([&](std::size_t v) { return load_bytes(from + v * 8); });
    } else {
      // Shifted to the top of its 32 bits and back, a half byte brings its sign along.
      return each<Codes>([&](std::size_t v) {
        const __m256i both = load_bytes(from + v % 2 * 8);
        return _mm256_srai_epi32(v < 2 ? _mm256_slli_epi32(both, 28) : both, v < 2 ? 28 : 4);
      });
    }
  }
  // Packing works within 128 bits; the permutations put the quarters back into order.
  template <class Code>
  static void store_codes(std::byte* to, const Codes& codes) {
    const __m256i* v = codes.v;
    if constexpr (Code::kRowBytes == Half::kRowBytes) {
      store_256(to, _mm256_permute4x64_epi64(_mm256_packus_epi32(v[0], v[1]), _MM_SHUFFLE(3, 1, 2, 0)));
      store_256(to + 32, _mm256_permute4x64_epi64(_mm256_packus_epi32(v[2], v[3]), _MM_SHUFFLE(3, 1, 2, 0)));
    } else if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
      store_256(to, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    } else {
      const auto both = [&](std::size_t i) {
        const __m256i high = _mm256_and_si256(_mm256_slli_epi32(v[i + 2], 4), all(0xf0));
        return _mm256_or_si256(_mm256_and_si256(v[i], all(0x0f)), high);
      };
      const __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(both(0), both(1)), _MM_SHUFFLE(3, 1, 2, 0));
      const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    }
  }

  // --- random bits: eight counters at once ---

  struct Product {
    __m256i low, high;
  };
  static Product wide_product(__m256i a, std::uint32_t b) {
    const __m256i even = _mm256_mul_epu32(a, all(b));
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), all(b));
    return {_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa),
            _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)};
  }

  static void draw(std::uint32_t counter, std::uint64_t key, std::uint64_t stream, Codes* rows) {
    for (std::uint32_t half = 0; half < 2; ++half) {
      const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      __m256i word[4] = {_mm256_add_epi32(all(counter + half * 8), lane), all(stream), all(stream >> 32), all(0)};
      __m256i key0 = all(key);
      __m256i key1 = all(key >> 32);
      for (int round = 0; round < math::kPhiloxRounds; ++round) {
        const Product left = wide_product(word[0], math::kPhiloxMultiplier0);
        const Product right = wide_product(word[2], math::kPhiloxMultiplier1);
        word[0] = _mm256_xor_si256(_mm256_xor_si256(right.high, word[1]), key0);
        word[1] = right.low;
        word[2] = _mm256_xor_si256(_mm256_xor_si256(left.high, word[3]), key1);
        word[3] = left.low;
        key0 = _mm256_add_epi32(key0, all(math::kPhiloxKeyStep0));
        key1 = _mm256_add_epi32(key1, all(math::kPhiloxKeyStep1));
      }
      for (std::size_t row = 0; row < kGroupRows; ++row) {
        rows[row].v[half] = _mm256_and_si256(word[row], all(0xffff));
        rows[row].v[half + 2] = _mm256_srli_epi32(word[row], 16);
      }
    }
  }
};

constinit const CodecKernels kAvx2CodecKernels = codec_table<Avx2Lanes>("avx2");

}  // namespace

const CodecKernels* avx2_codec_kernels() { return &kAvx2CodecKernels; }

}  // namespace seaway

#else

namespace seaway {

const CodecKernels* avx2_codec_kernels() { return nullptr; }

}  // namespace seaway

#endif
