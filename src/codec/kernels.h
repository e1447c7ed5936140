// The shape of every codec kernel. Everything goes by rows of 32 elements: a block of q4 is one row, a block of q8 eight,
// and 8 rows are what the loops take at once. `Lanes` says what a row is in the registers of a variant.
//
// Lanes:  Row (32 f32), Codes (32 int32), kFoldRows (the rows of a fold that stay in registers)
//         load, store                      a Row from and to memory
//         add, multiply, divide            of two Rows; of a Row and a float
//         canonical, lost                  math.h's, for a Row
//         Magnitudes, largest, reduced     a running maximum of magnitude_bits, and what it comes to
//         nearest, stochastic<Q>, floats   Row to Codes by the inverse of a scale; Codes to Row
//         narrow, narrow_stochastic, widen f32 to bf16 and back, a bf16 in an int32
//         load_codes<C>, store_codes<C>    32 codes as they travel
//         draw                             the random bits of four rows, by the first of their counters
//
// Lanes live in unnamed namespaces, for the reason that reduce/fold.h gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/assert.h"
#include "codec/codec.h"
#include "codec/layout.h"
#include "codec/math.h"
#include "reduce/fp_environment.h"

namespace seaway {

constexpr std::size_t kTile = kPieceGrain;
constexpr std::size_t kTileRows = kTile / kRow;
constexpr std::size_t kGroupRows = math::kDrawGroup / kRow;

[[gnu::always_inline]] inline void check(const Piece& piece) {
  const std::size_t end = piece.first + piece.count;
  SEAWAY_ASSERT(piece.chunk < kMaxChunk && piece.count <= piece.chunk && piece.first <= piece.chunk - piece.count,
                "a piece lies in its chunk");
  SEAWAY_ASSERT(piece.first % kPieceGrain == 0 && (end % kPieceGrain == 0 || end == piece.chunk),
                "a piece begins and ends where a block does");
}

// --- encode ----------------------------------------------------------------------------------------------------------

// Eight rows of one chunk, at `first` of it; residual may be null, and `lost`, which is where the new one goes.
struct Tile {
  const std::byte* x;
  const std::byte* residual;
  std::byte* lost;
  std::byte* scales;
  std::byte* codes;
  std::size_t first;
};

template <class Lanes>
struct Draws {
  typename Lanes::Codes row[kTileRows];

  [[gnu::always_inline]] Draws(const EncodeArgs& args, std::size_t first) {
    if (args.rounding == Rounding::stochastic) {
      for (std::size_t row_of = 0; row_of < kTileRows; row_of += kGroupRows) {
        const std::size_t group = first / math::kDrawGroup + row_of / kGroupRows;
        Lanes::draw(static_cast<std::uint32_t>(group * 16), args.key, args.stream, row + row_of);
      }
    }
  }
};

template <class Lanes>
[[gnu::always_inline]] inline void keep_lost(const Tile& tile, std::size_t row, const typename Lanes::Row& wanted,
                                             const typename Lanes::Row& sent) {
  if (tile.lost != nullptr) {
    Lanes::store(tile.lost + row * Plain::kRowBytes, Lanes::lost(wanted, sent));
  }
}

template <class Lanes>
[[gnu::always_inline]] inline void encode_tile(Half, const EncodeArgs& args, const Tile& tile) {
  const Draws<Lanes> draws(args, tile.first);
  for (std::size_t row = 0; row < kTileRows; ++row) {
    const auto x = Lanes::load(tile.x + row * Plain::kRowBytes);
    const auto codes =
        args.rounding == Rounding::nearest ? Lanes::narrow(x) : Lanes::narrow_stochastic(x, draws.row[row]);
    Lanes::template store_codes<Half>(tile.codes + row * Half::kRowBytes, codes);
    keep_lost<Lanes>(tile, row, x, Lanes::widen(codes));
  }
}

template <class Lanes, class Code>
[[gnu::always_inline]] inline void encode_tile(Code, const EncodeArgs& args, const Tile& tile) {
  constexpr std::size_t kBlockRows = Code::kBlock / kRow;
  const Draws<Lanes> draws(args, tile.first);
  for (std::size_t block = 0; block < kTileRows / kBlockRows; ++block) {
    const std::size_t begin = block * kBlockRows;
    typename Lanes::Magnitudes magnitudes{};
#pragma GCC unroll 8
    for (std::size_t row = begin; row < begin + kBlockRows; ++row) {
      magnitudes = Lanes::largest(magnitudes, Lanes::load(tile.x + row * Plain::kRowBytes));
    }
    const std::uint16_t scale = math::scale_of<Code>(Lanes::reduced(magnitudes));
    std::memcpy(tile.scales + block * 2, &scale, 2);
    const float inverse = math::inverse_of(scale);
#pragma GCC unroll 8
    for (std::size_t row = begin; row < begin + kBlockRows; ++row) {
      const auto x = Lanes::load(tile.x + row * Plain::kRowBytes);
      typename Lanes::Codes codes{};
      if (scale == math::kNanScale) {
        // Codes are 0.
      } else if (args.rounding == Rounding::nearest) {
        codes = Lanes::nearest(x, inverse);
      } else {
        codes = Lanes::template stochastic<Code>(x, inverse, draws.row[row]);
      }
      Lanes::template store_codes<Code>(tile.codes + row * Code::kRowBytes, codes);
      keep_lost<Lanes>(tile, row, x, Lanes::multiply(Lanes::floats(codes), math::bf16_to_f32(scale)));
    }
  }
}

// With error feedback a tile is added up in a buffer first.
template <class Lanes, class Code>
[[gnu::always_inline]] inline void encode_full(const EncodeArgs& args, const Tile& tile) {
  if (tile.residual == nullptr) {
    return encode_tile<Lanes>(Code{}, args, tile);
  }
  alignas(64) std::byte x[kTile * 4];
  for (std::size_t at = 0; at < kTile * 4; at += Plain::kRowBytes) {
    Lanes::store(x + at, Lanes::add(Lanes::load(tile.x + at), Lanes::load(tile.residual + at)));
  }
  encode_tile<Lanes>(Code{}, args, {x, nullptr, tile.lost, tile.scales, tile.codes, tile.first});
}

// The last tile of a chunk has zeros behind it, which change no scale and have the codes that halves without an element want.
template <class Lanes, class Code>
[[gnu::noinline]] void encode_short(const EncodeArgs& args, const Tile& tile, std::size_t count) {
  std::byte x[kTile * 4] = {};
  std::byte residual[kTile * 4] = {};
  std::byte lost[kTile * 4];
  std::byte scales[kTileRows * 2];
  std::byte codes[kTileRows * Code::kRowBytes];
  std::memcpy(x, tile.x, count * 4);
  if (tile.residual != nullptr) {
    std::memcpy(residual, tile.residual, count * 4);
  }
  encode_full<Lanes, Code>(args, {x, tile.residual != nullptr ? residual : nullptr,
                                  tile.lost != nullptr ? lost : nullptr, scales, codes, tile.first});
  std::memcpy(tile.scales, scales, scale_bytes<Code>(count));
  std::memcpy(tile.codes, codes, code_bytes<Code>(count));
  if (tile.lost != nullptr) {
    std::memcpy(tile.lost, lost, count * 4);
  }
}

// Not inlined, so that no arithmetic moves out of the environment that encode() sets.
template <class Lanes, class Code>
[[gnu::noinline]] void encode_all(const EncodeArgs& args) {
  std::byte* const scales = static_cast<std::byte*>(args.dst);
  std::byte* const codes = scales + scale_bytes<Code>(args.piece.chunk);
  const std::byte* const src = static_cast<const std::byte*>(args.src);
  std::byte* const residual = static_cast<std::byte*>(args.residual);
  std::byte* const lost = args.residual_stays ? nullptr : residual;
  const std::size_t end = args.piece.first + args.piece.count;
  for (std::size_t at = args.piece.first; at < end; at += kTile) {
    const Tile tile{src + at * 4,
                    residual != nullptr ? residual + at * 4 : nullptr,
                    lost != nullptr ? lost + at * 4 : nullptr,
                    scales + scale_bytes<Code>(at),
                    codes + code_bytes<Code>(at),
                    at};
    if (end - at >= kTile) {
      encode_full<Lanes, Code>(args, tile);
    } else {
      encode_short<Lanes, Code>(args, tile, end - at);
    }
  }
}

template <class Lanes>
void encode_with(const EncodeArgs& args) {
  check(args.piece);
  const FpEnvironment environment;
  switch (args.codec) {
    case Codec::bf16:
      return encode_all<Lanes, Half>(args);
    case Codec::q8:
      return encode_all<Lanes, Byte>(args);
    case Codec::q4:
      return encode_all<Lanes, Nibble>(args);
    case Codec::none:
      break;
  }
  SEAWAY_ASSERT(false, "a codec that encodes");
}

// --- fold ------------------------------------------------------------------------------------------------------------

// Where rows of a source are read: `codes` at the first of them, `scales` at the chunk's first.
struct Cursor {
  const std::byte* codes;
  const std::byte* scales;
  std::size_t first;
};

template <class Code>
[[gnu::always_inline]] inline Cursor cursor(const EncodedSource& source, const Piece& piece, std::size_t at) {
  const std::byte* const scales = static_cast<const std::byte*>(source.data);
  return {scales + scale_bytes<Code>(piece.chunk) + at / kRow * Code::kRowBytes, scales, at};
}

// The row-th row behind the cursor. If kShort it has `count` elements; the others are zeros, computed and then dropped.
template <class Lanes, class Code, bool kShort>
[[gnu::always_inline]] inline typename Lanes::Row read(const Cursor& from, std::size_t row, std::size_t count) {
  const std::byte* codes = from.codes + row * Code::kRowBytes;
  std::byte padded[Code::kRowBytes];
  if constexpr (kShort) {
    std::memset(padded, 0, sizeof padded);
    std::memcpy(padded, codes, code_bytes<Code>(count));
    codes = padded;
  }
  if constexpr (Code::kRowBytes == Plain::kRowBytes) {
    return Lanes::load(codes);
  } else if constexpr (Code::kRowBytes == Half::kRowBytes) {
    return Lanes::widen(Lanes::template load_codes<Half>(codes));
  } else {
    std::uint16_t scale;
    std::memcpy(&scale, from.scales + (from.first + row * kRow) / Code::kBlock * 2, 2);
    return Lanes::multiply(Lanes::floats(Lanes::template load_codes<Code>(codes)), math::bf16_to_f32(scale));
  }
}

// One source's part in kRows rows. The first one to contribute is the accumulators' start, not added to zeros.
template <class Lanes, class Code, std::size_t kRows, bool kShort, bool kWeighted>
[[gnu::always_inline]] inline void accumulate(typename Lanes::Row (&rows)[kRows], const Cursor& from, std::size_t count,
                                              float weight, bool is_first) {
#pragma GCC unroll 4
  for (std::size_t row = 0; row < kRows; ++row) {
    typename Lanes::Row value = read<Lanes, Code, kShort>(from, row, count);
    if constexpr (kWeighted) {
      value = Lanes::multiply(value, weight);
    }
    rows[row] = is_first ? value : Lanes::add(rows[row], value);
  }
}

template <class Lanes, std::size_t kRows, bool kShort, bool kWeighted>
[[gnu::always_inline]] inline void fold_rows(const FoldArgs& args, std::size_t at, std::size_t count) {
  typename Lanes::Row rows[kRows] = {};
  bool is_first = true;
  for (const EncodedSource *source = args.sources.data(), *end = source + args.sources.size(); source < end; ++source) {
    const float weight = kWeighted ? static_cast<float>(source->weight) : 1.0f;
    if (kWeighted && weight == 0) {
      continue;
    }
    const auto add = [&](auto code) __attribute__((always_inline)) {
      using Code = decltype(code);
      accumulate<Lanes, Code, kRows, kShort, kWeighted>(rows, cursor<Code>(*source, args.piece, at), count, weight,
                                                        is_first);
    };
    switch (source->codec) {
      case Codec::none:
        add(Plain{});
        break;
      case Codec::bf16:
        add(Half{});
        break;
      case Codec::q8:
        add(Byte{});
        break;
      case Codec::q4:
        add(Nibble{});
        break;
    }
    is_first = false;
  }
  std::byte* const dst = static_cast<std::byte*>(args.dst) + at * 4;
#pragma GCC unroll 4
  for (std::size_t row = 0; row < kRows; ++row) {
    if constexpr (kWeighted) {
      rows[row] = Lanes::divide(rows[row], static_cast<float>(args.weight_sum));
    }
    rows[row] = Lanes::canonical(rows[row]);
    if constexpr (kShort) {
      std::byte padded[Plain::kRowBytes];
      Lanes::store(padded, rows[row]);
      std::memcpy(dst, padded, count * 4);
    } else {
      Lanes::store(dst + row * Plain::kRowBytes, rows[row]);
    }
  }
}

// Not inlined, as encode_all.
template <class Lanes, bool kWeighted>
[[gnu::noinline]] void fold_all(const FoldArgs& args) {
  const std::size_t end = args.piece.first + args.piece.count;
  std::size_t at = args.piece.first;
  for (; end - at >= Lanes::kFoldRows * kRow; at += Lanes::kFoldRows * kRow) {
    fold_rows<Lanes, Lanes::kFoldRows, false, kWeighted>(args, at, 0);
  }
  for (; end - at >= kRow; at += kRow) {
    fold_rows<Lanes, 1, false, kWeighted>(args, at, 0);
  }
  if (at < end) {
    fold_rows<Lanes, 1, true, kWeighted>(args, at, end - at);
  }
}

template <class Lanes, bool kWeighted>
void fold_with(const FoldArgs& args) {
  check(args.piece);
  SEAWAY_ASSERT(!args.sources.empty(), "a fold needs at least one source");
  const FpEnvironment environment;
  fold_all<Lanes, kWeighted>(args);
}

// A table is a constant: it needs no code at start-up, which for a variant the processor lacks would be code it cannot run.
template <class Lanes>
consteval CodecKernels codec_table(const char* name) {
  return {name, encode_with<Lanes>, fold_with<Lanes, false>, fold_with<Lanes, true>};
}

}  // namespace seaway
