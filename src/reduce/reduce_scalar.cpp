// The variant that runs everywhere: math.h applied to short arrays, which compilers turn into vector instructions where
// the processor's baseline has them.
#include "reduce/fold.h"
#include "reduce/variants.h"

namespace seaway {
namespace {

template <class Operation>
struct ScalarLanes {
  using Stored = typename Operation::Stored;
  using Weight = typename Operation::Weight;
  static constexpr bool kWeighted = Operation::kWeighted;
  static constexpr std::size_t kElementSize = sizeof(Stored);
  // Measured: shorter arrays are taken apart into scalars, longer ones cost more to go through the cache.
  static constexpr std::size_t kWidth = 256 / kElementSize;

  struct Value {
    typename Operation::Value lane[kWidth];
  };

  static Value load(const std::byte* data, Weight weight) {
    Stored element[kWidth];
    std::memcpy(element, data, sizeof element);
    Value value;
    for (std::size_t i = 0; i < kWidth; ++i) {
      value.lane[i] = Operation::lift(element[i], weight);
    }
    return value;
  }

  static Value combine(const Value& left, const Value& right) {
    Value value;
    for (std::size_t i = 0; i < kWidth; ++i) {
      value.lane[i] = Operation::combine(left.lane[i], right.lane[i]);
    }
    return value;
  }

  static void store(std::byte* data, const Value& value, const math::Finish<Weight>& finish) {
    Stored element[kWidth];
    for (std::size_t i = 0; i < kWidth; ++i) {
      element[i] = Operation::finish(value.lane[i], finish);
    }
    std::memcpy(data, element, sizeof element);
  }
};

template <class Operation>
constexpr ReduceFunction kScalar = reduce_with<ScalarLanes<Operation>, 1>;

template <class F>
consteval void set_floating(Kernels& kernels, DType dtype) {
  set(kernels, dtype, Reduction::sum, kScalar<math::Sum<F>>);
  set(kernels, dtype, Reduction::avg, kScalar<math::Avg<F>>);
  set(kernels, dtype, Reduction::min, kScalar<math::Min<F>>);
  set(kernels, dtype, Reduction::max, kScalar<math::Max<F>>);
  set(kernels, dtype, Reduction::prod, kScalar<math::Prod<F>>);
}

template <class T, class Wide>
consteval void set_integer(Kernels& kernels, DType dtype) {
  using I = math::Integer<T, Wide>;
  set(kernels, dtype, Reduction::sum, kScalar<math::IntegerSum<I>>);
  set(kernels, dtype, Reduction::min, kScalar<math::IntegerMin<I>>);
  set(kernels, dtype, Reduction::max, kScalar<math::IntegerMax<I>>);
  set(kernels, dtype, Reduction::prod, kScalar<math::IntegerProd<I>>);
}

consteval Kernels scalar_table() {
  Kernels kernels{"scalar", nullptr, {}};
  set_floating<math::F32>(kernels, DType::f32);
  set_floating<math::F64>(kernels, DType::f64);
  set_floating<math::F16>(kernels, DType::f16);
  set_floating<math::Bf16>(kernels, DType::bf16);
  set_integer<std::int8_t, std::uint32_t>(kernels, DType::i8);
  set_integer<std::uint8_t, std::uint32_t>(kernels, DType::u8);
  set_integer<std::int16_t, std::uint32_t>(kernels, DType::i16);
  set_integer<std::uint16_t, std::uint32_t>(kernels, DType::u16);
  set_integer<std::int32_t, std::uint32_t>(kernels, DType::i32);
  set_integer<std::uint32_t, std::uint32_t>(kernels, DType::u32);
  set_integer<std::int64_t, std::uint64_t>(kernels, DType::i64);
  set_integer<std::uint64_t, std::uint64_t>(kernels, DType::u64);
  return kernels;
}

}  // namespace

constinit const Kernels kScalarKernels = scalar_table();

const Kernels& scalar_kernels() { return kScalarKernels; }

}  // namespace seaway
