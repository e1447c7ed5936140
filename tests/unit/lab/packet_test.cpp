// Bursts come apart into what a network card would have made of them.
#include "lab/model/packet.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "unit/lab/packets.h"

using namespace seaway;
using namespace seaway::lab;

namespace {

template <class Header>
Header at(const Bytes& bytes, std::size_t offset) {
  Header header;
  std::memcpy(&header, bytes.data() + offset, sizeof header);
  return header;
}

Bytes bytes_of(const Packet::Part& part) {
  Bytes bytes(part.head.begin(), part.head.begin() + static_cast<std::ptrdiff_t>(part.head_size));
  bytes.insert(bytes.end(), part.body.begin(), part.body.end());
  return bytes;
}

// What a card makes of a burst: the rules of packet.h in their plainest form, with all checksums complete.
std::vector<Bytes> segments_of(const Bytes& burst) {
  const auto virtio = at<VirtioHeader>(burst, 0);
  const std::size_t payload = burst.size() - 10 - kHeaders;
  const std::size_t size = virtio.gso_type == VirtioHeader::kNoGso ? payload : virtio.gso_size;
  std::vector<Bytes> segments;
  for (std::size_t skipped = 0; skipped < payload; skipped += size) {
    const std::size_t length = std::min(size, payload - skipped);
    Bytes segment(burst.begin() + 10, burst.begin() + 10 + static_cast<std::ptrdiff_t>(kHeaders));
    const auto begin = burst.begin() + static_cast<std::ptrdiff_t>(10 + kHeaders + skipped);
    segment.insert(segment.end(), begin, begin + static_cast<std::ptrdiff_t>(length));
    auto ip = at<iphdr>(segment, 0);
    ip.tot_len = htons(static_cast<std::uint16_t>(segment.size()));
    ip.id = htons(static_cast<std::uint16_t>(ntohs(ip.id) + segments.size()));
    ip.check = 0;
    ip.check = htons(static_cast<std::uint16_t>(~internet_sum(std::as_bytes(std::span(&ip, 1)))));
    std::memcpy(segment.data(), &ip, sizeof ip);
    auto tcp = at<tcphdr>(segment, 20);
    tcp.th_seq = htonl(ntohl(tcp.th_seq) + static_cast<std::uint32_t>(skipped));
    if (skipped > 0) {
      tcp.th_flags &= 0x7f;
    }
    if (skipped + length < payload) {
      tcp.th_flags &= static_cast<std::uint8_t>(~(TH_FIN | TH_PUSH));
    }
    tcp.th_sum = 0;
    std::memcpy(segment.data() + 20, &tcp, sizeof tcp);
    tcp.th_sum = htons(
        static_cast<std::uint16_t>(~internet_sum(std::span(segment).subspan(20), pseudo_sum(ip, segment.size() - 20))));
    std::memcpy(segment.data() + 20, &tcp, sizeof tcp);
    segments.push_back(segment);
  }
  return segments;
}

}  // namespace

TEST_CASE("a packet says where it goes and how many segments it has") {
  const auto packet = tcp(2, 5, 10 * kMss + 500);
  CHECK(packet->source() == Network::address(2));
  CHECK(packet->destination() == Network::address(5));
  CHECK(packet->segments() == 11);
  CHECK(packet->segment_bytes(0) == 1500);
  CHECK(packet->segment_bytes(10) == kHeaders + 500);
  CHECK(tcp(0, 1, 100)->segments() == 1);
  CHECK(tcp(0, 1, 100)->segment_bytes(0) == kHeaders + 100);
}

TEST_CASE("a packet that nothing happened to stays as it was") {
  const Bytes bytes = tcp_bytes(0, 1, 20 * kMss + 7, TH_ACK | TH_PUSH);
  CHECK(bytes_of(Packet::parse(bytes)->part(0, 21)) == bytes);
  const Bytes small = tcp_bytes(0, 1, 333);
  CHECK(bytes_of(Packet::parse(small)->part(0, 1)) == small);
}

TEST_CASE("however a burst is cut, its segments are those that it had") {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    const std::uint8_t flags =
        TH_ACK | (random.one_in(2) ? TH_PUSH : 0) | (random.one_in(2) ? TH_FIN : 0) | (random.one_in(2) ? 0x80 : 0);
    const Bytes whole = tcp_bytes(0, 1, random.between(kMss + 1, 44 * kMss), flags, random.next());
    const auto packet = Packet::parse(whole);
    std::vector<Bytes> segments;
    for (unsigned first = 0; first < packet->segments();) {
      const auto count = static_cast<unsigned>(random.between(1, packet->segments() - first));
      const Bytes part = bytes_of(packet->part(first, count));
      const auto virtio = at<VirtioHeader>(part, 0);
      CHECK((virtio.gso_type == VirtioHeader::kNoGso) == (count == 1));
      CHECK(((virtio.gso_type & VirtioHeader::kCongestionSeen) != 0) ==
            (count > 1 && first == 0 && (flags & 0x80) != 0));
      for (Bytes& segment : segments_of(part)) {
        segments.push_back(std::move(segment));
      }
      first += count;
    }
    REQUIRE(segments == segments_of(whole));
  }
}

TEST_CASE("the headers of a part are right as they stand") {
  const auto packet = Packet::parse(tcp_bytes(0, 1, 30 * kMss + 11, TH_ACK | TH_PUSH | TH_FIN, 3));
  for (const auto& [first, count] : {std::pair(0U, 1U), std::pair(4U, 9U), std::pair(30U, 1U), std::pair(20U, 11U)}) {
    const Bytes part = bytes_of(packet->part(first, count));
    CHECK(Packet::parse(part) != nullptr);
    const auto ip = at<iphdr>(part, 10);
    CHECK(ntohs(ip.tot_len) == part.size() - 10);
    CHECK(internet_sum(std::span(part).subspan(10, 20)) == 0xffff);
    const auto tcp = at<tcphdr>(part, 30);
    CHECK(ntohs(tcp.th_sum) == pseudo_sum(ip, part.size() - 30));  // what virtio wants: the rest is the card's
    CHECK(ntohl(tcp.th_seq) == static_cast<std::uint32_t>(0xfffffe00 + first * kMss));
    CHECK(((tcp.th_flags & TH_FIN) != 0) == (first + count == 31));
  }
}

TEST_CASE("what is no IPv4 packet, or lies about its lengths, is none") {
  const Bytes good = tcp_bytes(0, 1, 5 * kMss);
  CHECK(Packet::parse(good) != nullptr);
  CHECK(Packet::parse({}) == nullptr);
  for (std::size_t size = 0; size < good.size(); size += size < 70 ? 1 : 500) {
    CHECK(Packet::parse(std::span(good).first(size)) == nullptr);
  }
  const auto with = [&](std::size_t offset, int value) {
    Bytes bytes = good;
    bytes[offset] = static_cast<std::byte>(value);
    return Packet::parse(bytes);
  };
  CHECK(with(10, 0x65) == nullptr);  // version 6
  CHECK(with(10, 0x44) == nullptr);  // a header of 16 bytes
  CHECK(with(19, 17) == nullptr);    // a burst of UDP
  CHECK(with(1, 4) == nullptr);      // a burst of TCP over IPv6
  CHECK(with(42, 0x40) == nullptr);  // a TCP header of 16 bytes
  Bytes sizeless = good;
  sizeless[4] = sizeless[5] = std::byte{0};
  CHECK(Packet::parse(sizeless) == nullptr);
}
