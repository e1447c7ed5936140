// Answers worked out by hand, one per promise of codec/codec.h, for every variant.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

#include "base/assert.h"
#include "operands.h"

namespace seaway {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

// What comes out at the other end.
std::vector<float> through(const CodecKernels& kernels, Codec codec, const std::vector<float>& x) {
  return decode(kernels, codec, encode(kernels, codec, x), x.size());
}

TEST_CASE("codec: how many bytes a chunk takes") {
  CHECK(encoded_bytes(Codec::none, 5) == 20);
  CHECK(encoded_bytes(Codec::bf16, 5) == 10);
  CHECK(encoded_bytes(Codec::q8, 1) == 2 + 1);
  CHECK(encoded_bytes(Codec::q8, 256) == 2 + 256);
  CHECK(encoded_bytes(Codec::q8, 257) == 4 + 257);
  CHECK(encoded_bytes(Codec::q4, 1) == 2 + 1);
  CHECK(encoded_bytes(Codec::q4, 16) == 2 + 16);
  CHECK(encoded_bytes(Codec::q4, 17) == 2 + 16);
  CHECK(encoded_bytes(Codec::q4, 32) == 2 + 16);
  CHECK(encoded_bytes(Codec::q4, 33) == 4 + 17);
  CHECK(encoded_bytes(Codec::q4, 63) == 4 + 32);
  for (Codec codec : kAllCodecs) CHECK(encoded_bytes(codec, 0) == 0);
  // Of a chunk of 512 KiB, and of whatever has 50 elements.
  CHECK(static_cast<double>(encoded_bytes(Codec::q8, 131072)) / (4 * 131072) < .253);
  for (std::size_t count = 50; count < 2000; ++count) CHECK(encoded_bytes(Codec::q8, count) * 100 <= count * 4 * 26);
}

TEST_CASE("codec: q8, byte by byte") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    // 127 / 127 is 1, 0x3f80; ties go to the even code.
    CHECK(encode(*k, Codec::q8, {127, -127, 1, .5f, 1.5f, -.5f, -2.75f, 0, -0.0f}) ==
          bytes({0x80, 0x3f, 127, 0x81, 1, 0, 2, 0, 0xfd, 0, 0}));
    // 127.5 / 127 is 1.0039: up to 1.0078125, 0x3f81. 127.5 is 126.5 of them and a bit.
    CHECK(encode(*k, Codec::q8, {-127.5f, 3}) == bytes({0x81, 0x3f, 0x81, 3}));
    // A second block has its own scale, and both scales come first.
    std::vector<float> x(257, 0.0f);
    x[0] = 254;
    x[256] = -1;
    std::vector<std::byte> right(4 + 257);
    right[1] = std::byte{0x40};  // 2
    right[2] = std::byte{0x02};  // 1 / 127 = .0078740 = 1.00787 * 2^-7: up to 1.015625 * 2^-7
    right[3] = std::byte{0x3c};
    right[4] = std::byte{127};
    right[4 + 256] = std::byte{0x82};  // 128 / 1.015625 is 126.03
    CHECK(encode(*k, Codec::q8, x) == right);
  }
}

TEST_CASE("codec: q4, byte by byte") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    std::vector<float> x(20, 0.0f);
    x[0] = 7;
    x[1] = -7;
    x[2] = .5f;
    x[3] = -1.5f;
    x[16] = 3;
    x[17] = -1;
    x[18] = 2.5f;
    x[19] = -3.5f;
    std::vector<std::byte> right = bytes({0x80, 0x3f, 0x37, 0xf9, 0x20, 0xce});
    right.resize(2 + 16);
    CHECK(encode(*k, Codec::q4, x) == right);
    x.resize(33);
    x[32] = 14;
    right = bytes({0x80, 0x3f, 0x00, 0x40, 0x37, 0xf9, 0x20, 0xce});
    right.resize(4 + 16);
    right.push_back(std::byte{7});
    CHECK(encode(*k, Codec::q4, x) == right);
  }
}

TEST_CASE("codec: bf16, byte by byte") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    // 1 + 2^-8 is a tie and goes to 1; 1 + 3 * 2^-8 is one that goes to 1 + 2^-6; FLT_MAX goes to Inf.
    CHECK(encode(*k, Codec::bf16, {1, 1 + 0x1p-8f, 1 + 0x3p-8f, -0.0f, FLT_MAX, -kInf, -kNan}) ==
          bytes({0x80, 0x3f, 0x80, 0x3f, 0x82, 0x3f, 0x00, 0x80, 0x80, 0x7f, 0x80, 0xff, 0xc0, 0x7f}));
  }
}

TEST_CASE("codec: zeros come out as +0, and a buffer of zeros decodes to zeros") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    for (Codec codec : {Codec::q8, Codec::q4}) {
      for (float value : through(*k, codec, std::vector<float>(300, -0.0f))) CHECK(bits_of(value) == 0);
      const std::vector<std::byte> nothing(encoded_bytes(codec, 300));
      for (float value : decode(*k, codec, nothing, 300)) CHECK(bits_of(value) == 0);
    }
  }
}

TEST_CASE("codec: NaN or Inf makes its block NaN, and only its block") {
  const float payload = std::bit_cast<float>(0xffa12345u);
  for (const CodecKernels* k : runnable_codec_kernels()) {
    for (Codec codec : {Codec::q8, Codec::q4}) {
      const std::size_t block = codec == Codec::q8 ? 256 : 32;
      for (float bad : {kNan, payload, kInf, -kInf}) {
        for (std::size_t at : {block, block + 1, 2 * block - 1}) {
          std::vector<float> x(3 * block, 1.0f);
          x[at] = bad;
          const std::vector<float> y = through(*k, codec, x);
          std::size_t nans = 0;
          for (std::size_t i = 0; i < y.size(); ++i) {
            nans += bits_of(y[i]) == 0x7fc00000u && i / block == 1;
            if (i / block != 1) CHECK(y[i] == doctest::Approx(1).epsilon(.01));
          }
          CHECK(nans == block);
        }
      }
    }
  }
}

TEST_CASE("codec: what is finite stays finite, what is tiny does not become something else") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    // The scales are 1.0078125 * 2^121 and 1.140625 * 2^125.
    CHECK(through(*k, Codec::q8, {FLT_MAX, -FLT_MAX})[1] == -127 * 1.0078125f * 0x1p121f);
    CHECK(through(*k, Codec::q4, {FLT_MAX, -FLT_MAX})[0] == 7 * 1.140625f * 0x1p125f);
    for (std::uint64_t key = 0; key < 200; ++key) {  // stochastic rounding could carry beyond the last code
      for (Codec codec : {Codec::q8, Codec::q4}) {
        const std::vector<float> x{FLT_MAX, -FLT_MAX};
        const auto encoded = encode(*k, codec, x, nullptr, Rounding::stochastic, key);
        for (float value : decode(*k, codec, encoded, 2)) CHECK(std::isfinite(value));
      }
    }
    // The least scale is 2^-126: half of it, 2^-127, ties to 0, what is above it to 1.
    const std::vector<float> tiny = through(*k, Codec::q8, {0x1p-149f, 0x1p-127f, 0x1.8p-127f, -0x1p-126f, 0x1p-125f});
    CHECK(tiny == std::vector<float>{0, 0, 0x1p-126f, -0x1p-126f, 0x1p-125f});
    CHECK(through(*k, Codec::q4, {-0x1.8p-127f, 0x1p-149f}) == std::vector<float>{-0x1p-126f, 0});
    // bf16 has subnormals of its own.
    CHECK(through(*k, Codec::bf16, {0x1p-133f, -0x1p-149f}) == std::vector<float>{0x1p-133f, -0.0f});
  }
}

TEST_CASE("codec: whatever arrives decodes by the same rule") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    CHECK(decode(*k, Codec::q8, bytes({0x00, 0x40, 0x80}), 1)[0] == -256);                  // -128 * 2
    CHECK(decode(*k, Codec::q8, bytes({0x80, 0xbf, 0x05}), 1)[0] == -5);                    // a negative scale
    CHECK(decode(*k, Codec::q8, bytes({0x01, 0x00, 0x03}), 1)[0] == 0x3p-133f);             // a subnormal one
    CHECK(decode(*k, Codec::q8, bytes({0x7f, 0x7f, 0x7f}), 1)[0] == kInf);                  // a product that overflows
    CHECK(decode(*k, Codec::q4, bytes({0x80, 0x7f, 0x08}), 1)[0] == -kInf);                 // Inf * -8
    CHECK(bits_of(decode(*k, Codec::q4, bytes({0x80, 0xff, 0x00}), 1)[0]) == 0x7fc00000u);  // -Inf * 0
    CHECK(bits_of(decode(*k, Codec::q8, bytes({0x81, 0xff, 0x05}), 1)[0]) == 0x7fc00000u);  // a signalling NaN
    CHECK(bits_of(decode(*k, Codec::bf16, bytes({0x81, 0xff}), 1)[0]) == 0x7fc00000u);
  }
}

TEST_CASE("codec: sums and averages over encoded and plain sources, in their order") {
  const std::vector<float> big(300, 0x1p24f);
  const std::vector<float> ones(300, 1.0f);
  std::vector<float> dst(300);
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    const auto half = encode(*k, Codec::bf16, big);
    // A scale of 1 and a code of 1, as no encoder would choose them.
    std::vector<std::byte> q8(encoded_bytes(Codec::q8, 300), std::byte{1});
    for (std::size_t i : {0u, 2u}) {
      q8[i] = std::byte{0x80};
      q8[i + 1] = std::byte{0x3f};
    }
    const EncodedSource large{half.data(), Codec::bf16, 1};
    const EncodedSource small{q8.data(), Codec::q8, 3};
    const EncodedSource plain{ones.data(), Codec::none, 4};
    const std::vector<EncodedSource> falling{large, small, plain};
    const std::vector<EncodedSource> rising{small, plain, large};
    k->sum({dst.data(), falling, whole(300), 0});
    CHECK(dst == std::vector<float>(300, 0x1p24f));  // 2^24 + 1 ties back to 2^24, twice
    k->sum({dst.data(), rising, whole(300), 0});
    CHECK(dst == std::vector<float>(300, 0x1p24f + 2));
    k->avg({dst.data(), std::span(rising).first(2), whole(300), 3.5});
    CHECK(dst == std::vector<float>(300, 2.0f));  // (3 * 1 + 4 * 1) / 3.5
  }
}

TEST_CASE("codec: avg rounds each product, skips what weighs nothing, and dst may be a plain source") {
  const float x = 1.0f + 0x1p-12f;
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    // (1 + 2^-12)^2 is 1 + 2^-11 + 2^-24, which rounds to 1 + 2^-11. A fused multiply-add would leave 2^-24.
    std::vector<float> left(100, -(1.0f + 0x1p-11f));
    const std::vector<float> right(100, x);
    const std::vector<EncodedSource> both{{left.data(), Codec::none, 1}, {right.data(), Codec::none, x}};
    k->avg({left.data(), both, whole(100), 1});
    CHECK(left == std::vector<float>(100, 0.0f));
    const auto nans = encode(*k, Codec::q8, std::vector<float>(100, kNan));
    const std::vector<EncodedSource> one{{nans.data(), Codec::q8, 1e-60}, {right.data(), Codec::none, 2}};
    k->avg({left.data(), one, whole(100), 2});
    CHECK(left == right);
    k->sum({left.data(), one, whole(100), 2});
    for (float value : left) CHECK(bits_of(value) == 0x7fc00000u);
    k->avg({left.data(), std::span(one).first(1), whole(100), 0});
    for (float value : left) CHECK(bits_of(value) == 0x7fc00000u);  // nobody: 0 / 0
    const float minus = -0.0f;
    const EncodedSource zero{&minus, Codec::none, 1};
    k->avg({left.data(), {&zero, 1}, whole(1), 1});
    CHECK(bits_of(left[0]) == 0x80000000u);  // the dividend does not start at +0
  }
}

TEST_CASE("codec: what the residual keeps") {
  for (const CodecKernels* k : runnable_codec_kernels()) {
    CAPTURE(k->name);
    std::vector<float> residual{0, .25f, -1};
    // 127, 2.25, 1 - 1: the scale is 1; .25 is lost.
    CHECK(encode(*k, Codec::q8, {127, 2, 1}, &residual) == bytes({0x80, 0x3f, 127, 2, 0}));
    CHECK(residual == std::vector<float>{0, .25f, 0});
    residual = {1, 2, 3};
    encode(*k, Codec::q4, {1, kInf, 1}, &residual);
    CHECK(residual == std::vector<float>{0, 0, 0});
    residual = {kNan, FLT_MAX, 0x1p-9f};
    encode(*k, Codec::bf16, {1, 0, 1}, &residual);
    CHECK(residual == std::vector<float>{0, 0, 0x1p-9f});
  }
}

TEST_CASE("codec: variants by name, and broken invariants") {
  REQUIRE(codec_kernels_by_name("scalar") == &scalar_codec_kernels());
  CHECK(codec_kernels_by_name("avx2") == avx2_codec_kernels());
  CHECK(codec_kernels_by_name("avx512") == avx512_codec_kernels());
  CHECK(codec_kernels_by_name("") == nullptr);
  std::vector<float> x(600, 1.0f);
  std::vector<std::byte> out(5000);
  const EncodedSource source{x.data(), Codec::none, 1};
  for (const CodecKernels* k : runnable_codec_kernels()) {
    const auto encode_piece = [&](Codec codec, const Piece& piece) {
      k->encode({codec, out.data(), x.data(), piece, nullptr, Rounding::nearest, 0, 0});
    };
    encode_piece(Codec::q8, whole(0));
    k->sum({nullptr, {&source, 1}, whole(0), 0});
    encode_piece(Codec::q8, {256, 344, 600});
    encode_piece(Codec::q8, {256, 256, 600});
    CHECK_THROWS_AS(encode_piece(Codec::none, whole(600)), InvariantError);
    CHECK_THROWS_AS(encode_piece(Codec::q8, {128, 472, 600}), InvariantError);
    CHECK_THROWS_AS(encode_piece(Codec::q8, {256, 100, 600}), InvariantError);
    CHECK_THROWS_AS(encode_piece(Codec::q8, {512, 256, 600}), InvariantError);
    CHECK_THROWS_AS(k->sum({x.data(), {}, whole(600), 1}), InvariantError);
    CHECK_THROWS_AS(k->avg({x.data(), {&source, 1}, {1, 599, 600}, 1}), InvariantError);
  }
}

}  // namespace
}  // namespace seaway
