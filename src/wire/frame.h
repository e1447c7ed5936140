// Frames between peers: a 64-byte header and a payload. A frame says itself what it is, so that it can travel on
// whichever connection of a link can take it, in any order.
//
//   byte  0 type u8 | 1 direction u8 | 2 lane u16 | 4 length u32 | 8 link_seq u64 | 16 tag u64 | 24 generation u32
//        28 seq u32 | 32 chunk u32 | 36 check u32 | 40 epoch {u64, u32} | 52 attempt {u64, u32}
//
// `check` is the low half of XXH3 over the other 60 bytes; it is computed and compared by the layers above (wire/
// includes no hash). Payloads of PART, PARTIAL and RESULT go to memory that the engine names; all others are messages below.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/ids.h"
#include "base/limits.h"
#include "wire/codec.h"

namespace seaway::wire {

inline constexpr std::size_t kFrameHeaderBytes = 64;

enum class FrameType : std::uint8_t {
  ready = 1,       // op posted: payload Ready
  want = 2,        // parts asked for, and "I am at this attempt": payload Want
  part = 3,        // one sender's contribution to one chunk; bound to no attempt
  result = 4,      // a root's reduced chunk; bound to an attempt
  hold = 5,        // the sender has the whole result: payload Hold
  ended = 6,       // all ops of this tag below `seq` have ended at the sender; no payload
  ack = 7,         // what arrived: payload Ack; not itself acknowledged, link_seq 0
  ping = 8,        // keeps a connection alive and proves it; link_seq 0, no payload
  gone = 9,        // stands for a frame whose op has ended, so that its link_seq is not missing; no payload
  set = 10,        // who contributes to an op with a quorum; bound to an attempt: payload ContributorSet
  partial = 11,    // what a site has contributed to one chunk, summed; bound to an attempt, as a result is
  lane_hold = 12,  // to the other lanes of the sender's replica: all of its lane hold this transaction: payload Hold
};

// The ends of the op that a frame speaks of are those of its link. `op.source` and `op.target` are not on the wire: who reads the
// header knows the link, and sets them.
enum class Direction : std::uint8_t {
  none = 0,      // an op of everybody's
  forward = 1,   // the frame's sender is the one that sends
  backward = 2,  // the frame's sender is the one that receives
};

struct FrameHeader {
  FrameType type = FrameType::ping;
  Direction direction = Direction::none;
  std::uint32_t length = 0;    // bytes of payload
  std::uint64_t link_seq = 0;  // counts the frames of one direction of one link, from 1
  OpKey op;
  std::uint32_t chunk =
      0;        // of part, partial, result. Of ready: all ops of its tag below this have ended at the sender
  Epoch epoch;  // the sender's, when it sent it: frames of newcomers may overtake their EPOCH
  Cut attempt;  // of want, partial, result, hold, set and lane_hold
  bool operator==(const FrameHeader&) const = default;
};

// Of an op with a quorum: what a member that has not posted it has to know to hold its result.
struct QuorumTerms {
  std::uint8_t kind = 1;  // collective::OpKind
  DType dtype = DType::f32;
  Reduction reduction = Reduction::sum;
  std::uint64_t count = 0;
  bool weighted = false;
  bool fail_on_loss = false;
  std::uint8_t up = 0;  // Codec
  std::uint8_t down = 0;
  std::uint32_t quorum = 0;
  std::uint32_t grace_ms = 0;
  bool operator==(const QuorumTerms&) const = default;
};

// What READY says: the digest covers what all members must state alike.
struct Ready {
  std::uint64_t digest = 0;  // 0 (NONE): this member passed the op without posting it, and never will
  double weight = 1;         // finite, >= 0
  Standing standing = Standing::founder;
  bool has_data = false;  // of a broadcast: this member has the data already, nothing has to be sent to it
  std::string described;  // the descriptor in words, to name who differs in what
  // Of an exchange: elements that its sender gives to the receiver of this READY, and takes from it.
  std::uint64_t gives = 0;
  std::uint64_t takes = 0;
  // Of an op with a quorum. NOLINTNEXTLINE(readability-redundant-member-init): with braces it may be left out of a list
  std::optional<QuorumTerms> terms{};
  bool operator==(const Ready&) const = default;
};

struct ChunkRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const ChunkRange&) const = default;
};

// Parts that the sender of this message, a root of these chunks in `attempt`, wants from the receiver. An empty list
// only says "I am at this attempt", after which results of it may be sent to me.
struct Want {
  std::vector<ChunkRange> ranges;
  bool again = false;  // they had arrived and were dropped for memory: send them although they were sent
  bool operator==(const Want&) const = default;
};

struct Hold {
  Value value;
  bool operator==(const Hold&) const = default;
};

// Exactly these members contribute to the attempt in the header.
struct ContributorSet {
  std::vector<PeerId> members;
  bool operator==(const ContributorSet&) const = default;
};

// How its sender would like to be sent to.
struct Offer {
  std::uint32_t kib_per_s = 0;    // it can take so much from this peer; 0: it does not know
  std::uint16_t connections = 0;  // the link should have so many for data; 0: whoever dials decides
  bool operator==(const Offer&) const = default;
};

// Frames up to and including `upto` arrived; bit i of `beyond` says that upto + 2 + i did too (upto + 1 did not).
struct Ack {
  std::uint64_t upto = 0;
  std::vector<std::uint64_t> beyond;
  Offer offer;
  bool operator==(const Ack&) const = default;
};

// The first thing said on every connection between peers, by both ends.
struct LinkHello {
  std::uint16_t version = 1;
  Uuid run;
  PeerId from = kNoPeer;
  PeerId to = kNoPeer;
  bool control = false;    // this is the link's control connection
  PeerId relay = kNoPeer;  // a third peer, at which both ends meet; kNoPeer: they reach one another
  bool operator==(const LinkHello&) const = default;
};

inline constexpr std::uint32_t kMaxWantRanges = 1024;
inline constexpr std::uint32_t kMaxAckWords = 64;

std::array<std::byte, kFrameHeaderBytes> encode(const FrameHeader& header);

// nullopt when the bytes are no header: unknown type or direction, a length above what its type may have.
std::optional<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes);

template <class Message>  // Ready, Want, Hold, ContributorSet, Ack, LinkHello
std::vector<std::byte> encode_payload(const Message& message);

template <class Message>
std::optional<Message> decode_payload(std::span<const std::byte> bytes);

const char* name_of(FrameType type);

}  // namespace seaway::wire
