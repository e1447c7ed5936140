// The variant that runs everywhere, and the choice by name.
#include "reduce/vector_loops.h"

namespace seaway {
namespace {

struct ScalarLanes {
  struct Row {
    float lane[kVectorRow];
  };
  struct Sums {
    double lane[kVectorRow];
  };

  static Row load(const std::byte* from) {
    Row row;
    std::memcpy(row.lane, from, sizeof row.lane);
    return row;
  }
  static void store(std::byte* to, const Row& row) { std::memcpy(to, row.lane, sizeof row.lane); }
  static void store_sums(double* to, const Sums& sums) { std::memcpy(to, sums.lane, sizeof sums.lane); }

  template <class To, class Function>
  static To each(Function function) {
    To to;
    for (std::size_t i = 0; i < kVectorRow; ++i) {
      to.lane[i] = function(i);
    }
    return to;
  }
  static Row add(const Row& a, const Row& b) {
    return each<Row>([&](std::size_t i) { return a.lane[i] + b.lane[i]; });
  }
  static Row subtract(const Row& a, const Row& b) {
    return each<Row>([&](std::size_t i) { return a.lane[i] - b.lane[i]; });
  }
  static Row multiply(const Row& a, float b) {
    return each<Row>([&](std::size_t i) { return math::product(a.lane[i], b); });
  }
  static Row canonical(const Row& a) {
    return each<Row>([&](std::size_t i) { return math::canonical(a.lane[i]); });
  }
  static Sums add_squares(const Sums& sums, const Row& a) {
    return each<Sums>([&](std::size_t i) { return sums.lane[i] + math::square(a.lane[i]); });
  }
};

constinit const VectorKernels kScalarVectorKernels = vector_table<ScalarLanes>("scalar");

}  // namespace

const VectorKernels& scalar_vector_kernels() { return kScalarVectorKernels; }

const VectorKernels* vector_kernels_by_name(std::string_view name) {
  for (const VectorKernels* kernels : {&scalar_vector_kernels(), avx2_vector_kernels(), avx512_vector_kernels()}) {
    if (kernels != nullptr && name == kernels->name) {
      return kernels;
    }
  }
  return nullptr;
}

}  // namespace seaway
