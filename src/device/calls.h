// What a device is asked to compute: the same as the kernels of codec/, reduce/ and hash/ on the host, with the same bits. Numbers
// and pointers alone, as they cross from one library to the other.
//
// Pointers are to memory of the device, or to pinned memory of the host's, which the device reaches over the bus: what travels
// encoded is written to where it is sent from, and read from where it has landed. The lists are read before the call returns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

extern "C" {

// f32 elements: one piece of several that stand one after the other.
struct SeawaySpan {
  void* data;
  std::uint64_t count;
};

// codec/codec.h: EncodeArgs, of a whole chunk.
struct SeawayEncode {
  seaway::Codec codec;
  bool stochastic;
  bool residual_stays;
  std::uint64_t count;
  void* dst;
  const SeawaySpan* src;
  std::size_t src_spans;
  const SeawaySpan* residual;
  std::size_t residual_spans;  // 0: none
  std::uint64_t key;
  std::uint64_t stream;
};

struct SeawaySource {
  const void* data;
  double weight;
};

// codec/codec.h: FoldArgs, of a whole chunk whose sources have one codec. With `coded_by` the sum is encoded into `coded`, to
// nearest, and dst is what that says.
struct SeawayFold {
  void* dst;
  const SeawaySource* sources;
  std::size_t source_count;
  std::uint64_t count;
  seaway::Codec codec;
  bool is_avg;
  double weight_sum;
  seaway::Codec coded_by;
  void* coded;
};

// reduce/reduce.h: ReduceArgs.
struct SeawayReduce {
  seaway::DType dtype;
  seaway::Reduction reduction;
  void* dst;
  const SeawaySource* sources;
  std::size_t source_count;
  std::uint64_t count;
  double weight_sum;
};

// XXH3 of 128 bits, whose low half is that of 64, of more than 240 bytes.
struct SeawayHash {
  std::uint64_t low;
  std::uint64_t high;
};
struct SeawayLeaf {
  const void* data;
  std::uint64_t bytes;
  SeawayHash* hash;
};

// reduce/vector.h: linear combinations and outer steps of f32 or f64.
inline constexpr std::size_t kSeawayMostTerms = 256;
struct SeawayTerm {
  const void* x;
  double factor;
};
struct SeawayLincomb {
  seaway::DType dtype;
  void* dst;
  const SeawayTerm* terms;
  std::size_t term_count;
  std::uint64_t count;
};
struct SeawayOuterStep {
  seaway::DType dtype;
  void* theta;
  void* buf;
  const void* gradient;
  std::uint64_t count;
  double rate;
  double momentum;
  bool nesterov;
};

// What a squared norm of f32 is the sum of: those of the blocks of math::kSquaresBlock elements, one after the other.
struct SeawaySquares {
  const void* x;
  std::uint64_t count;
  double* sums;
};
}
