// The codecs of math.h in AVX-512 instructions. This file alone is compiled for them; elsewhere it is empty. It must emit no
// inline function with external linkage (see reduce/fold.h); everything is in the unnamed namespace.
#include "codec/codec.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include "codec/kernels.h"

namespace seaway {
namespace {

struct Avx512Lanes {
  struct Row {
    __m512 low, high;
  };
  struct Codes {
    __m512i low, high;
  };
  using Magnitudes = __m512i;
  static constexpr std::size_t kFoldRows = 4;

  static Row load(const std::byte* from) { return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 64)}; }
  static void store(std::byte* to, Row row) {
    _mm512_storeu_ps(to, row.low);
    _mm512_storeu_ps(to + 64, row.high);
  }
  static Row add(Row a, Row b) { return {_mm512_add_ps(a.low, b.low), _mm512_add_ps(a.high, b.high)}; }
  static Row multiply(Row a, float b) {
    return {_mm512_mul_ps(a.low, _mm512_set1_ps(b)), _mm512_mul_ps(a.high, _mm512_set1_ps(b))};
  }
  static Row divide(Row a, float b) {
    return {_mm512_div_ps(a.low, _mm512_set1_ps(b)), _mm512_div_ps(a.high, _mm512_set1_ps(b))};
  }

  static __m512 canonical(__m512 a) {
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(math::F32::kNan)));
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a, nan);
  }
  static Row canonical(Row a) { return {canonical(a.low), canonical(a.high)}; }
  static __m512i magnitude(__m512 a) { return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)); }
  static __m512 lost(__m512 wanted, __m512 sent) {
    const __m512 rest = _mm512_sub_ps(wanted, sent);
    const __m512i infinity = _mm512_set1_epi32(static_cast<int>(math::F32::kInfinity));
    return _mm512_maskz_mov_ps(_mm512_cmplt_epi32_mask(magnitude(rest), infinity), rest);
  }
  static Row lost(Row wanted, Row sent) { return {lost(wanted.low, sent.low), lost(wanted.high, sent.high)}; }

  static Magnitudes largest(Magnitudes so_far, Row row) {
    return _mm512_max_epi32(so_far, _mm512_max_epi32(magnitude(row.low), magnitude(row.high)));
  }
  static std::uint32_t reduced(Magnitudes magnitudes) {
    return static_cast<std::uint32_t>(_mm512_reduce_max_epi32(magnitudes));
  }

  static Codes integers(Row a) { return {_mm512_cvtps_epi32(a.low), _mm512_cvtps_epi32(a.high)}; }
  static Codes nearest(Row x, float inverse) { return integers(multiply(x, inverse)); }
  template <class Q>
  static __m512i stepped(__m512i steps, __m512i draw) {
    const __m512i code = _mm512_srai_epi32(_mm512_add_epi32(steps, _mm512_srli_epi32(draw, 1)), 15);
    const __m512i bounded = _mm512_min_epi32(code, _mm512_set1_epi32(Q::kLargestCode));
    return _mm512_max_epi32(bounded, _mm512_set1_epi32(-Q::kLargestCode));
  }
  template <class Q>
  static Codes stochastic(Row x, float inverse, Codes draw) {
    const Codes steps = integers(multiply(multiply(x, inverse), 32768.0f));
    return {stepped<Q>(steps.low, draw.low), stepped<Q>(steps.high, draw.high)};
  }
  static Row floats(Codes codes) { return {_mm512_cvtepi32_ps(codes.low), _mm512_cvtepi32_ps(codes.high)}; }

  // A canonical NaN survives the rounding as the canonical NaN; the highest draw would carry into infinity, not further.
  static __m512i narrow(__m512 a) {
    const __m512i bits = _mm512_castps_si512(canonical(a));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  }
  static __m512i narrow(__m512 a, __m512i draw) {
    return _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(canonical(a)), draw), 16);
  }
  static Codes narrow(Row x) { return {narrow(x.low), narrow(x.high)}; }
  static Codes narrow_stochastic(Row x, Codes draw) { return {narrow(x.low, draw.low), narrow(x.high, draw.high)}; }
  static Row widen(Codes codes) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(codes.low, 16)),
            _mm512_castsi512_ps(_mm512_slli_epi32(codes.high, 16))};
  }

  static __m128i load_128(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
  static void store_128(std::byte* to, __m128i value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value); }
  static __m256i load_256(const std::byte* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static void store_256(std::byte* to, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }

  template <class Code>
  static Codes load_codes(const std::byte* from) {
    if constexpr (Code::kRowBytes == Half::kRowBytes) {
      return {_mm512_cvtepu16_epi32(load_256(from)), _mm512_cvtepu16_epi32(load_256(from + 32))};
    } else if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      return {_mm512_cvtepi8_epi32(load_128(from)), _mm512_cvtepi8_epi32(load_128(from + 16))};
    } else {
      // Shifted to the top of its 32 bits and back, a half byte brings its sign along.
      const __m512i both = _mm512_cvtepi8_epi32(load_128(from));
      return {_mm512_srai_epi32(_mm512_slli_epi32(both, 28), 28), _mm512_srai_epi32(both, 4)};
    }
  }
  template <class Code>
  static void store_codes(std::byte* to, Codes codes) {
    if constexpr (Code::kRowBytes == Half::kRowBytes) {
      store_256(to, _mm512_cvtepi32_epi16(codes.low));
      store_256(to + 32, _mm512_cvtepi32_epi16(codes.high));
    } else if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      store_128(to, _mm512_cvtepi32_epi8(codes.low));
      store_128(to + 16, _mm512_cvtepi32_epi8(codes.high));
    } else {
      const __m512i low = _mm512_and_si512(codes.low, _mm512_set1_epi32(15));
      store_128(to, _mm512_cvtepi32_epi8(_mm512_or_si512(low, _mm512_slli_epi32(codes.high, 4))));
    }
  }

  // --- random bits: sixteen counters at once ---

  struct Product {
    __m512i low, high;
  };
  static Product wide_product(__m512i a, std::uint32_t b) {
    const __m512i factor = _mm512_set1_epi32(static_cast<int>(b));
    const __m512i even = _mm512_mul_epu32(a, factor);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), factor);
    constexpr __mmask16 kOdd = 0xaaaa;
    return {_mm512_mask_blend_epi32(kOdd, even, _mm512_slli_epi64(odd, 32)),
            _mm512_mask_blend_epi32(kOdd, _mm512_srli_epi64(even, 32), odd)};
  }
  static __m512i all(std::uint64_t value) {
    return _mm512_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(value)));
  }

  static void draw(std::uint32_t counter, std::uint64_t key, std::uint64_t stream, Codes* rows) {
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i word[4] = {_mm512_add_epi32(all(counter), lane), all(stream), all(stream >> 32), all(0)};
    __m512i key0 = all(key);
    __m512i key1 = all(key >> 32);
    for (int round = 0; round < math::kPhiloxRounds; ++round) {
      const Product left = wide_product(word[0], math::kPhiloxMultiplier0);
      const Product right = wide_product(word[2], math::kPhiloxMultiplier1);
      word[0] = _mm512_xor_si512(_mm512_xor_si512(right.high, word[1]), key0);
      word[1] = right.low;
      word[2] = _mm512_xor_si512(_mm512_xor_si512(left.high, word[3]), key1);
      word[3] = left.low;
      key0 = _mm512_add_epi32(key0, all(math::kPhiloxKeyStep0));
      key1 = _mm512_add_epi32(key1, all(math::kPhiloxKeyStep1));
    }
    for (std::size_t row = 0; row < kGroupRows; ++row) {
      rows[row] = {_mm512_and_si512(word[row], _mm512_set1_epi32(0xffff)), _mm512_srli_epi32(word[row], 16)};
    }
  }
};

constinit const CodecKernels kAvx512CodecKernels = codec_table<Avx512Lanes>("avx512");

}  // namespace

const CodecKernels* avx512_codec_kernels() { return &kAvx512CodecKernels; }

}  // namespace seaway

#else

namespace seaway {

const CodecKernels* avx512_codec_kernels() { return nullptr; }

}  // namespace seaway

#endif
