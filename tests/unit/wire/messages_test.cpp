#include "wire/messages.h"

#include <doctest/doctest.h>

#include "base/random.h"

namespace seaway::wire {
namespace {

EpochMessage an_epoch() {
  EpochMessage message;
  message.term = 7;
  message.epoch = {6, 12};
  message.cut = {5, 11};
  message.roster = {{1, {2, 3}, "paris-0", 0, 0, 1, 500, {"192.0.2.1:7000", "[2001:db8::1]:7000"}},
                    {9, {8, 7}, "", 1, 0, 2, 0, {}}};
  message.joins = {{2, 40, {9}}};
  message.bases = {{1, {{1, 0, 500, false}, {4, 0, 0, true}}}};
  message.decisions = {{{0, 1, 5, 2}, Verdict::abort, "cancelled by b"}};
  message.stateful = true;
  message.ladder_percent = 150;
  return message;
}

std::span<const std::byte> body_of(const std::vector<std::byte>& framed) {
  return std::span(framed).subspan(kControlHeaderBytes);
}

TEST_CASE("an EPOCH comes back as it was sent, behind its length") {
  const EpochMessage message = an_epoch();
  const std::vector<std::byte> framed = encode(MasterMessage(message));
  std::uint32_t length = 0;
  std::memcpy(&length, framed.data(), sizeof length);
  CHECK(length == framed.size() - kControlHeaderBytes);
  const auto decoded = decode_master_message(body_of(framed));
  REQUIRE(decoded);
  CHECK(std::get<EpochMessage>(*decoded) == message);
}

TEST_CASE("a HELLO carries the last EPOCH and the promise") {
  Hello hello;
  hello.run = {1, 2};
  hello.id = 77;
  hello.promise = Promise{{3, 4}, 3, 9, {5, 6}};
  hello.taken = an_epoch();
  hello.learned = {{{1, 2, 3, 4}, Verdict::commit, ""}};
  hello.update_count = 8;
  const auto decoded = decode_peer_message(body_of(encode(PeerMessage(hello))));
  REQUIRE(decoded);
  const Hello& back = std::get<Hello>(*decoded);
  CHECK(back.taken == hello.taken);
  CHECK(back.promise == hello.promise);
  CHECK(back.learned == hello.learned);
  CHECK(back.update_count == 8);
}

TEST_CASE("every message has a name and survives the round trip, empty as it is") {
  const std::vector<MasterMessage> from_master = {EpochMessage{}, Resolve{}, Ask{},     CancelAsk{},     Introduce{},
                                                  Waiting{},      Refused{}, Evicted{}, HeartbeatReply{}};
  for (const MasterMessage& message : from_master) {
    const auto decoded = decode_master_message(body_of(encode(message)));
    REQUIRE(decoded);
    CHECK(decoded->index() == message.index());
    CHECK(std::string(name_of(message)) == name_of(*decoded));
  }
  const std::vector<PeerMessage> from_peer = {Hello{},    Join{}, Linked{}, Report{}, Promised{}, Mismatch{},
                                              CancelOp{}, Lost{}, Leave{},  Synced{}, Heartbeat{}};
  for (const PeerMessage& message : from_peer) {
    const auto decoded = decode_peer_message(body_of(encode(message)));
    REQUIRE(decoded);
    CHECK(decoded->index() == message.index());
  }
}

TEST_CASE("what is cut short, too long or out of range is no message") {
  const std::vector<std::byte> framed = encode(MasterMessage(an_epoch()));
  const std::span<const std::byte> body = body_of(framed);
  for (std::size_t length = 0; length < body.size(); ++length) {
    CHECK_FALSE(decode_master_message(body.first(length)));
  }
  std::vector<std::byte> longer(body.begin(), body.end());
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_master_message(longer));
  CHECK_FALSE(decode_master_message(std::vector<std::byte>{std::byte{200}}));

  // A list that promises 2^32 - 1 members takes no memory for them.
  Writer writer;
  writer(std::uint8_t{4});  // INTRODUCE
  writer(std::uint32_t{0xffffffff});
  CHECK_FALSE(decode_master_message(writer.take()));
}

TEST_CASE("random bytes are refused or are a message, and harm nobody") {
  Random random(1);
  const std::vector<std::byte> framed = encode(MasterMessage(an_epoch()));
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bytes(framed.begin() + kControlHeaderBytes, framed.end());
    for (std::uint64_t flips = random.between(1, 4); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
    }
    bytes.resize(random.between(1, bytes.size()));
    static_cast<void>(decode_master_message(bytes));
    static_cast<void>(decode_peer_message(bytes));
  }
}

}  // namespace
}  // namespace seaway::wire
