// Every variant gives the bits of the naive reference, whatever the codec, rounding, size, alignment and content.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "operands.h"
#include "reference.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace seaway {
namespace {

// Floats whose blocks have scales of every size: a common exponent for stretches of 64.
void fill_by_stretches(Buffer& buffer, Random& random) {
  std::uint32_t exponent = 0;
  for (std::size_t i = 0; i * 4 < buffer.size(); ++i) {
    if (i % 64 == 0) exponent = static_cast<std::uint32_t>(random.between(4, 254));
    const std::uint32_t below =
        exponent - static_cast<std::uint32_t>(random.below(std::min<std::uint64_t>(exponent, 9)));
    const std::uint32_t bits = (static_cast<std::uint32_t>(random.next()) & 0x807fffffu) | (below << 23);
    std::memcpy(buffer.data() + i * 4, &bits, 4);
  }
}

Buffer draw_floats(std::size_t count, Random& random) {
  Buffer buffer(count * 4, random.below(64));
  if (random.one_in(3)) {
    fill_by_stretches(buffer, random);
  } else {
    fill(buffer, DType::f32, kAllContents[random.below(std::size(kAllContents))], random);
  }
  return buffer;
}

std::vector<float> floats_of(const Buffer& buffer) {
  std::vector<float> out(buffer.size() / 4);
  if (!out.empty()) std::memcpy(out.data(), buffer.data(), buffer.size());
  return out;
}

bool same(const void* a, const void* b, std::size_t bytes) { return bytes == 0 || std::memcmp(a, b, bytes) == 0; }

// A piece of a chunk after the other, cut where the rules allow it.
template <class Function>
void for_pieces(std::size_t chunk, Random& random, Function function) {
  if (random.one_in(2)) return function(whole(chunk));
  for (std::size_t first = 0; first < chunk;) {
    const std::size_t count = std::min(chunk - first, kPieceGrain * random.between(1, 4));
    function(Piece{first, count, chunk});
    first += count;
  }
}

void check_encode(Codec codec, std::size_t count, Random& random) {
  const Buffer src = draw_floats(count, random);
  const Buffer residual_before = draw_floats(count, random);
  const bool feedback = random.one_in(2);
  const Rounding rounding = random.one_in(2) ? Rounding::nearest : Rounding::stochastic;
  EncodeArgs args{codec, nullptr, src.data(), whole(count), nullptr, rounding, random.next(), random.next()};
  std::vector<float> residual = floats_of(residual_before);
  const std::vector<std::byte> right = reference::encode(args, feedback ? &residual : nullptr);
  for (const CodecKernels* kernels : runnable_codec_kernels()) {
    INFO(kernels->name << " " << name_of(codec) << ", " << count << " elements, feedback " << feedback << ", rounding "
                       << static_cast<int>(rounding));
    Buffer dst(right.size(), random.below(64));
    Buffer kept = residual_before;
    args.dst = dst.data();
    args.residual = feedback ? kept.data() : nullptr;
    for_pieces(count, random, [&](const Piece& piece) {
      args.piece = piece;
      kernels->encode(args);
    });
    args.piece = whole(count);
    if (feedback && random.one_in(2)) {  // whoever encodes again, with the residual as it was, gets the same
      CHECK(!std::exchange(args.residual_stays, true));
      Buffer before = residual_before;
      args.residual = before.data();
      kernels->encode(args);
      CHECK(same(before.data(), residual_before.data(), count * 4));
      args.residual_stays = false;
    }
    CHECK(dst.guards_intact());
    CHECK(kept.guards_intact());
    CHECK(same(dst.data(), right.data(), right.size()));
    CHECK((!feedback || same(kept.data(), residual.data(), count * 4)));
  }
}

TEST_CASE("codec: every variant encodes to the reference's bits at every length of a block") {
  Random random(41);
  for (Codec codec : kEncodings) {
    for (std::size_t count = 0; count <= 530; ++count) {
      for (int round = 0; round < 2; ++round) check_encode(codec, count, random);
    }
    for (int round = 0; round < 30; ++round) check_encode(codec, random.between(531, 4000), random);
  }
}

void check_fold(std::size_t count, Random& random) {
  std::vector<Buffer> buffers;
  std::vector<EncodedSource> sources;
  constexpr double kWeights[] = {0.0, 1.0, 0.5, 3.0, 1.0 / 3.0, -2.0, 1e-50, 12345.678};
  const std::size_t source_count = random.between(1, 7);
  const bool encoded_by_us = random.one_in(2);
  for (std::size_t s = 0; s < source_count; ++s) {
    const Codec codec = kAllCodecs[random.below(std::size(kAllCodecs))];
    if (codec == Codec::none || !encoded_by_us) {
      // What a stranger sends: any bytes at all.
      buffers.emplace_back(encoded_bytes(codec, count), random.below(64));
      if (codec == Codec::none) {
        buffers.back() = draw_floats(count, random);
      } else {
        fill(buffers.back(), DType::u8, Content::arbitrary, random);
      }
    } else {
      const std::vector<std::byte> bytes = encode(scalar_codec_kernels(), codec, floats_of(draw_floats(count, random)));
      buffers.emplace_back(bytes.size(), random.below(64));
      std::copy(bytes.begin(), bytes.end(), buffers.back().data());
    }
    sources.push_back({nullptr, codec, kWeights[random.below(std::size(kWeights))]});
  }
  for (std::size_t s = 0; s < source_count; ++s) sources[s].data = buffers[s].data();
  const double weight_sum = random.one_in(8) ? 0.0 : 2.75;
  for (Reduction reduction : {Reduction::sum, Reduction::avg}) {
    const std::vector<std::uint32_t> right = reference::fold({nullptr, sources, whole(count), weight_sum}, reduction);
    for (const CodecKernels* kernels : runnable_codec_kernels()) {
      INFO(kernels->name << " " << name_of(reduction) << ", " << count << " elements, " << source_count << " sources");
      // In place where the first source is plain.
      Buffer dst(count * 4, random.below(64));
      std::vector<EncodedSource> from = sources;
      if (sources[0].codec == Codec::none && random.one_in(2)) {
        dst = buffers[0];
        from[0].data = dst.data();
      }
      for_pieces(count, random, [&](const Piece& piece) {
        (reduction == Reduction::sum ? kernels->sum : kernels->avg)({dst.data(), from, piece, weight_sum});
      });
      CHECK(dst.guards_intact());
      CHECK(same(dst.data(), right.data(), count * 4));
    }
  }
}

TEST_CASE("codec: every variant folds to the reference's bits at every length of a block") {
  Random random(42);
  for (std::size_t count = 0; count <= 530; ++count) {
    for (int round = 0; round < 4; ++round) check_fold(count, random);
  }
  for (int round = 0; round < 60; ++round) check_fold(random.between(531, 4000), random);
}

TEST_CASE("codec: all 65,536 bf16 values decode to themselves and come back") {
  std::vector<std::byte> all(131072);
  std::vector<std::byte> back_right(131072);
  std::vector<std::uint32_t> right(65536);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const std::uint16_t half = static_cast<std::uint16_t>(i);
    const std::uint16_t canonical = (i & 0x7fff) > 0x7f80 ? std::uint16_t{0x7fc0} : half;
    std::memcpy(all.data() + 2 * i, &half, 2);
    std::memcpy(back_right.data() + 2 * i, &canonical, 2);
    right[i] = std::uint32_t{canonical} << 16;
  }
  for (const CodecKernels* kernels : runnable_codec_kernels()) {
    CAPTURE(kernels->name);
    const std::vector<float> values = decode(*kernels, Codec::bf16, all, 65536);
    CHECK(same(values.data(), right.data(), 65536 * 4));
    CHECK(encode(*kernels, Codec::bf16, values) == back_right);
  }
}

// A chunk in which every 16-bit pattern is the scale of one block, and every code is in each block.
TEST_CASE("codec: every code under each of all 65,536 scales") {
  for (Codec codec : {Codec::q8, Codec::q4}) {
    const std::size_t block = codec == Codec::q8 ? 256 : 32;
    const std::size_t count = 65536 * block;
    std::vector<std::byte> all(encoded_bytes(codec, count));
    for (std::size_t i = 0; i < 65536; ++i) {
      const std::uint16_t scale = static_cast<std::uint16_t>(i);
      std::memcpy(all.data() + 2 * i, &scale, 2);
    }
    const std::size_t block_bytes = codec == Codec::q8 ? 256 : 16;
    for (std::size_t i = 0; i < 65536 * block_bytes; ++i) {
      all[131072 + i] = static_cast<std::byte>(codec == Codec::q8 ? i % 256 : i % 16 * 17);
    }
    std::vector<std::uint32_t> right(count);
    for (std::size_t i = 0; i < count; ++i) {
      right[i] = reference::encode_f32(reference::decoded(codec, all.data(), count, i));
    }
    for (const CodecKernels* kernels : runnable_codec_kernels()) {
      CAPTURE(kernels->name);
      const std::vector<float> got = decode(*kernels, codec, all, count);
      CHECK(same(got.data(), right.data(), count * 4));
    }
  }
}

TEST_CASE("codec: a block's largest is every bf16 in turn, and the floats next to it") {
  Random random(43);
  for (Codec codec : {Codec::q8, Codec::q4}) {
    const std::size_t block = codec == Codec::q8 ? 256 : 32;
    std::vector<float> x(32768 * block);
    for (std::size_t b = 0; b < 32768; ++b) {
      const std::uint32_t largest =
          static_cast<std::uint32_t>(b << 16) + static_cast<std::uint32_t>(random.below(3)) - 1u;
      for (std::size_t i = 0; i < block; ++i) {
        const std::uint32_t smaller =
            static_cast<std::uint32_t>(random.below(std::uint64_t{largest & 0x7fffffffu} + 1));
        x[b * block + i] = std::bit_cast<float>(i == b % block ? largest : smaller);
      }
    }
    const EncodeArgs args{codec, nullptr, x.data(), whole(x.size()), nullptr, Rounding::nearest, 0, 0};
    const std::vector<std::byte> right = reference::encode(args, nullptr);
    for (const CodecKernels* kernels : runnable_codec_kernels()) {
      CAPTURE(kernels->name);
      CHECK(encode(*kernels, codec, x) == right);
    }
  }
}

#if defined(__x86_64__)

TEST_CASE("codec: the caller's floating-point environment neither changes a bit nor is changed") {
  constexpr unsigned kDefault = 0x1f80;
  // Flush to zero and denormals are zero; each rounding; flags up; nothing masked, so that everything would trap.
  constexpr unsigned kEnvironments[] = {kDefault | 0x8040, kDefault | 0x8000, kDefault | 0x0040, kDefault | 0x2000,
                                        kDefault | 0xc000, kDefault | 0x6000, kDefault | 0x003f, 0};
  constexpr std::size_t kCount = 777;
  Random random(44);
  for (const CodecKernels* kernels : runnable_codec_kernels()) {
    for (Codec codec : kEncodings) {
      for (int round = 0; round < 20; ++round) {
        const std::vector<float> x = floats_of(draw_floats(kCount, random));
        const std::vector<float> before = floats_of(draw_floats(kCount, random));
        const Rounding rounding = round % 2 == 0 ? Rounding::nearest : Rounding::stochastic;
        struct Outcome {
          std::vector<std::byte> encoded;
          std::vector<float> residual, sum, avg;
        };
        const auto run_in = [&](unsigned environment) {
          Outcome outcome{std::vector<std::byte>(encoded_bytes(codec, kCount)), before, std::vector<float>(kCount),
                          std::vector<float>(kCount)};
          const EncodedSource sources[] = {{x.data(), Codec::none, 1e-40}, {outcome.encoded.data(), codec, 1.0 / 3.0}};
          const unsigned mine = _mm_getcsr();
          _mm_setcsr(environment);
          kernels->encode(
              {codec, outcome.encoded.data(), x.data(), whole(kCount), outcome.residual.data(), rounding, 1, 2});
          kernels->sum({outcome.sum.data(), sources, whole(kCount), 0});
          kernels->avg({outcome.avg.data(), sources, whole(kCount), 2.0 / 3.0});
          const unsigned left = _mm_getcsr();
          _mm_setcsr(mine);
          CHECK(left == environment);
          return outcome;
        };
        const Outcome right = run_in(kDefault);
        for (unsigned environment : kEnvironments) {
          CAPTURE(kernels->name);
          CAPTURE(name_of(codec));
          CAPTURE(environment);
          const Outcome got = run_in(environment);
          CHECK(got.encoded == right.encoded);
          CHECK(same(got.residual.data(), right.residual.data(), kCount * 4));
          CHECK(same(got.sum.data(), right.sum.data(), kCount * 4));
          CHECK(same(got.avg.data(), right.avg.data(), kCount * 4));
        }
      }
    }
  }
}

#endif

}  // namespace
}  // namespace seaway
