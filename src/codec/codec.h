// Codecs: how f32 values travel in fewer bytes, and how a root adds up contributions that came encoded.
//
//         block   bytes a block   scale                          codes            of f32, in bytes
//   none      -               -   -                              f32              1
//   bf16      -               -   -                              bf16             .5
//   q8      256             258   (absmax / 127) up to a bf16    -127..127        .252
//   q4       32              18   (absmax / 7) up to a bf16      -7..7            .141
//
// A chunk is encoded on its own: the scales of all its blocks, as bf16, then the codes of all its blocks. The last block
// may be short and has codes for the elements that it has. A code of q8 is a byte. In q4 byte j of a block holds element
// j in its low half and element j + 16 in its high half, each in two's complement; a block of m elements has min(m, 16)
// bytes, and a half without an element is 0. All numbers are little-endian.
//
// Rules that hold for every kernel of every variant (codec/math.h is the definition, a variant a faster way to compute it):
// - A value is code * scale. Both have so few digits that this is exact in f32, so a sum over values rounds nowhere else
//   than in its additions: fused or not, all variants and all machines have the same bits.
// - Rounding to nearest even: the code is x * (1 / scale), rounded. Stochastic: up or down, so that the mean over draws is
//   the number itself. Draws come of Philox4x32-10 by key, stream and element, so that whoever encodes again gets the same.
// - All zeros: codes 0, which decode to +0; so does every -0 of q8 and q4. bf16 keeps the sign.
// - A scale is at least 2^-126. In a block that is smaller than 127 (7) times that, what is below 2^-127 is 0, and no
//   arithmetic on the way has a subnormal scale or an infinite 1 / scale.
// - A scale is at most the largest whose product with 127 (7) is finite, and no code is beyond 127 (7): what was finite
//   stays finite, the largest float too.
// - NaN or Inf anywhere in a block of q8 or q4: its scale is the canonical NaN, its codes are 0, and the receiver sees the
//   canonical NaN in each of its elements. A number that is not one must not vanish, and a scale cannot say where it was.
//   bf16 keeps Inf, makes every NaN the canonical one, and rounds what is beyond its range to Inf.
// - Whatever bytes arrive decode to something: a hostile scale, or -128, is a number like any other.
// - NaN in a result, the floating-point environment, alignment, allocation: as in reduce/reduce.h. What is encoded must not
//   overlap its encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.h"

namespace seaway {

// Bytes of a chunk of `count` elements.
std::size_t encoded_bytes(Codec codec, std::size_t count);

// Elements [first, first + count) of a chunk: a kernel may go through a chunk piece by piece, while whoever is next to read
// still finds it in the cache. All pointers beside a piece are those of whole chunks.
struct Piece {
  std::size_t first;  // a multiple of kPieceGrain
  std::size_t count;  // so is this, unless the piece ends the chunk
  std::size_t chunk;  // the elements of the chunk; below kMaxChunk
};
inline constexpr std::size_t kPieceGrain = 256;
inline constexpr std::size_t kMaxChunk = std::size_t{1} << 35;
constexpr Piece whole(std::size_t count) { return {0, count, count}; }

enum class Rounding : std::uint8_t { nearest, stochastic };

struct EncodeArgs {
  Codec codec;  // not none
  void* dst;    // encoded_bytes(codec, piece.chunk) bytes
  const void* src;
  Piece piece;
  // Error feedback, or null: f32 as many as src. What is encoded is src + residual, and what that lost becomes the new
  // residual; 0 where it would not be finite, for what cannot be sent now cannot be sent later.
  void* residual;
  Rounding rounding;
  // Read by stochastic rounding. Two that encode different data take different keys (of the op and the sender), two chunks of
  // one op different streams (its first element, say): equal draws would make errors add up instead of cancelling.
  std::uint64_t key;
  std::uint64_t stream;
  // The residual is added and not rewritten: whoever does not yet know whether this will count encodes again once he does.
  bool residual_stays = false;
};

struct EncodedSource {
  const void* data;
  Codec codec;    // none: f32
  double weight;  // read by avg only
};

// Sums and averages as reduce/reduce.h defines them for f32, over sources of which each may be encoded.
struct FoldArgs {
  void* dst;                               // f32; may be exactly a source that is not encoded
  std::span<const EncodedSource> sources;  // in roster order, at least one
  Piece piece;
  double weight_sum;  // read by avg only
};

// One variant of every kernel. Which one suits this processor is decided above the purity line.
struct CodecKernels {
  const char* name;
  void (*encode)(const EncodeArgs&);
  void (*sum)(const FoldArgs&);
  void (*avg)(const FoldArgs&);

  // f32 out of one encoding: the sum of one source.
  void decode(Codec codec, void* dst, const void* src, const Piece& piece) const;
};

const CodecKernels& scalar_codec_kernels();                        // "scalar": runs everywhere
const CodecKernels* avx2_codec_kernels();                          // "avx2": needs AVX2; null when not compiled in
const CodecKernels* avx512_codec_kernels();                        // "avx512": needs F, BW, DQ, VL; null likewise
const CodecKernels* codec_kernels_by_name(std::string_view name);  // null for a name that is not compiled in

}  // namespace seaway
