#include "gpu/kernel_cases.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda/host.h"
#include "reduce/vector.h"
#include "unit/codec/operands.h"

namespace seaway::test {
namespace {

constexpr Rounding kRoundings[] = {Rounding::nearest, Rounding::stochastic};
using Bytes = std::vector<std::byte>;

template <class T>
Bytes bytes_of(const std::vector<T>& x) {
  const auto bytes = std::as_bytes(std::span(x));
  return {bytes.begin(), bytes.end()};
}

Bytes draw(DType dtype, std::size_t count, Random& random) {
  Buffer buffer(count * size_of(dtype), 0);
  fill(buffer, dtype, kAllContents[random.below(std::size(kAllContents))], random);
  return {buffer.data(), buffer.data() + buffer.size()};
}

std::vector<float> draw_floats(std::size_t count, Random& random) {
  const Bytes bytes = draw(DType::f32, count, random);
  std::vector<float> x(count);
  if (count > 0) std::memcpy(x.data(), bytes.data(), bytes.size());
  return x;
}

// A piece of the machine's memory between guards.
class Piece {
 public:
  Piece(Machine& machine, const Bytes& content, std::size_t misalignment = 0)
      : machine_(&machine), bytes_(content.size()), before_(kGuard + misalignment) {
    Bytes all(before_ + bytes_ + kGuard, kGuardByte);
    std::copy(content.begin(), content.end(), all.begin() + static_cast<std::ptrdiff_t>(before_));
    start_ = machine.take(all.size());
    machine.write(start_, all.data(), all.size());
  }
  std::byte* data() const { return start_ + before_; }
  // Empty if a guard was touched.
  Bytes read() const {
    Bytes all(before_ + bytes_ + kGuard);
    machine_->read(all.data(), start_, all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((i < before_ || i >= before_ + bytes_) && all[i] != kGuardByte) return {};
    }
    return {all.begin() + static_cast<std::ptrdiff_t>(before_), all.end() - kGuard};
  }
  bool holds(const Bytes& right) const { return read() == right; }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr std::byte kGuardByte{0xa5};
  Machine* machine_;
  std::size_t bytes_;
  std::size_t before_;
  std::byte* start_;
};

// A vector in pieces that lie apart.
class Spread {
 public:
  Spread(Machine& machine, const std::vector<float>& x, std::size_t most, Random& random) {
    for (std::size_t at = 0; at < x.size();) {
      const std::size_t count = std::min(x.size() - at, static_cast<std::size_t>(random.between(0, most)));
      pieces_.emplace_back(machine,
                           bytes_of(std::vector<float>(x.begin() + static_cast<std::ptrdiff_t>(at),
                                                       x.begin() + static_cast<std::ptrdiff_t>(at + count))),
                           random.below(4) * 4);
      spans_.push_back({pieces_.back().data(), count});
      at += count;
    }
  }
  const std::vector<SeawaySpan>& spans() const { return spans_; }
  bool holds(const std::vector<float>& right) const {
    Bytes all;
    for (const Piece& piece : pieces_) {
      const Bytes one = piece.read();
      all.insert(all.end(), one.begin(), one.end());
    }
    return all == bytes_of(right);
  }

 private:
  std::vector<Piece> pieces_;
  std::vector<SeawaySpan> spans_;
};

std::string check_encode(Machine& machine, Codec codec, Rounding rounding, std::size_t count, std::size_t most,
                         Random& random) {
  machine.forget();
  const std::vector<float> x = draw_floats(count, random);
  const std::vector<float> before = draw_floats(count, random);
  const bool feedback = random.one_in(2);
  const bool stays = random.one_in(4);
  std::vector<float> residual = before;
  const std::uint64_t key = random.next();
  const std::uint64_t stream = random.next();
  EncodeArgs args{codec, nullptr, x.data(), whole(count), feedback ? residual.data() : nullptr, rounding, key, stream};
  args.residual_stays = stays;
  Bytes right(encoded_bytes(codec, count));
  args.dst = right.data();
  scalar_codec_kernels().encode(args);

  const Spread from(machine, x, most, random);
  const Spread kept(machine, before, most, random);
  const Piece dst(machine, Bytes(right.size()), codec == Codec::bf16 ? 2 : random.below(2));
  const bool done = machine.encode({.codec = codec,
                                    .stochastic = rounding == Rounding::stochastic,
                                    .residual_stays = stays,
                                    .count = count,
                                    .dst = dst.data(),
                                    .src = from.spans().data(),
                                    .src_spans = from.spans().size(),
                                    .residual = kept.spans().data(),
                                    .residual_spans = feedback ? kept.spans().size() : 0,
                                    .key = key,
                                    .stream = stream});
  if (done && dst.holds(right) && from.holds(x) && kept.holds(feedback ? residual : before)) return "";
  return std::string(name_of(codec)) + ", " + std::to_string(count) + " elements in pieces of " + std::to_string(most) +
         (feedback ? ", residual" : "") + (rounding == Rounding::stochastic ? ", stochastic" : "");
}

std::string encode_lengths(Machine& machine, int rounds) {
  Random random(71);
  for (const Codec codec : kEncodings) {
    for (const Rounding rounding : kRoundings) {
      for (std::size_t count = 0; count <= 530; count += rounds >= 10 ? 1 : random.between(1, 40)) {
        if (std::string wrong = check_encode(machine, codec, rounding, count, 4000, random); !wrong.empty())
          return wrong;
      }
      for (int round = 0; round < 2 * rounds; ++round) {
        const std::size_t count = random.between(531, 5000);
        if (std::string wrong = check_encode(machine, codec, rounding, count, random.between(1, 2000), random);
            !wrong.empty()) {
          return wrong;
        }
      }
    }
  }
  return "";
}

std::string encode_pieces(Machine& machine, int rounds) {
  Random random(72);
  for (const Codec codec : kEncodings) {
    for (int round = 0; round < (rounds + 1) / 2; ++round) {
      const std::size_t count = random.between(2000, 4000);
      if (std::string wrong = check_encode(machine, codec, kRoundings[round % 2], count, random.between(1, 9), random);
          !wrong.empty()) {
        return wrong;
      }
    }
  }
  return "";
}

std::string check_fold(Machine& machine, Codec codec, Codec coded_by, std::size_t count, Random& random) {
  machine.forget();
  constexpr double kWeights[] = {0.0, 1.0, 0.5, 3.0, 1.0 / 3.0, -2.0, 1e-50, 12345.678};
  const bool is_avg = random.one_in(2);
  const double weight_sum = random.one_in(8) ? 0.0 : 2.75;
  std::vector<Bytes> data;
  std::vector<Piece> pieces;
  for (std::size_t i = 0, sources = random.between(1, 7); i < sources; ++i) {
    if (codec != Codec::none && random.one_in(3)) {  // whatever bytes a stranger sends
      data.emplace_back(encoded_bytes(codec, count));
      for (std::byte& byte : data.back()) byte = static_cast<std::byte>(random.next());
    } else if (codec != Codec::none) {
      data.push_back(encode(scalar_codec_kernels(), codec, draw_floats(count, random)));
    } else {
      data.push_back(bytes_of(draw_floats(count, random)));
    }
    pieces.emplace_back(machine, data.back(), codec == Codec::none ? 4 : codec == Codec::bf16 ? 2 : random.below(2));
  }
  std::vector<EncodedSource> right_sources;
  std::vector<SeawaySource> sources;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const double weight = kWeights[random.below(std::size(kWeights))];
    right_sources.push_back({data[i].data(), codec, weight});
    sources.push_back({pieces[i].data(), weight});
  }
  std::vector<float> right(count);
  const FoldArgs args{right.data(), right_sources, whole(count), weight_sum};
  (is_avg ? scalar_codec_kernels().avg : scalar_codec_kernels().sum)(args);
  Bytes right_coded;
  if (coded_by != Codec::none) {
    right_coded = encode(scalar_codec_kernels(), coded_by, right);
    right = decode(scalar_codec_kernels(), coded_by, right_coded, count);
  }
  const Piece dst(machine, Bytes(count * 4), 4);
  const Piece coded(machine, Bytes(right_coded.size()), coded_by == Codec::bf16 ? 2 : random.below(2));
  const bool done = machine.fold(
      {dst.data(), sources.data(), sources.size(), count, codec, is_avg, weight_sum, coded_by, coded.data()});
  if (done && dst.holds(bytes_of(right)) && coded.holds(right_coded)) return "";
  return std::string(name_of(codec)) + " to " + name_of(coded_by) + ", " + std::to_string(count) + " elements, " +
         std::to_string(sources.size()) + " sources" + (is_avg ? ", average" : "");
}

std::string folds(Machine& machine, int rounds) {
  Random random(73);
  for (const Codec codec : kAllCodecs) {
    for (const Codec coded_by : kAllCodecs) {
      for (std::size_t count = 0; count <= 530; count += random.between(1, rounds >= 10 ? 5 : 99)) {
        if (std::string wrong = check_fold(machine, codec, coded_by, count, random); !wrong.empty()) return wrong;
      }
      for (int round = 0; round < (rounds + 1) / 2; ++round) {
        const std::size_t count = random.between(531, 5000);
        if (std::string wrong = check_fold(machine, codec, coded_by, count, random); !wrong.empty()) return wrong;
      }
    }
  }
  return "";
}

std::string fold_many(Machine& machine, int /*rounds*/) {
  machine.forget();
  Random random(74);
  constexpr std::size_t kCount = 300;
  std::vector<std::vector<float>> data;
  std::vector<Piece> pieces;
  std::vector<EncodedSource> right_sources;
  std::vector<SeawaySource> sources;
  for (std::size_t i = 0; i < cuda::kMostSources; ++i) {
    data.push_back(draw_floats(kCount, random));
    pieces.emplace_back(machine, bytes_of(data.back()));
    sources.push_back({pieces.back().data(), 1});
  }
  for (const std::vector<float>& one : data) right_sources.push_back({one.data(), Codec::none, 1});
  std::vector<float> right(kCount);
  scalar_codec_kernels().sum({right.data(), right_sources, whole(kCount), 1});
  SeawayFold call{pieces[5].data(), sources.data(), sources.size(), kCount, Codec::none, false, 1,
                  Codec::none,      nullptr};
  if (!machine.fold(call) || !pieces[5].holds(bytes_of(right))) return "1024 sources, in place";
  sources.push_back(sources[0]);
  call.sources = sources.data();
  call.source_count = sources.size();
  return machine.fold(call) ? "1025 sources are more than a roster has, and were taken" : "";
}

std::string check_reduce(Machine& machine, DType dtype, Reduction reduction, std::size_t count, Random& random) {
  machine.forget();
  constexpr double kWeights[] = {0.0, 1.0, 0.5, 1.0 / 3.0, -2.0, 1e-50};
  const bool is_aligned = random.one_in(2);
  std::vector<Bytes> data;
  std::vector<Piece> pieces;
  std::vector<Source> right_sources;
  std::vector<SeawaySource> sources;
  for (std::size_t i = 0, of = random.between(1, 5); i < of; ++i) {
    data.push_back(draw(dtype, count, random));
    pieces.emplace_back(machine, data.back(), is_aligned ? 0 : size_of(dtype));
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    const double weight = kWeights[random.below(std::size(kWeights))];
    right_sources.push_back({data[i].data(), weight});
    sources.push_back({pieces[i].data(), weight});
  }
  const Piece dst(machine, Bytes(count * size_of(dtype)), is_aligned ? 0 : 3 * size_of(dtype));
  const ReduceFunction function = scalar_kernels().reduce(dtype, reduction);
  const bool done = machine.reduce({dtype, reduction, dst.data(), sources.data(), sources.size(), count, 1.75});
  Bytes right(count * size_of(dtype));
  if (function != nullptr) function({right.data(), right_sources, count, 1.75});
  if (done == (function != nullptr) && (!done || dst.holds(right))) return "";
  return std::string(name_of(dtype)) + " " + name_of(reduction) + ", " + std::to_string(count) + " elements" +
         (is_aligned ? "" : ", not aligned");
}

std::string reductions(Machine& machine, int rounds) {
  Random random(75);
  for (const DType dtype : kAllDTypes) {
    for (const Reduction reduction : kAllReductions) {
      if (reduction == Reduction::avg && !is_floating(dtype)) continue;
      for (std::size_t count = 0; count <= 200; count += random.between(1, rounds >= 10 ? 3 : 60)) {
        if (std::string wrong = check_reduce(machine, dtype, reduction, count, random); !wrong.empty()) return wrong;
      }
    }
  }
  return "";
}

// Against cuda/host.h, whose hashes the unit tests compare with the library's: that is not everywhere where there is a GPU.
std::string hashes(Machine& machine, int rounds) {
  machine.forget();
  Random random(76);
  std::vector<std::size_t> lengths;
  for (std::size_t bytes = 241; bytes <= 2200; bytes += rounds >= 10 ? 1 : 97) lengths.push_back(bytes);
  std::vector<std::size_t> kilobytes = {63, 64, 65,  95,
                                        96, 97, 128, 130};  // around what a block of threads takes at once
  for (std::size_t some = 3; some < 38; ++some) kilobytes.push_back(some);
  for (const std::size_t blocks : kilobytes) {
    for (const std::size_t rest : {0, 1, 63, 64, 65, 1023}) lengths.push_back(blocks * 1024 + rest);
  }
  while (lengths.size() <= cuda::kMostLeaves) lengths.push_back(241);  // of two launches
  const Bytes data = draw(DType::u8, 140000, random);
  const Piece there(machine, data);
  const Piece digests(machine, Bytes(lengths.size() * sizeof(SeawayHash)));
  std::vector<SeawayHash> right(lengths.size());
  std::vector<SeawayLeaf> right_leaves;
  std::vector<SeawayLeaf> leaves;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    std::size_t at = random.below(data.size() - lengths[i]);
    at -= random.one_in(2) ? at % 8 : 0;
    right_leaves.push_back({data.data() + at, lengths[i], &right[i]});
    leaves.push_back({there.data() + at, lengths[i], reinterpret_cast<SeawayHash*>(digests.data()) + i});
  }
  cuda::host::hash(right_leaves.data(), right_leaves.size());
  if (!machine.hash(leaves)) return "hashing failed";
  const Bytes got = digests.read();
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (got.empty() || std::memcmp(got.data() + i * sizeof(SeawayHash), &right[i], sizeof(SeawayHash)) != 0) {
      return std::to_string(lengths[i]) + " bytes";
    }
  }
  return "";
}

std::string linear_combinations(Machine& machine, int rounds) {
  Random random(77);
  for (int round = 0; round < 30 * rounds; ++round) {
    machine.forget();
    const std::size_t count = random.below(700);
    std::vector<std::vector<float>> x;
    std::vector<Piece> pieces;
    for (std::size_t i = 0, of = random.between(1, 4); i < of; ++i) {
      x.push_back(draw_floats(count, random));
      pieces.emplace_back(machine, bytes_of(x.back()), 4);
    }
    std::vector<Term> right_terms;
    std::vector<SeawayTerm> terms;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float factor = random.one_in(4) ? 0.0f : static_cast<float>(random.below(1000)) / 7.0f;
      right_terms.push_back({x[i].data(), factor});
      terms.push_back({pieces[i].data(), static_cast<double>(factor)});
    }
    std::vector<float> right(count);
    scalar_vector_kernels().lincomb({right.data(), right_terms, count});
    const Piece dst(machine, Bytes(count * 4), 4);
    if (!machine.lincomb({DType::f32, dst.data(), terms.data(), terms.size(), count}) || !dst.holds(bytes_of(right))) {
      return "a linear combination of " + std::to_string(terms.size()) + ", " + std::to_string(count) + " elements";
    }
  }
  machine.forget();
  const Piece x(machine, bytes_of(std::vector<double>{1.0 / 3, -2, 1e300}));
  const Piece y(machine, Bytes(3 * sizeof(double)));
  const SeawayTerm terms[] = {{x.data(), 3}, {x.data(), -1}};
  if (!machine.lincomb({DType::f64, y.data(), terms, 2, 3}) ||
      !y.holds(bytes_of(std::vector<double>{1 - 1.0 / 3, -4, 2e300}))) {
    return "a linear combination of f64";
  }
  return machine.lincomb({DType::i32, y.data(), terms, 2, 3}) ? "a linear combination of i32 was taken" : "";
}

void step(const OuterStepArgs& args) { scalar_vector_kernels().outer_step(args); }
void step(const OuterStepOf<double>& args) { outer_step_f64(args); }

template <class Real>
std::string check_outer_step(Machine& machine, DType dtype, std::size_t count, Random& random) {
  machine.forget();
  std::vector<Real> right[3];
  std::vector<Piece> pieces;
  for (std::vector<Real>& x : right) {
    const Bytes bytes = draw(dtype, count, random);
    x.resize(count);
    if (count > 0) std::memcpy(x.data(), bytes.data(), bytes.size());
    pieces.emplace_back(machine, bytes, sizeof(Real));
  }
  const bool nesterov = random.one_in(2);
  const Real rate = static_cast<Real>(0.7);
  const Real momentum = random.one_in(3) ? Real{0} : static_cast<Real>(0.9);
  step(OuterStepOf<Real>{right[0].data(), right[1].data(), right[2].data(), count, rate, momentum, nesterov});
  const bool done = machine.outer_step(
      {dtype, pieces[0].data(), pieces[1].data(), pieces[2].data(), count, rate, momentum, nesterov});
  if (done && pieces[0].holds(bytes_of(right[0])) && pieces[1].holds(bytes_of(right[1])) &&
      pieces[2].holds(bytes_of(right[2]))) {
    return "";
  }
  return std::string(name_of(dtype)) + ", " + std::to_string(count) + " elements" + (nesterov ? ", Nesterov" : "");
}

std::string outer_steps(Machine& machine, int rounds) {
  Random random(79);
  for (int round = 0; round < 30 * rounds; ++round) {
    std::string wrong = check_outer_step<float>(machine, DType::f32, random.below(700), random);
    wrong = wrong.empty() ? check_outer_step<double>(machine, DType::f64, random.below(700), random) : wrong;
    if (!wrong.empty()) return wrong;
  }
  std::byte* const there = machine.take(16);
  return machine.outer_step({DType::i32, there, there, there, 0, 1, 0, false}) ? "an outer step of i32 was taken" : "";
}

// The sums of the blocks are the squared norms of the blocks, and add up to that of the vector.
std::string squared_norms(Machine& machine, int rounds) {
  constexpr std::size_t kBlock = math::kSquaresBlock;
  Random random(78);
  std::vector<std::size_t> counts{0, 1, kBlock - 1, kBlock, kBlock + 1, 2 * kBlock, 30 * kBlock + 77};
  for (int round = 0; round < 4 * rounds; ++round) counts.push_back(random.below(6 * kBlock));
  for (const std::size_t count : counts) {
    machine.forget();
    const std::vector<float> x = draw_floats(count, random);
    std::vector<double> right;
    for (std::size_t at = 0; at < count; at += kBlock) {
      right.push_back(scalar_vector_kernels().sqnorm(x.data() + at, std::min(count - at, kBlock)));
    }
    const Piece there(machine, bytes_of(x), 4);
    const Piece sums(machine, Bytes(right.size() * sizeof(double)));
    if (!machine.squares({there.data(), count, reinterpret_cast<double*>(sums.data())}) ||
        !sums.holds(bytes_of(right))) {
      return "the blocks of " + std::to_string(count) + " elements";
    }
    const double norms[] = {sqnorm_of_blocks(right), scalar_vector_kernels().sqnorm(x.data(), count)};
    if (std::memcmp(&norms[0], &norms[1], sizeof norms[0]) != 0) {
      return "the sum of the blocks of " + std::to_string(count) + " elements";
    }
  }
  return "";
}

constexpr KernelCase kCases[] = {
    {"encode, every length of a block", encode_lengths},
    {"encode, of more pieces than a table has", encode_pieces},
    {"fold, and fold that encodes", folds},
    {"fold, of as many sources as a roster can have", fold_many},
    {"reduce, every dtype and reduction", reductions},
    {"hash, around the borders of stripes and blocks", hashes},
    {"linear combinations", linear_combinations},
    {"outer steps", outer_steps},
    {"squared norms, by blocks", squared_norms},
};

}  // namespace

std::span<const KernelCase> kernel_cases() { return kCases; }

}  // namespace seaway::test
