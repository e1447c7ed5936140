#include "wire/frame.h"

#include <doctest/doctest.h>

#include <limits>

namespace seaway::wire {
namespace {

FrameHeader a_header() {
  FrameHeader header;
  header.type = FrameType::result;
  header.direction = Direction::backward;
  header.length = 4096;
  header.link_seq = 0x0102030405060708;
  header.op = {3, 0x11121314, 0x2122232425262728, 0x31323334};
  header.chunk = 0x41424344;
  header.epoch = {0x5152535455565758, 0x61626364};
  header.attempt = {0x7172737475767778, 0x81828384};
  return header;
}

TEST_CASE("a header comes back as it was sent") {
  const auto decoded = decode_frame_header(encode(a_header()));
  REQUIRE(decoded);
  CHECK(*decoded == a_header());
}

TEST_CASE("the layout is the one that PROTOCOL.md shows") {
  const auto bytes = encode(a_header());
  CHECK(bytes[0] == std::byte{4});
  CHECK(bytes[1] == std::byte{2});
  CHECK(bytes[2] == std::byte{3});
  CHECK(bytes[8] == std::byte{0x08});
  CHECK(bytes[16] == std::byte{0x28});
  CHECK(bytes[24] == std::byte{0x14});
  CHECK(bytes[28] == std::byte{0x34});
  CHECK(bytes[32] == std::byte{0x44});
  CHECK(bytes[40] == std::byte{0x58});
  CHECK(bytes[52] == std::byte{0x78});
  CHECK(bytes[63] == std::byte{0x81});
}

TEST_CASE("what no healthy peer says is refused before memory is taken") {
  auto bytes = encode(a_header());
  bytes[0] = std::byte{0};
  CHECK_FALSE(decode_frame_header(bytes));
  bytes[0] = std::byte{99};
  CHECK_FALSE(decode_frame_header(bytes));
  bytes = encode(a_header());
  bytes[1] = std::byte{3};
  CHECK_FALSE(decode_frame_header(bytes));
  for (const FrameType type :
       {FrameType::ready, FrameType::want, FrameType::part, FrameType::result, FrameType::hold, FrameType::ended,
        FrameType::ack, FrameType::ping, FrameType::gone, FrameType::set, FrameType::lane_hold}) {
    FrameHeader header = a_header();
    header.type = type;
    header.length = kMaxChunkBytes + 1;
    CHECK_FALSE(decode_frame_header(encode(header)));
    header.length = 0;
    CHECK(decode_frame_header(encode(header)));
  }
}

TEST_CASE("payloads come back as they were sent") {
  const Ready ready{5, 2.5, Standing::unsynced, true, "all_reduce sum f32 count 8", 70, 1ull << 40};
  CHECK(decode_payload<Ready>(encode_payload(ready)) == ready);
  Ready with_terms = ready;
  with_terms.terms = QuorumTerms{4, DType::bf16, Reduction::avg, 1ull << 40, true, true, 1, 3, 2, 500};
  CHECK(decode_payload<Ready>(encode_payload(with_terms)) == with_terms);
  const ContributorSet set{{5, 1ull << 63, 7}};
  CHECK(decode_payload<ContributorSet>(encode_payload(set)) == set);
  CHECK_FALSE(decode_payload<ContributorSet>(encode_payload(ContributorSet{std::vector<PeerId>(kMaxMembers + 1, 1)})));
  const Want want{{{0, 5}, {9, 1}}, true};
  CHECK(decode_payload<Want>(encode_payload(want)) == want);
  const Hold hold{{{1, 2}, 3, 4}};
  CHECK(decode_payload<Hold>(encode_payload(hold)) == hold);
  const Ack ack{10, {1, 2, 3}, {400, 5}};
  CHECK(decode_payload<Ack>(encode_payload(ack)) == ack);
  const LinkHello hello{1, {1, 2}, 3, 4, true};
  CHECK(decode_payload<LinkHello>(encode_payload(hello)) == hello);
}

TEST_CASE("a weight that is no weight is refused") {
  for (const double weight :
       {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_FALSE(decode_payload<Ready>(encode_payload(Ready{1, weight, Standing::founder, false, ""})));
  }
}

}  // namespace
}  // namespace seaway::wire
