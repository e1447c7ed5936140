#include "wire/frame.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace seaway::wire {

template <class A>
void fields(A& a, QuorumTerms& m) {
  a(m.kind);
  a(m.dtype, DType::u64);
  a(m.reduction, Reduction::prod);
  a(m.count);
  a(m.weighted);
  a(m.fail_on_loss);
  a(m.up);
  a(m.down);
  a(m.quorum);
  a(m.grace_ms);
}
template <class A>
void fields(A& a, Ready& m) {
  a(m.digest);
  a(m.weight);
  a(m.standing, Standing::synced);
  a(m.has_data);
  a(m.described, kMaxNameBytes);
  a(m.gives);
  a(m.takes);
  a(m.terms);
}
template <class A>
void fields(A& a, ChunkRange& m) {
  a(m.first);
  a(m.count);
}
template <class A>
void fields(A& a, Want& m) {
  a(m.ranges, kMaxWantRanges);
  a(m.again);
}
template <class A>
void fields(A& a, Hold& m) {
  a(m.value);
}
template <class A>
void fields(A& a, ContributorSet& m) {
  a(m.members, kMaxMembers);
}
template <class A>
void fields(A& a, Ack& m) {
  a(m.upto);
  a(m.beyond, kMaxAckWords);
  a(m.offer.kib_per_s);
  a(m.offer.connections);
}
template <class A>
void fields(A& a, LinkHello& m) {
  a(m.version);
  a(m.run);
  a(m.from);
  a(m.to);
  a(m.control);
  a(m.relay);
}

namespace {

std::uint32_t longest(FrameType type) {
  switch (type) {
    case FrameType::part:
    case FrameType::result:
    case FrameType::partial:
      return kMaxChunkBytes;
    case FrameType::ended:
    case FrameType::ping:
    case FrameType::gone:
      return 0;
    case FrameType::ready:
    case FrameType::want:
    case FrameType::hold:
    case FrameType::set:
    case FrameType::lane_hold:
    case FrameType::ack:
      return kMaxLinkMessageBytes;
  }
  return 0;
}

// The header as it lies in memory and on the wire. `check` is left to the layers above.
struct [[gnu::packed]] WireHeader {
  std::uint8_t type;
  std::uint8_t direction;
  std::uint16_t lane;
  std::uint32_t length;
  std::uint64_t link_seq;
  std::uint64_t tag;
  std::uint32_t generation;
  std::uint32_t seq;
  std::uint32_t chunk;
  std::uint32_t check;
  std::uint64_t epoch_term;
  std::uint32_t epoch_number;
  std::uint64_t attempt_term;
  std::uint32_t attempt_number;
};
static_assert(sizeof(WireHeader) == kFrameHeaderBytes);

}  // namespace

std::array<std::byte, kFrameHeaderBytes> encode(const FrameHeader& h) {
  const WireHeader wire{static_cast<std::uint8_t>(h.type),
                        static_cast<std::uint8_t>(h.direction),
                        h.op.lane,
                        h.length,
                        h.link_seq,
                        h.op.tag,
                        h.op.generation,
                        h.op.seq,
                        h.chunk,
                        0,
                        h.epoch.term,
                        h.epoch.number,
                        h.attempt.term,
                        h.attempt.number};
  return std::bit_cast<std::array<std::byte, kFrameHeaderBytes>>(wire);
}

std::optional<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  WireHeader wire;
  std::memcpy(&wire, bytes.data(), sizeof wire);
  const auto type = static_cast<FrameType>(wire.type);
  const auto direction = static_cast<Direction>(wire.direction);
  if (type < FrameType::ready || type > FrameType::lane_hold || direction > Direction::backward ||
      wire.length > longest(type)) {
    return std::nullopt;
  }
  FrameHeader header;
  header.type = type;
  header.direction = direction;
  header.length = wire.length;
  header.link_seq = wire.link_seq;
  header.op = {wire.lane, wire.generation, wire.tag, wire.seq, kNoPeer, kNoPeer};
  header.chunk = wire.chunk;
  header.epoch = {wire.epoch_term, wire.epoch_number};
  header.attempt = {wire.attempt_term, wire.attempt_number};
  return header;
}

template <class Message>
std::vector<std::byte> encode_payload(const Message& message) {
  Writer writer;
  writer(message);
  return writer.take();
}

template <class Message>
std::optional<Message> decode_payload(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  Message message;
  reader(message);
  if (!reader.finished()) {
    return std::nullopt;
  }
  if constexpr (std::same_as<Message, Ready>) {
    if (!std::isfinite(message.weight) || message.weight < 0) {
      return std::nullopt;
    }
  }
  return message;
}

template std::vector<std::byte> encode_payload(const Ready&);
template std::vector<std::byte> encode_payload(const Want&);
template std::vector<std::byte> encode_payload(const Hold&);
template std::vector<std::byte> encode_payload(const ContributorSet&);
template std::vector<std::byte> encode_payload(const Ack&);
template std::vector<std::byte> encode_payload(const LinkHello&);
template std::optional<Ready> decode_payload(std::span<const std::byte>);
template std::optional<Want> decode_payload(std::span<const std::byte>);
template std::optional<Hold> decode_payload(std::span<const std::byte>);
template std::optional<ContributorSet> decode_payload(std::span<const std::byte>);
template std::optional<Ack> decode_payload(std::span<const std::byte>);
template std::optional<LinkHello> decode_payload(std::span<const std::byte>);

const char* name_of(FrameType type) {
  constexpr const char* names[] = {"?",   "READY", "WANT", "PART", "RESULT",  "HOLD", "ENDED",
                                   "ACK", "PING",  "GONE", "SET",  "PARTIAL", "LHOLD"};
  return names[static_cast<std::uint8_t>(type)];
}

}  // namespace seaway::wire
