// The bodies of encode and fold: tiles of 256 elements, which are one block of q8 or eight of q4, a tile to a warp. Lane l has
// elements l, l + 32, ..., so that a warp reads and writes neighbours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/layout.h"
#include "codec/math.h"
#include "cuda/warp.h"

namespace seaway::cuda {

inline constexpr unsigned kTile = 256;
inline constexpr unsigned kTileRows = kTile / kLanes;
inline constexpr unsigned kMostSpans =
    kTile;  // as many as the elements of one tile, so that any number can be cut into calls
inline constexpr unsigned kMostSources = 1024;

// A table of spans: element i of the chunk is in the last that begins at or before it.
struct Spans {
  struct Span {
    float* data;
    std::uint64_t first;
  };
  std::uint32_t count;
  Span at[kMostSpans];
};

struct EncodeWork {
  unsigned char* dst;
  std::uint64_t count;  // of the whole chunk
  std::uint64_t first_tile;
  std::uint64_t end_tile;
  std::uint64_t key;
  std::uint64_t stream;
  bool is_stochastic;
  bool keeps_lost;
  Spans src;
  Spans residual;  // none: no residual
};

struct FoldWork {
  float* dst;
  unsigned char* coded;  // null: dst is the sum
  std::uint64_t count;
  float weight_sum;
  std::uint32_t source_count;
  struct Source {
    const unsigned char* data;
    float weight;
  } sources[kMostSources];
};

template <class Warp>
using Rows = typename Warp::template Each<float>[kTileRows];

// The address of an element, whose span is at `hint` or behind it.
SEAWAY_HD inline float* element_of(const Spans& spans, std::uint64_t element, std::uint32_t& hint) {
  while (hint + 1 < spans.count && spans.at[hint + 1].first <= element) {
    ++hint;
  }
  return spans.at[hint].data + (element - spans.at[hint].first);
}

SEAWAY_HD inline std::uint32_t span_of(const Spans& spans, std::uint64_t element) {
  std::uint32_t low = 0;
  std::uint32_t high = spans.count;
  while (high - low > 1) {
    const std::uint32_t middle = (low + high) / 2;
    (spans.at[middle].first <= element ? low : high) = middle;
  }
  return low;
}

// Scales need not be aligned.
SEAWAY_HD inline std::uint16_t load_scale(const unsigned char* from) {
  return static_cast<std::uint16_t>(from[0] | from[1] << 8);
}
SEAWAY_HD inline void store_scale(unsigned char* to, std::uint16_t scale) {
  to[0] = static_cast<unsigned char>(scale & 0xff);
  to[1] = static_cast<unsigned char>(scale >> 8);
}

// Whether a whole tile at `first` is in the one span at `hint`, as almost all are: its elements need not be looked up.
SEAWAY_HD inline bool is_in_one(const Spans& spans, std::uint64_t first, std::uint32_t hint) {
  return hint + 1 >= spans.count || spans.at[hint + 1].first >= first + kTile;
}

// The elements of a tile for one thread, which takes them in their order.
template <bool kInOne>
class Elements {
 public:
  SEAWAY_HD Elements(const Spans& spans, std::uint64_t first, std::uint32_t hint)
      : spans_(&spans), first_(first), hint_(hint), begin_(spans.at[hint].data + (first - spans.at[hint].first)) {}
  SEAWAY_HD float& operator[](unsigned at) {
    if constexpr (kInOne) {
      return begin_[at];
    } else {
      return *element_of(*spans_, first_ + at, hint_);
    }
  }

 private:
  const Spans* spans_;
  std::uint64_t first_;
  std::uint32_t hint_;
  float* begin_;
};

// --- Encoding a tile -------------------------------------------------------------------------------------------------

struct Draws {
  std::uint64_t key;
  std::uint64_t stream;
  bool is_stochastic;
};

template <class Warp>
struct Drawn {
  typename Warp::template Each<math::Philox> words[kTile / math::kDrawGroup];
};

// The random bits of the tile that begins at `first`: math::draw_of, of whose counters four rows share one.
template <class Warp>
SEAWAY_HD inline void draw(const Warp& warp, const Draws& draws, std::uint64_t first, Drawn<Warp>& drawn) {
  if (draws.is_stochastic) {
    warp.each([&](unsigned lane) {
      SEAWAY_UNROLL for (unsigned group = 0; group < kTile / math::kDrawGroup; ++group) {
        const std::uint64_t counter = (first / math::kDrawGroup + group) * 16 + lane % 16;
        drawn.words[group][lane] =
            math::philox(math::philox_counter(static_cast<std::uint32_t>(counter), draws.stream), draws.key);
      }
    });
  }
}

template <class Warp>
SEAWAY_HD inline std::uint32_t draw_of(const Drawn<Warp>& drawn, unsigned row, unsigned lane) {
  const std::uint32_t word = drawn.words[row / 4][lane].word[row % 4];
  return lane < 16 ? word & 0xffffu : word >> 16;
}

// Encodes the tile of `count` elements at `first` of its chunk; x is 0 behind them. `sent`: what the codes say. kWhole: count is kTile.
template <class Code, bool kWhole, class Warp>
SEAWAY_HD inline void encode_tile(const Warp& warp, unsigned char* dst, std::uint64_t chunk, std::uint64_t first,
                                  unsigned count, const Draws& draws, const Rows<Warp>& x, Rows<Warp>& sent) {
  unsigned char* const codes = dst + scale_bytes<Code>(chunk);
  const auto is_there = [&](unsigned row, unsigned lane) { return kWhole || row * kLanes + lane < count; };
  Drawn<Warp> drawn;
  draw(warp, draws, first, drawn);
  if constexpr (Code::kBlock == 0) {
    warp.each([&](unsigned lane) {
      SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
        const float value = x[row][lane];
        const std::uint16_t code = draws.is_stochastic ? math::bf16_stochastic(value, draw_of<Warp>(drawn, row, lane))
                                                       : math::f32_to_bf16(value);
        sent[row][lane] = math::bf16_to_f32(code);
        if (is_there(row, lane)) {
          reinterpret_cast<std::uint16_t*>(codes)[first + row * kLanes + lane] = code;
        }
      }
    });
  } else {
    constexpr unsigned kBlockRows = Code::kBlock / kLanes;
    SEAWAY_UNROLL for (unsigned begin = 0; begin < kTileRows; begin += kBlockRows) {
      typename Warp::template Each<std::uint32_t> magnitude;
      warp.each([&](unsigned lane) {
        std::uint32_t most = 0;
        SEAWAY_UNROLL for (unsigned row = begin; row < begin + kBlockRows; ++row) {
          const std::uint32_t bits = math::magnitude_bits(x[row][lane]);
          most = bits > most ? bits : most;
        }
        magnitude[lane] = most;
      });
      const std::uint16_t scale = math::scale_of<Code>(warp.max(magnitude));
      const float inverse = math::inverse_of(scale);
      warp.each([&](unsigned lane) {
        if (lane == 0 && is_there(begin, 0)) {
          store_scale(dst + (first + begin * kLanes) / Code::kBlock * 2, scale);
        }
      });
      SEAWAY_UNROLL for (unsigned row = begin; row < begin + kBlockRows; ++row) {
        typename Warp::template Each<std::int32_t> code;
        warp.each([&](unsigned lane) {
          const float value = x[row][lane];
          code[lane] = scale == math::kNanScale ? 0
                       : draws.is_stochastic ? math::stochastic<Code>(value, inverse, draw_of<Warp>(drawn, row, lane))
                                             : math::nearest(value, inverse);
          sent[row][lane] = math::value_of(code[lane], math::bf16_to_f32(scale));
        });
        if constexpr (Code::kRowBytes == Byte::kRowBytes) {
          warp.each([&](unsigned lane) {
            if (is_there(row, lane)) {
              codes[first + row * kLanes + lane] = static_cast<unsigned char>(code[lane]);
            }
          });
        } else {
          const auto high = warp.crossed(code, 16);
          warp.each([&](unsigned lane) {
            if (lane < 16 && is_there(row, lane)) {
              codes[(first / kLanes + row) * Code::kRowBytes + lane] =
                  static_cast<unsigned char>((code[lane] & 15) | ((high[lane] & 15) << 4));
            }
          });
        }
      }
    }
  }
}

template <class Code, bool kInOne, class Warp>
SEAWAY_HD inline void encode_one(const Warp& warp, const EncodeWork& work, std::uint64_t first, std::uint32_t in,
                                 std::uint32_t in_residual) {
  const std::uint64_t left = work.count - first;
  const unsigned count = kInOne || left >= kTile ? kTile : static_cast<unsigned>(left);
  const auto is_there = [&](unsigned at) { return kInOne || at < count; };
  Rows<Warp> x;
  Rows<Warp> sent;
  warp.each([&](unsigned lane) {
    Elements<kInOne> from(work.src, first, in);
    SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
      const unsigned at = row * kLanes + lane;
      x[row][lane] = is_there(at) ? from[at] : 0.0f;
    }
  });
  if (work.residual.count > 0) {
    warp.each([&](unsigned lane) {
      Elements<kInOne> residual(work.residual, first, in_residual);
      SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
        const unsigned at = row * kLanes + lane;
        if (is_there(at)) {
          x[row][lane] = x[row][lane] + residual[at];
        }
      }
    });
  }
  encode_tile<Code, kInOne>(warp, work.dst, work.count, first, count, {work.key, work.stream, work.is_stochastic}, x,
                            sent);
  if (work.keeps_lost) {
    warp.each([&](unsigned lane) {
      Elements<kInOne> residual(work.residual, first, in_residual);
      SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
        const unsigned at = row * kLanes + lane;
        if (is_there(at)) {
          residual[at] = math::lost(x[row][lane], sent[row][lane]);
        }
      }
    });
  }
}

// The tiles of warp `number` of so many.
template <class Code, class Warp>
SEAWAY_HD inline void encode_some(const Warp& warp, const EncodeWork& work, std::uint64_t number, std::uint64_t warps) {
  for (std::uint64_t tile = work.first_tile + number; tile < work.end_tile; tile += warps) {
    const std::uint64_t first = tile * kTile;
    const std::uint32_t in = span_of(work.src, first);
    const std::uint32_t in_residual = span_of(work.residual, first);
    if (work.count - first >= kTile && is_in_one(work.src, first, in) && is_in_one(work.residual, first, in_residual)) {
      encode_one<Code, true>(warp, work, first, in, in_residual);
    } else {
      encode_one<Code, false>(warp, work, first, in, in_residual);
    }
  }
}

// --- Folding a tile --------------------------------------------------------------------------------------------------

// Of the block that an element is in; 1 without any.
template <class Code>
SEAWAY_HD inline float scale_at(const unsigned char* data, std::uint64_t element) {
  if constexpr (Code::kBlock == 0) {
    return 1.0f;
  } else {
    return math::bf16_to_f32(load_scale(data + element / Code::kBlock * 2));
  }
}

template <class Code>
SEAWAY_HD inline float value_at(const unsigned char* data, float scale, std::uint64_t chunk, std::uint64_t element) {
  if constexpr (Code::kRowBytes == Plain::kRowBytes) {
    return reinterpret_cast<const float*>(data)[element];
  } else if constexpr (Code::kRowBytes == Half::kRowBytes) {
    return math::bf16_to_f32(reinterpret_cast<const std::uint16_t*>(data)[element]);
  } else {
    const unsigned char* const codes = data + scale_bytes<Code>(chunk);
    if constexpr (Code::kRowBytes == Byte::kRowBytes) {
      return math::value_of(static_cast<signed char>(codes[element]), scale);
    } else {
      const int both = codes[element / kLanes * Code::kRowBytes + element % 16];
      const int code = element % kLanes < 16 ? both & 15 : both >> 4;
      return math::value_of((code ^ 8) - 8, scale);
    }
  }
}

// CodedBy: Plain where the sum is not encoded.
template <class Code, class CodedBy, bool kAvg, class Warp>
SEAWAY_HD inline void fold_one(const Warp& warp, const FoldWork& work, std::uint64_t tile) {
  const std::uint64_t first = tile * kTile;
  const std::uint64_t left = work.count - first;
  const unsigned count = left < kTile ? static_cast<unsigned>(left) : kTile;
  Rows<Warp> sum;
  warp.each([&](unsigned lane) {
    SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) { sum[row][lane] = 0.0f; }
    bool is_first = true;
    for (std::uint32_t source = 0; source < work.source_count; ++source) {
      const float weight = work.sources[source].weight;
      if (kAvg && weight == 0) {
        continue;
      }
      const unsigned char* const data = work.sources[source].data;
      float scale = scale_at<Code>(data, first);
      SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
        const unsigned at = row * kLanes + lane;
        if (at < count) {
          if (Code::kBlock == kLanes && row > 0) {
            scale = scale_at<Code>(data, first + at);
          }
          float value = value_at<Code>(data, scale, work.count, first + at);
          value = kAvg ? math::product(value, weight) : value;
          sum[row][lane] = is_first ? value : sum[row][lane] + value;
        }
      }
      is_first = false;
    }
    SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
      const float value = kAvg && row * kLanes + lane < count ? sum[row][lane] / work.weight_sum : sum[row][lane];
      sum[row][lane] = math::canonical(value);
    }
  });
  if constexpr (CodedBy::kRowBytes != Plain::kRowBytes) {
    Rows<Warp> sent;
    encode_tile<CodedBy, false>(warp, work.coded, work.count, first, count, {0, 0, false}, sum, sent);
    warp.each([&](unsigned lane) {
      SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
        sum[row][lane] = math::canonical(sent[row][lane]);
      }
    });
  }
  warp.each([&](unsigned lane) {
    SEAWAY_UNROLL for (unsigned row = 0; row < kTileRows; ++row) {
      if (row * kLanes + lane < count) {
        work.dst[first + row * kLanes + lane] = sum[row][lane];
      }
    }
  });
}

template <class Code, class CodedBy, bool kAvg, class Warp>
SEAWAY_HD inline void fold_some(const Warp& warp, const FoldWork& work, std::uint64_t number, std::uint64_t warps) {
  for (std::uint64_t tile = number; tile * kTile < work.count; tile += warps) {
    fold_one<Code, CodedBy, kAvg>(warp, work, tile);
  }
}

}  // namespace seaway::cuda
