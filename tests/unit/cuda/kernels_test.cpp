// The bodies of the CUDA kernels, run by the host's launcher: the bits of the scalar kernels, whatever the codec, rounding, size,
// content, grid and cut into spans. tests/gpu compares the same on a device.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "cuda/host.h"
#include "hash/hash.h"
#include "reduce/vector.h"
#include "unit/codec/operands.h"

namespace seaway {
namespace {

namespace host = cuda::host;

constexpr Rounding kRoundings[] = {Rounding::nearest, Rounding::stochastic};

unsigned draw_grid(Random& random) { return static_cast<unsigned>(random.between(1, 9)); }

Buffer draw(DType dtype, std::size_t count, Random& random) {
  Buffer buffer(count * size_of(dtype), 0);
  fill(buffer, dtype, kAllContents[random.below(std::size(kAllContents))], random);
  return buffer;
}

std::vector<float> draw_floats(std::size_t count, Random& random) {
  const Buffer buffer = draw(DType::f32, count, random);
  std::vector<float> x(count);
  if (count > 0) std::memcpy(x.data(), buffer.data(), count * 4);
  return x;
}

bool same(const void* a, const void* b, std::size_t bytes) { return bytes == 0 || std::memcmp(a, b, bytes) == 0; }
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && same(a.data(), b.data(), a.size() * 4);
}

// Cuts a vector into pieces that lie apart: each has memory of its own.
class Pieces {
 public:
  Pieces(const std::vector<float>& x, std::size_t most, Random& random) {
    for (std::size_t at = 0; at < x.size();) {
      const std::size_t count = std::min(x.size() - at, static_cast<std::size_t>(random.between(0, most)));
      memory_.emplace_back(x.begin() + static_cast<std::ptrdiff_t>(at),
                           x.begin() + static_cast<std::ptrdiff_t>(at + count));
      at += count;
    }
    for (std::vector<float>& piece : memory_) spans_.push_back({piece.data(), piece.size()});
  }
  const std::vector<SeawaySpan>& spans() const { return spans_; }
  std::vector<float> joined() const {
    std::vector<float> all;
    for (const std::vector<float>& piece : memory_) all.insert(all.end(), piece.begin(), piece.end());
    return all;
  }

 private:
  std::vector<std::vector<float>> memory_;
  std::vector<SeawaySpan> spans_;
};

void check_encode(Codec codec, Rounding rounding, std::size_t count, std::size_t most, Random& random) {
  const std::vector<float> x = draw_floats(count, random);
  const std::vector<float> before = draw_floats(count, random);
  const bool feedback = random.one_in(2);
  const bool stays = random.one_in(4);
  std::vector<float> residual = before;
  const std::uint64_t key = random.next();
  const std::uint64_t stream = random.next();
  EncodeArgs args{codec, nullptr, x.data(), whole(count), feedback ? residual.data() : nullptr, rounding, key, stream};
  args.residual_stays = stays;
  std::vector<std::byte> right(encoded_bytes(codec, count));
  args.dst = right.data();
  scalar_codec_kernels().encode(args);

  const Pieces from(x, most, random);
  const Pieces kept(before, most, random);
  Buffer dst(right.size(), random.one_in(2) && codec != Codec::bf16 ? 1 : 0);
  const SeawayEncode call{.codec = codec,
                          .stochastic = rounding == Rounding::stochastic,
                          .residual_stays = stays,
                          .count = count,
                          .dst = dst.data(),
                          .src = from.spans().data(),
                          .src_spans = from.spans().size(),
                          .residual = kept.spans().data(),
                          .residual_spans = feedback ? kept.spans().size() : 0,
                          .key = key,
                          .stream = stream};
  const unsigned grid = draw_grid(random);
  INFO(name_of(codec) << ", " << count << " elements in pieces of " << most << ", feedback " << feedback << ", grid "
                      << grid);
  CHECK(host::encode(grid, call));
  CHECK(dst.guards_intact());
  CHECK(same(dst.data(), right.data(), right.size()));
  CHECK(same(from.joined(), x));
  CHECK(same(kept.joined(), feedback ? residual : before));
}

TEST_CASE("cuda: encode has the scalar kernel's bits at every length of a block") {
  Random random(71);
  for (const Codec codec : kEncodings) {
    for (const Rounding rounding : kRoundings) {
      for (std::size_t count = 0; count <= 530; ++count) check_encode(codec, rounding, count, 4000, random);
      for (int round = 0; round < 20; ++round) {
        check_encode(codec, rounding, random.between(531, 5000), random.between(1, 2000), random);
      }
    }
  }
}

TEST_CASE("cuda: what lies in more pieces than a table has is encoded by several calls") {
  Random random(72);
  for (const Codec codec : kEncodings) {
    for (int round = 0; round < 6; ++round) {
      check_encode(codec, kRoundings[round % 2], random.between(2000, 4000), random.between(1, 9), random);
    }
  }
}

void check_fold(Codec codec, Codec coded_by, std::size_t count, Random& random) {
  constexpr double kWeights[] = {0.0, 1.0, 0.5, 3.0, 1.0 / 3.0, -2.0, 1e-50, 12345.678};
  const bool is_avg = random.one_in(2);
  const double weight_sum = random.one_in(8) ? 0.0 : 2.75;
  std::vector<std::vector<std::byte>> data;
  const std::size_t source_count = random.between(1, 7);
  for (std::size_t i = 0; i < source_count; ++i) {
    if (codec != Codec::none && random.one_in(3)) {  // whatever bytes a stranger sends
      data.emplace_back(encoded_bytes(codec, count));
      for (std::byte& byte : data.back()) byte = static_cast<std::byte>(random.next());
    } else if (codec != Codec::none) {
      data.push_back(encode(scalar_codec_kernels(), codec, draw_floats(count, random)));
    } else {
      const std::vector<float> x = draw_floats(count, random);
      const auto bytes = std::as_bytes(std::span(x));
      data.emplace_back(bytes.begin(), bytes.end());
    }
  }
  std::vector<EncodedSource> right_sources;
  std::vector<SeawaySource> sources;
  for (const std::vector<std::byte>& one : data) {
    const double weight = kWeights[random.below(std::size(kWeights))];
    right_sources.push_back({one.data(), codec, weight});
    sources.push_back({one.data(), weight});
  }
  std::vector<float> right(count);
  const FoldArgs args{right.data(), right_sources, whole(count), weight_sum};
  (is_avg ? scalar_codec_kernels().avg : scalar_codec_kernels().sum)(args);
  std::vector<std::byte> right_coded;
  if (coded_by != Codec::none) {
    right_coded = encode(scalar_codec_kernels(), coded_by, right);
    right = decode(scalar_codec_kernels(), coded_by, right_coded, count);
  }
  Buffer dst(count * 4, 0);
  Buffer coded(right_coded.size(), 0);
  const unsigned grid = draw_grid(random);
  INFO(name_of(codec) << " to " << name_of(coded_by) << ", " << count << " elements, " << source_count
                      << " sources, avg " << is_avg << ", grid " << grid);
  CHECK(host::fold(
      grid, {dst.data(), sources.data(), sources.size(), count, codec, is_avg, weight_sum, coded_by, coded.data()}));
  CHECK(dst.guards_intact());
  CHECK(coded.guards_intact());
  CHECK(same(dst.data(), right.data(), count * 4));
  CHECK(same(coded.data(), right_coded.data(), right_coded.size()));
}

TEST_CASE("cuda: fold, and fold that encodes, have the scalar kernels' bits") {
  Random random(73);
  for (const Codec codec : kAllCodecs) {
    for (const Codec coded_by : kAllCodecs) {
      for (std::size_t count = 0; count <= 530; count += random.between(1, 5)) {
        check_fold(codec, coded_by, count, random);
      }
      for (int round = 0; round < 5; ++round) check_fold(codec, coded_by, random.between(531, 5000), random);
    }
  }
}

TEST_CASE("cuda: a fold in place, of as many sources as a roster can have and one more") {
  Random random(74);
  constexpr std::size_t kCount = 300;
  std::vector<std::vector<float>> data;
  std::vector<EncodedSource> right_sources;
  std::vector<SeawaySource> sources;
  for (std::size_t i = 0; i < cuda::kMostSources; ++i) data.push_back(draw_floats(kCount, random));
  for (const std::vector<float>& one : data) {
    right_sources.push_back({one.data(), Codec::none, 1});
    sources.push_back({one.data(), 1});
  }
  std::vector<float> right(kCount);
  scalar_codec_kernels().sum({right.data(), right_sources, whole(kCount), 1});
  SeawayFold call{data[5].data(), sources.data(), sources.size(), kCount, Codec::none, false, 1, Codec::none, nullptr};
  CHECK(host::fold(3, call));
  CHECK(same(data[5], right));
  sources.push_back(sources[0]);
  call.sources = sources.data();
  call.source_count = sources.size();
  CHECK_FALSE(host::fold(3, call));
}

TEST_CASE("cuda: reduce has the scalar kernel's bits for every dtype and reduction, aligned or not") {
  Random random(75);
  constexpr double kWeights[] = {0.0, 1.0, 0.5, 1.0 / 3.0, -2.0, 1e-50};
  for (const DType dtype : kAllDTypes) {
    for (const Reduction reduction : kAllReductions) {
      for (std::size_t count = 0; count <= 200; count += random.between(1, 3)) {
        const std::size_t source_count = random.between(1, 5);
        std::vector<Buffer> buffers;
        std::vector<Source> right_sources;
        std::vector<SeawaySource> sources;
        const bool is_aligned = random.one_in(2);
        const auto memory = [&] {  // as aligned as a device's is, or as its elements are
          Buffer buffer(count * size_of(dtype), 0);
          const std::size_t beside = (16 - reinterpret_cast<std::uintptr_t>(buffer.data()) % 16) % 16;
          return std::pair(count * size_of(dtype), is_aligned ? beside : beside + size_of(dtype));
        };
        buffers.reserve(source_count + 1);  // what has an address stays there
        for (std::size_t i = 0; i <= source_count; ++i) {
          const auto [bytes, misalignment] = memory();
          buffers.emplace_back(bytes, misalignment);
          fill(buffers.back(), dtype, kAllContents[random.below(std::size(kAllContents))], random);
        }
        for (std::size_t i = 0; i < source_count; ++i) {
          const double weight = kWeights[random.below(std::size(kWeights))];
          right_sources.push_back({buffers[i].data(), weight});
          sources.push_back({buffers[i].data(), weight});
        }
        Buffer& dst = buffers.back();
        const SeawayReduce call{dtype, reduction, dst.data(), sources.data(), source_count, count, 1.75};
        INFO(name_of(dtype) << " " << name_of(reduction) << ", " << count << " elements, aligned " << is_aligned);
        const ReduceFunction function = scalar_kernels().reduce(dtype, reduction);
        REQUIRE(host::reduce(draw_grid(random), call) == (function != nullptr));
        if (function != nullptr) {
          Buffer right(count * size_of(dtype), 0);
          function({right.data(), right_sources, count, 1.75});
          CHECK(dst.guards_intact());
          CHECK(same(dst.data(), right.data(), right.size()));
        }
      }
    }
  }
}

TEST_CASE("cuda: hashes are those of the library, around the borders of stripes and blocks") {
  Random random(76);
  Buffer data(40000, 0);
  fill(data, DType::u8, Content::arbitrary, random);
  std::vector<std::size_t> lengths;
  for (std::size_t bytes = 241; bytes <= 2200; ++bytes) lengths.push_back(bytes);
  for (std::size_t blocks = 3; blocks < 38; ++blocks) {
    for (const std::size_t rest : {0, 1, 63, 64, 65, 1023}) lengths.push_back(blocks * 1024 + rest);
  }
  std::vector<SeawayHash> hashes(lengths.size());
  std::vector<SeawayLeaf> leaves;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    leaves.push_back({data.data() + random.below(40000 - lengths[i]), lengths[i], &hashes[i]});
  }
  CHECK(host::hash(leaves.data(), leaves.size()));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    CAPTURE(lengths[i]);
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(leaves[i].data), lengths[i]);
    CHECK(hashes[i].low == hash64(bytes));
    CHECK(Hash128{hashes[i].low, hashes[i].high} == hash128(bytes));
  }
}

TEST_CASE("cuda: linear combinations and squared norms have the scalar kernels' bits") {
  Random random(77);
  for (int round = 0; round < 300; ++round) {
    const std::size_t count = random.below(700);
    const std::size_t terms = random.between(1, 4);
    std::vector<std::vector<float>> x;
    for (std::size_t i = 0; i < terms; ++i) x.push_back(draw_floats(count, random));
    std::vector<Term> right_terms;
    std::vector<SeawayTerm> same_terms;
    for (const std::vector<float>& one : x) {
      const float factor = random.one_in(4) ? 0.0f : static_cast<float>(random.below(1000)) / 7.0f;
      right_terms.push_back({one.data(), factor});
      same_terms.push_back({one.data(), static_cast<double>(factor)});
    }
    std::vector<float> right(count);
    std::vector<float> got(count);
    scalar_vector_kernels().lincomb({right.data(), right_terms, count});
    CHECK(host::lincomb(draw_grid(random), {DType::f32, got.data(), same_terms.data(), terms, count}));
    CHECK(same(got, right));

    std::vector<double> sums(terms);
    std::vector<SeawaySquares> vectors;
    for (std::size_t i = 0; i < terms; ++i) vectors.push_back({x[i].data(), count, &sums[i]});
    CHECK(host::squares(vectors.data(), terms));
    for (std::size_t i = 0; i < terms; ++i) {
      const double norm = scalar_vector_kernels().sqnorm(x[i].data(), count);
      CHECK(same(&sums[i], &norm, sizeof norm));
    }
  }
  double x[] = {1.0 / 3, -2, 1e300};
  double y[3];
  const SeawayTerm terms[] = {{x, 3}, {x, -1}};
  CHECK(host::lincomb(2, {DType::f64, y, terms, 2, 3}));
  CHECK(y[0] == 1 - 1.0 / 3);
  CHECK(y[2] == 2e300);
  CHECK_FALSE(host::lincomb(2, {DType::i32, y, terms, 2, 3}));
}

}  // namespace
}  // namespace seaway
