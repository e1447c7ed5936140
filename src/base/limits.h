// Every limit of the core, in one place. Tests shrink them so that rare paths become common; docs/PROTOCOL.md lists
// those that a stranger or a member can run into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "base/time.h"

namespace seaway {

// --- Limits that are part of the wire format: the same for everybody, never drawn. --------------------------------
inline constexpr std::uint32_t kMaxMembers = 1024;            // members of one roster
inline constexpr std::uint32_t kMaxNameBytes = 256;           // a name, an address
inline constexpr std::uint32_t kMaxSiteBytes = 64;            // the label of a site
inline constexpr std::uint32_t kMaxAddresses = 8;             // addresses a peer may advertise
inline constexpr std::uint32_t kMaxReasonBytes = 1024;        // a reason in words
inline constexpr std::uint32_t kMaxOpenOps = 4096;            // ops in a report, decisions in an epoch
inline constexpr std::uint32_t kMaxOpenGenerations = 16;      // bases in an epoch; the next join waits for ops to end
inline constexpr std::uint32_t kMaxDataConnections = 64;      // of one link, besides its control connection
inline constexpr std::uint32_t kMaxControlBytes = 1u << 20;   // one message between a peer and the master
inline constexpr std::uint32_t kMaxStrangerBytes = 4096;      // the same before its sender is known
inline constexpr std::uint32_t kMaxKeyBytes = 128;            // a public key
inline constexpr std::uint32_t kMaxCertificateBytes = 2048;   // a certificate
inline constexpr std::uint32_t kMaxTokens = 1024;             // of a run, those that were used included
inline constexpr std::uint32_t kMaxDenied = 4096;             // uuids that are never let in again
inline constexpr std::uint32_t kMaxLinkMessageBytes = 16384;  // READY, WANT, HOLD, ACK
inline constexpr std::uint32_t kMaxChunkBytes = 4u << 20;     // payload of one PART, PARTIAL or RESULT

// --- Connections that do not yet belong to a peer: of a listener, and once more of a master after their opening. ----
inline constexpr std::size_t kMaxStrangers = 256;             // at once; the oldest makes room
inline constexpr Duration kStrangerPatience = 5 * kSecond;    // for each
inline constexpr std::size_t kMaxUnknownBytes = 16ull << 20;  // of messages that strangers have not ended, together
inline constexpr std::size_t kMaxAtRelay = 256;               // that wait at a relay; the oldest makes room

// --- What a master takes of one peer. More of it waits in the sender's kernel: a peer says a few messages a second. --------------
inline constexpr Duration kMessageCost = kMillisecond;   // at most 1000 messages a second
inline constexpr std::uint64_t kMessageRate = 8u << 20;  // and 8 MiB a second
inline constexpr Duration kMessageBurst = 4 * kSecond;   // but so much of either at once, after a pause

// --- Limits of one engine. Chunk size and the one-shot bound enter the plan: all members must use the same. --------
struct Limits {
  std::uint32_t chunk_bytes = 512 * 1024;         // the pipelining unit: half of it costs a tenth more on a loopback
  std::uint64_t one_shot_bytes = 1536ull * 1024;  // bandwidth times one-way delay below which one-shot wins; 0: never
  std::uint64_t eager_bytes = 8 << 20;  // per link: parts of ops that the receiver is not known to have posted
  // Parts that a root asks for ahead of its reduction: of each op, divided among the senders, and the least for each of them.
  // More than a path holds, or it runs dry: 64 MiB fill 2.7 Gbit/s at a round trip of 200 ms.
  std::uint64_t window_bytes = 64 << 20;
  std::uint64_t least_window_bytes = 4 << 20;
  std::uint64_t kept_bytes = 1ull << 30;   // contributions kept after use, so that a loss costs little
  std::uint64_t held_bytes = 4ull << 30;   // results of ops with a quorum that are not posted here
  std::uint64_t small_bytes = 4096;        // an op's data up to this travels with the messages: see link.h
  std::uint32_t unposted_ops = 4096;       // per link: ops, and tags, that others use and I do not yet
  std::uint32_t frames_ahead = 1u << 20;   // per link: received, while an earlier one is missing
  std::uint32_t ack_every = 8;             // frames received before an ACK is due at once
  Duration ack_delay = 10 * kMillisecond;  // and the longest that a due ACK may wait
};

// --- The timeout ladder: everything follows from one base, sent with the epoch (DESIGN 4). -------------------------
struct Ladder {
  Duration heartbeat = 500 * kMillisecond;    // a member says this often that it lives
  Duration suspect = 1500 * kMillisecond;     // silence after which it is reported
  Duration evict = 3000 * kMillisecond;       // silence after which it is lost
  Duration connection = 4000 * kMillisecond;  // silence after which one connection is given up
  Duration stall = 6000 * kMillisecond;       // an op that everybody posted moves no byte: its edge is reported
  Duration forming = 8000 * kMillisecond;     // a newcomer has this long to link to everyone
  Duration reconnect = 15000 * kMillisecond;  // dialling is given up and said so
  Duration dead_grace = 250 * kMillisecond;   // FIN from everywhere: time left to say HELLO again

  // `percent` of every rung, 100 = as it stands: max(1, RTT/100 ms) of a WAN, SEAWAY_TIME_SCALE of a test.
  static constexpr Ladder scaled(std::uint32_t percent) {
    Ladder ladder;
    for (Duration* rung : {&ladder.heartbeat, &ladder.suspect, &ladder.evict, &ladder.connection, &ladder.stall,
                           &ladder.forming, &ladder.reconnect, &ladder.dead_grace}) {
      *rung = *rung * percent / 100;
    }
    return ladder;
  }
};

}  // namespace seaway
