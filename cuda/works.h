// From what is asked for (device/calls.h) to what is launched: each call's lists become tables that are passed by value, so that
// nothing is allocated or copied ahead. A call of more than a table holds becomes several.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/codec.h"
#include "cuda/hash.h"
#include "cuda/reduce.h"
#include "device/calls.h"

namespace seaway::cuda {

inline unsigned char* bytes_of(void* memory) { return static_cast<unsigned char*>(memory); }
inline const unsigned char* bytes_of(const void* memory) { return static_cast<const unsigned char*>(memory); }

// The spans that hold elements [first, end), as many as there is room for; the element at which the table ends.
inline std::uint64_t fill_spans(Spans& table, const SeawaySpan* spans, std::size_t count, std::uint64_t first,
                                std::uint64_t end) {
  table.count = 0;
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < count && at < end; ++i) {
    if (spans[i].count > 0 && at + spans[i].count > first) {
      if (table.count == kMostSpans) {
        return at;
      }
      table.at[table.count++] = {static_cast<float*>(spans[i].data), at};
    }
    at += spans[i].count;
  }
  return end;
}

// f(how the codec lies in memory). False: there is no such codec.
template <class F>
bool with_code(Codec codec, const F& f) {
  switch (codec) {
    case Codec::none:
      f(Plain{});
      return true;
    case Codec::bf16:
      f(Half{});
      return true;
    case Codec::q8:
      f(Byte{});
      return true;
    case Codec::q4:
      f(Nibble{});
      return true;
  }
  return false;
}

// launch<how the codec lies in memory>(an EncodeWork) for so many tiles as the tables hold, until there are none left. False: it is a
// codec that does not encode.
template <class Launch>
bool for_encode(const SeawayEncode& call, const Launch& launch) {
  EncodeWork work;
  work.dst = bytes_of(call.dst);
  work.count = call.count;
  work.key = call.key;
  work.stream = call.stream;
  work.is_stochastic = call.stochastic;
  work.keeps_lost = call.residual_spans > 0 && !call.residual_stays;
  const std::uint64_t tiles = (call.count + kTile - 1) / kTile;
  for (std::uint64_t tile = 0; tile < tiles; tile = work.end_tile) {
    const std::uint64_t first = tile * kTile;
    std::uint64_t end = fill_spans(work.src, call.src, call.src_spans, first, call.count);
    end = std::min(end, fill_spans(work.residual, call.residual, call.residual_spans, first, call.count));
    work.first_tile = tile;
    work.end_tile = end == call.count ? tiles : end / kTile;
    with_code(call.codec, [&](auto code) {
      if constexpr (decltype(code)::kRowBytes != Plain::kRowBytes) {
        launch.template operator()<decltype(code)>(work);
      }
    });
  }
  return call.codec != Codec::none;
}

// False: more than a table holds.
template <class Work, class Number>
bool fill_sources(Work& work, const SeawaySource* sources, std::size_t count) {
  if (count == 0 || count > kMostSources) {
    return false;
  }
  work.source_count = static_cast<std::uint32_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    work.sources[i] = {bytes_of(sources[i].data), static_cast<Number>(sources[i].weight)};
  }
  return true;
}

// launch<codec of the sources, that of the sum, whether it is an average>(a FoldWork). False: it cannot be done.
template <class Launch>
bool for_fold(const SeawayFold& call, const Launch& launch) {
  FoldWork work;
  work.dst = static_cast<float*>(call.dst);
  work.coded = bytes_of(call.coded);
  work.count = call.count;
  work.weight_sum = static_cast<float>(call.weight_sum);
  if (!fill_sources<FoldWork, float>(work, call.sources, call.source_count)) {
    return false;
  }
  bool is_codec = true;
  const bool is_sources = with_code(call.codec, [&](auto code) {
    is_codec = with_code(call.coded_by, [&](auto coded_by) {
      if (call.is_avg) {
        launch.template operator()<decltype(code), decltype(coded_by), true>(work);
      } else {
        launch.template operator()<decltype(code), decltype(coded_by), false>(work);
      }
    });
  });
  return is_sources && is_codec;
}

// launch<Operation, elements of a pack>(a ReduceWork): packs as far as they go, single elements behind them.
template <class Launch>
bool for_reduce(const SeawayReduce& call, const Launch& launch) {
  ReduceWork work;
  work.dst = bytes_of(call.dst);
  work.weight_sum = call.weight_sum;
  if (!fill_sources<ReduceWork, double>(work, call.sources, call.source_count)) {
    return false;
  }
  std::uintptr_t alignment = reinterpret_cast<std::uintptr_t>(call.dst);
  for (std::size_t i = 0; i < call.source_count; ++i) {
    alignment |= reinterpret_cast<std::uintptr_t>(call.sources[i].data);
  }
  return with_operation(call.dtype, call.reduction, [&](auto operation) {
    using Operation = decltype(operation);
    constexpr unsigned kPack = kPackBytes / sizeof(typename Operation::Stored);
    const std::uint64_t packed = alignment % kPackBytes == 0 ? call.count / kPack * kPack : 0;
    if (packed > 0) {
      work.first = 0;
      work.end = packed;
      launch.template operator()<Operation, kPack>(work);
    }
    if (packed < call.count) {
      work.first = packed;
      work.end = call.count;
      launch.template operator()<Operation, 1>(work);
    }
  });
}

template <unsigned kMost, class Launch>
void for_leaves_by(const SeawayLeaf* leaves, std::size_t count, const Launch& launch) {
  HashWork<kMost> work;
  for (std::size_t at = 0; at < count; at += work.leaf_count) {
    work.leaf_count = static_cast<std::uint32_t>(std::min<std::size_t>(count - at, kMost));
    std::copy_n(leaves + at, work.leaf_count, work.leaves);
    launch(work);
  }
}

template <class Launch>
void for_leaves(const SeawayLeaf* leaves, std::size_t count, const Launch& launch) {
  count <= kFewLeaves ? for_leaves_by<kFewLeaves>(leaves, count, launch)
                      : for_leaves_by<kMostLeaves>(leaves, count, launch);
}

// f(a number of the vectors' dtype). False: there is no arithmetic on such vectors.
template <class F>
bool with_real(DType dtype, const F& f) {
  if (dtype == DType::f32) {
    f(float{});
  } else if (dtype == DType::f64) {
    f(double{});
  }
  return dtype == DType::f32 || dtype == DType::f64;
}

template <class Launch>
bool for_lincomb(const SeawayLincomb& call, const Launch& launch) {
  const bool is_some = call.term_count > 0 && call.term_count <= kSeawayMostTerms;
  return is_some && with_real(call.dtype, [&]<class Real>(Real) {
           LincombWork<Real> work;
           work.dst = static_cast<Real*>(call.dst);
           work.count = call.count;
           work.term_count = static_cast<std::uint32_t>(call.term_count);
           for (std::size_t i = 0; i < call.term_count; ++i) {
             work.terms[i] = {static_cast<const Real*>(call.terms[i].x), static_cast<Real>(call.terms[i].factor)};
           }
           launch(work);
         });
}

template <class Launch>
bool for_outer_step(const SeawayOuterStep& call, const Launch& launch) {
  return with_real(call.dtype, [&]<class Real>(Real) {
    launch(OuterStepWork<Real>{static_cast<Real*>(call.theta), static_cast<Real*>(call.buf),
                               static_cast<const Real*>(call.gradient), call.count, static_cast<Real>(call.rate),
                               static_cast<Real>(call.momentum), call.nesterov});
  });
}

inline SquaresWork work_of(const SeawaySquares& call) {
  return {static_cast<const float*>(call.x), call.count, call.sums};
}

}  // namespace seaway::cuda
