#include "sim/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "hash/hash.h"
#include "unit/codec/reference.h"

namespace seaway::sim {

namespace {

// 16-bit floats by arithmetic on their fields: sign, exponent, fraction.
struct Format {
  int exponent_bits;
  int fraction_bits;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};
constexpr Format kF16{5, 10};
constexpr Format kBf16{8, 7};

float widen(std::uint16_t bits, Format format) {
  const int exponent = bits >> format.fraction_bits & ((1 << format.exponent_bits) - 1);
  const int fraction = bits & ((1 << format.fraction_bits) - 1);
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == (1 << format.exponent_bits) - 1) {
    return fraction != 0 ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  }
  const int scale = (exponent == 0 ? 1 : exponent) - format.bias() - format.fraction_bits;
  const int significand = exponent == 0 ? fraction : fraction + (1 << format.fraction_bits);
  return sign * std::ldexp(static_cast<float>(significand), scale);
}

// The nearest value of the format, ties to even: found in exact double arithmetic.
std::uint16_t narrow(float value, Format format) {
  const std::uint16_t infinity = static_cast<std::uint16_t>(((1 << format.exponent_bits) - 1) << format.fraction_bits);
  if (std::isnan(value)) {
    return static_cast<std::uint16_t>(infinity | 1 << (format.fraction_bits - 1));
  }
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (std::isinf(value)) {
    return static_cast<std::uint16_t>(sign | infinity);
  }
  if (magnitude == 0) {
    return sign;
  }
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  const int lowest = 1 - format.bias();
  const int unit = std::max(exponent - 1, lowest) - format.fraction_bits;  // exponent of the last place
  const double steps = std::nearbyint(std::ldexp(magnitude, -unit));       // default rounding: nearest, ties to even
  const auto bits = static_cast<std::int64_t>(steps) +
                    (static_cast<std::int64_t>(unit + format.fraction_bits - lowest) << format.fraction_bits);
  return static_cast<std::uint16_t>(sign | (bits >= infinity ? infinity : static_cast<std::uint16_t>(bits)));
}

template <class T>
T smaller(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) {
      return std::numeric_limits<T>::quiet_NaN();
    }
    if (a == b) {
      return std::signbit(a) ? a : b;
    }
  }
  return a < b ? a : b;
}

template <class T>
T fold(Reduction reduction, T acc, T value) {
  switch (reduction) {
    case Reduction::min:
      return smaller(acc, value);
    case Reduction::max:
      if constexpr (std::is_floating_point_v<T>) {
        return -smaller(static_cast<T>(-acc), static_cast<T>(-value));
      } else {
        return acc > value ? acc : value;
      }
    case Reduction::prod:
      if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(static_cast<std::uint64_t>(acc) * static_cast<std::uint64_t>(value));
      } else {
        return acc * value;
      }
    default:
      if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(static_cast<std::uint64_t>(acc) + static_cast<std::uint64_t>(value));
      } else {
        return acc + value;
      }
  }
}

template <class T>
T reduce_element(Reduction reduction, std::span<const T> values, std::span<const T> weights, T weight_sum) {
  if constexpr (std::is_floating_point_v<T>) {
    if (reduction == Reduction::avg) {
      T sum = 0;
      bool first = true;
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (weights[i] != 0) {
          const T product = weights[i] * values[i];
          sum = first ? product : sum + product;
          first = false;
        }
      }
      const T result = sum / weight_sum;
      return std::isnan(result) ? std::numeric_limits<T>::quiet_NaN() : result;
    }
  }
  T acc = values[0];
  for (std::size_t i = 1; i < values.size(); ++i) {
    acc = fold(reduction, acc, values[i]);
  }
  if constexpr (std::is_floating_point_v<T>) {
    return std::isnan(acc) ? std::numeric_limits<T>::quiet_NaN() : acc;
  }
  return acc;
}

// `load` and `store` know the element's form in memory, T is the accumulator.
template <class T, class Load, class Store>
void reduce_all(const collective::Descriptor& d, std::span<const ReferenceInput> inputs, Load load, Store store) {
  std::vector<T> values(inputs.size());
  std::vector<T> weights;
  double sum = 0;
  for (const ReferenceInput& input : inputs) {
    weights.push_back(static_cast<T>(input.weight));
    sum += input.weight;
  }
  for (std::size_t at = 0; at < d.count; ++at) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      values[i] = load(inputs[i].data, at);
    }
    store(at, reduce_element<T>(d.reduction, values, weights, static_cast<T>(sum)));
  }
}

}  // namespace

namespace {

// Everybody's input one after the other, zeros where there is none.
std::vector<std::byte> gather(std::size_t block_bytes, std::span<const ReferenceInput> inputs,
                              const ReferenceBlocks& blocks) {
  std::vector<std::byte> out;
  for (const PeerId owner : blocks.owners) {
    const auto input = std::ranges::find(inputs, owner, &ReferenceInput::id);
    const std::vector<std::byte> block = input == inputs.end() ? std::vector<std::byte>(block_bytes) : input->data;
    out.insert(out.end(), block.begin(), block.end());
  }
  return out;
}

// For each that I receive from: what it sends to me, or zeros if it is not there.
std::vector<std::byte> exchanged(const collective::Descriptor& d, std::span<const ReferenceInput> inputs, PeerId mine) {
  std::vector<std::byte> out;
  for (const collective::Share& wanted : d.receives) {
    std::vector<std::byte> piece(wanted.count * size_of(d.dtype));
    for (const ReferenceInput& input : inputs) {
      std::size_t at = 0;
      for (const collective::Share& share : input.sends) {
        if (input.id == wanted.peer && share.peer == mine) {
          std::copy_n(input.data.begin() + static_cast<std::ptrdiff_t>(at), piece.size(), piece.begin());
        }
        at += share.count * size_of(d.dtype);
      }
    }
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return out;
}

std::vector<ReferenceInput> only_my_block(std::size_t block_bytes, std::span<const ReferenceInput> inputs,
                                          const ReferenceBlocks& blocks) {
  const auto position = std::ranges::find(blocks.owners, blocks.mine) - blocks.owners.begin();
  std::vector<ReferenceInput> mine;
  for (const ReferenceInput& input : inputs) {
    const auto begin = input.data.begin() + position * static_cast<std::ptrdiff_t>(block_bytes);
    mine.push_back({input.id, {begin, begin + static_cast<std::ptrdiff_t>(block_bytes)}, input.weight, {}, {}});
  }
  return mine;
}

}  // namespace

namespace {

std::vector<std::byte> reduced(const collective::Descriptor& d, std::span<const ReferenceInput> inputs,
                               const ReferenceBlocks& blocks) {
  const std::size_t block_bytes = d.count * size_of(d.dtype);
  if (d.kind == collective::OpKind::all_gather) {
    return gather(block_bytes, inputs, blocks);
  }
  if (d.kind == collective::OpKind::exchange) {
    return exchanged(d, inputs, blocks.mine);
  }
  if (d.kind == collective::OpKind::reduce_scatter) {
    collective::Descriptor all = d;
    all.kind = collective::OpKind::all_reduce;
    return reduced(all, only_my_block(block_bytes, inputs, blocks), {});
  }
  if (d.kind != collective::OpKind::all_reduce) {
    return inputs[0].data;
  }
  std::vector<std::byte> out(inputs[0].data.size());
  const auto plain = [&]<class T>(T) {
    reduce_all<T>(
        d, inputs,
        [](const std::vector<std::byte>& data, std::size_t at) {
          T value;
          std::memcpy(&value, data.data() + at * sizeof value, sizeof value);
          return value;
        },
        [&](std::size_t at, T value) { std::memcpy(out.data() + at * sizeof value, &value, sizeof value); });
  };
  const auto half = [&](Format format) {
    reduce_all<float>(
        d, inputs,
        [&](const std::vector<std::byte>& data, std::size_t at) {
          std::uint16_t bits = 0;
          std::memcpy(&bits, data.data() + at * 2, 2);
          return widen(bits, format);
        },
        [&](std::size_t at, float value) {
          const std::uint16_t bits = narrow(value, format);
          std::memcpy(out.data() + at * 2, &bits, 2);
        });
  };
  switch (d.dtype) {
    case DType::f32:
      plain(float{});
      break;
    case DType::f64:
      plain(double{});
      break;
    case DType::f16:
      half(kF16);
      break;
    case DType::bf16:
      half(kBf16);
      break;
    case DType::i8:
      plain(std::int8_t{});
      break;
    case DType::u8:
      plain(std::uint8_t{});
      break;
    case DType::i16:
      plain(std::int16_t{});
      break;
    case DType::u16:
      plain(std::uint16_t{});
      break;
    case DType::i32:
      plain(std::int32_t{});
      break;
    case DType::u32:
      plain(std::uint32_t{});
      break;
    case DType::i64:
      plain(std::int64_t{});
      break;
    case DType::u64:
      plain(std::uint64_t{});
      break;
  }
  return out;
}

}  // namespace

namespace {

// Divided by what the caller says. Who weighs nothing adds nothing, whatever his numbers.
template <class T>
std::vector<std::byte> averaged(std::span<const ReferenceInput> inputs, double divisor) {
  std::vector<std::byte> out(inputs.front().data.size());
  for (std::size_t at = 0; at < out.size(); at += sizeof(T)) {
    T sum = 0;
    bool first = true;
    for (const ReferenceInput& input : inputs) {
      T value;
      std::memcpy(&value, input.data.data() + at, sizeof value);
      const T product = static_cast<T>(input.weight) * value;
      if (input.weight != 0) {
        sum = first ? product : sum + product;
        first = false;
      }
    }
    sum = sum / static_cast<T>(divisor);
    sum = std::isnan(sum) ? std::numeric_limits<T>::quiet_NaN() : sum;
    std::memcpy(out.data() + at, &sum, sizeof sum);
  }
  return out;
}

std::vector<std::byte> averaged(const collective::Descriptor& d, std::span<const ReferenceInput> inputs,
                                double divisor) {
  return size_of(d.dtype) == sizeof(float) ? averaged<float>(inputs, divisor) : averaged<double>(inputs, divisor);
}

struct Coding {
  Codec codec = Codec::none;
  Rounding rounding = Rounding::nearest;
  std::uint64_t key = 0;
  std::size_t block = 0;  // elements; nothing is encoded across the edge of two
  std::size_t chunk = 0;  // elements; the draws of a chunk are its own
};

// The bits of a result depend on how it was cut only by the draws.
void pass(const Coding& coding, std::vector<std::byte>& data, std::vector<std::byte>& residual) {
  const std::size_t count = data.size() / sizeof(float);
  for (std::size_t first = 0; first < count;) {
    const std::size_t block_end = (first / coding.block + 1) * coding.block;
    const std::size_t length = std::min({coding.chunk, block_end - first, count - first});
    std::byte* const at = data.data() + first * sizeof(float);
    EncodeArgs args{coding.codec, nullptr, at, whole(length), nullptr, coding.rounding, coding.key, first};
    std::vector<float> lost(length);
    if (!residual.empty()) {
      std::memcpy(lost.data(), residual.data() + first * sizeof(float), length * sizeof(float));
    }
    const std::vector<std::byte> encoded = reference::encode(args, residual.empty() ? nullptr : &lost);
    for (std::size_t i = 0; i < length; ++i) {
      float value = reference::decoded(coding.codec, encoded.data(), length, i);
      value = std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value;
      std::memcpy(at + i * sizeof value, &value, sizeof value);
    }
    if (!residual.empty()) {
      std::memcpy(residual.data() + first * sizeof(float), lost.data(), length * sizeof(float));
    }
    first += length;
  }
}

// Of each site the sum of what it contributes, sites in the order of their numbers.
std::vector<ReferenceInput> summed_by_site(const collective::Descriptor& d, std::span<const ReferenceInput> inputs,
                                           const ReferenceAttempt& attempt) {
  std::map<std::uint32_t, std::vector<ReferenceInput>> by_site;
  for (const ReferenceInput& input : inputs) {
    by_site[attempt.sites.at(input.id)].push_back(input);
  }
  std::vector<ReferenceInput> sums;
  for (const auto& [number, there] : by_site) {
    double weight = 0;
    for (const ReferenceInput& input : there) {
      weight += input.weight;
    }
    if (there.size() == 1) {
      sums.push_back(there.front());
    } else if (weight > 0) {
      ReferenceInput sum{there.front().id, {}, 1, {}, {}};
      sum.data = d.reduction == Reduction::avg ? averaged(d, there, 1) : reduced(d, there, {});
      if (d.up != Codec::none) {
        std::vector<std::byte> nothing;
        pass({d.up, Rounding::nearest, 0, d.count, d.count}, sum.data, nothing);
      }
      sums.push_back(std::move(sum));
    }
  }
  return sums;
}

}  // namespace

void encode_and_decode(const collective::Descriptor& d, const ReferenceAttempt& attempt, ReferenceInput& input) {
  const std::uint64_t keyed[] = {attempt.op.lane, attempt.op.generation, attempt.op.tag, attempt.op.seq, input.id};
  const bool cut = d.rounding == Rounding::stochastic;
  pass({d.up, d.rounding, combine(keyed), d.count, cut ? attempt.chunk_bytes / sizeof(float) : d.count}, input.data,
       input.residual);
}

std::vector<std::byte> reference(const collective::Descriptor& d, std::vector<ReferenceInput> inputs,
                                 const ReferenceBlocks& blocks, const ReferenceAttempt& attempt) {
  const bool has_data = d.count > 0;
  if (d.up != Codec::none && has_data) {
    for (ReferenceInput& input : inputs) {
      encode_and_decode(d, attempt, input);
    }
  }
  std::vector<std::byte> out;
  if (attempt.plan == collective::PlanKind::hierarchical && has_data) {
    double weights = 0;
    for (const ReferenceInput& input : inputs) {
      weights += input.weight;
    }
    const std::vector<ReferenceInput> sums = summed_by_site(d, inputs, attempt);
    out = d.reduction == Reduction::avg ? averaged(d, sums, weights) : reduced(d, sums, {});
  } else {
    out = reduced(d, inputs, blocks);
  }
  if (d.down != Codec::none && attempt.plan != collective::PlanKind::one_shot && has_data) {
    std::vector<std::byte> nothing;
    pass({d.down, Rounding::nearest, 0, d.count, d.count}, out, nothing);
  }
  return out;
}

}  // namespace seaway::sim
