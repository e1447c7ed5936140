// Names of things, as DESIGN's vocabulary has them. A fact about a run is always told with one of these.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <tuple>

namespace seaway {

// 128 random bits: of a run, or of a peer over all of its lives.
struct Uuid {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Uuid&) const = default;
};

// One life of a peer: its incarnation, 64 random bits drawn at each start, never 0 and never used twice. All
// membership and every frame speaks of incarnations; a peer that comes back is another one.
using PeerId = std::uint64_t;
inline constexpr PeerId kNoPeer = 0;

// SHA-256 of a public key's SubjectPublicKeyInfo (DER); all zero: none.
using KeyHash = std::array<std::uint8_t, 32>;

// What a certificate of the run says about who is at the other end of a connection.
struct Certified {
  Uuid uuid;
  PeerId id = kNoPeer;
  KeyHash key{};
  bool expired = false;  // or not valid yet
  bool operator==(const Certified&) const = default;
};

// A version of the roster. `term` is the authority of the master that raised it and never changes afterwards. Ordered
// lexicographically. A cut is the newest epoch that was raised by a loss or a round, so it is an epoch by type too.
struct Epoch {
  std::uint64_t term = 0;
  std::uint32_t number = 0;
  auto operator<=>(const Epoch&) const = default;
};
using Cut = Epoch;

// The lane of what is of all lanes of its replicas alike.
inline constexpr std::uint16_t kEveryLane = 0xffff;
// Tags of transactions, above all others: that of the transactions themselves, and after it one for the ops of each.
inline constexpr std::uint64_t kTransactionTag = 0xc000'0000'0000'0000;

// One call of group `lane`. `seq` counts the calls with this tag in this generation, from 0. A send and its receive are one op
// of their two ends, and counted for each pair of ends apart. A transaction is an op of every lane (kTransactionTag); its ops
// have a tag of its own, whatever their callers' is, so that one which ends early leaves nothing uncounted.
struct OpKey {
  std::uint16_t lane = 0;
  std::uint32_t generation = 0;
  std::uint64_t tag = 0;
  std::uint32_t seq = 0;
  PeerId source = kNoPeer;  // who sends, and to whom; none of everybody's ops
  PeerId target = kNoPeer;

  bool has_two_ends() const { return source != kNoPeer; }
  bool counts_with(const OpKey& other) const {
    return generation == other.generation && tag == other.tag && source == other.source && target == other.target;
  }
  bool is_end(PeerId peer) const { return peer == source || peer == target; }
  bool involves(PeerId peer) const { return !has_two_ends() || is_end(peer); }  // if it is of its lane and generation
  bool is_of_lane(std::uint16_t which) const { return lane == which || lane == kEveryLane; }
  bool is_transaction() const { return tag == kTransactionTag; }
  bool is_in_transaction() const { return tag > kTransactionTag; }
  OpKey in_lane(std::uint16_t which) const {  // of a transaction: as if each lane had its own
    OpKey key = *this;
    key.lane = is_transaction() ? which : lane;
    return key;
  }
  OpKey transaction() const {  // of an op that is in one
    return {kEveryLane, generation, kTransactionTag, static_cast<std::uint32_t>(tag - kTransactionTag - 1),
            kNoPeer,    kNoPeer};
  }
  std::uint64_t tag_of_its_ops() const { return kTransactionTag + 1 + seq; }  // of a transaction
  // Those that are counted together stand together, in their order.
  auto in_order() const { return std::tie(lane, generation, tag, source, target, seq); }
  auto operator<=>(const OpKey& other) const { return in_order() <=> other.in_order(); }
  bool operator==(const OpKey& other) const = default;
};

// What a success means: two peers that were told of success were told the same value. `contributors` is a hash of the
// contributors and their weights in roster order, `bits` one of the result.
struct Value {
  Cut attempt;
  std::uint64_t contributors = 0;
  std::uint64_t bits = 0;
  auto operator<=>(const Value&) const = default;
};

// How a member stands to the shared state. Who contributes to an op follows from the standings of its whole roster, each as
// its READY says it: synced members and founders do, unsynced ones do not, and a newcomer does unless somebody has synced.
enum class Standing : std::uint8_t {
  founder = 1,   // there since the run began
  newcomer = 2,  // joined it later; the EPOCH of its join knew of no sync, which may have committed since
  unsynced = 3,  // joined a stateful run
  synced = 4,    // whatever it was: a state sync committed at it
};

// Names the owner of the core gives or is given; none of them is ever on the wire.
using OpHandle = std::uint64_t;  // one posted op of one engine
using ConnId = std::uint64_t;    // one connection of one process
using SlotId = std::uint64_t;    // one piece of memory of at most a chunk, the library's own
using JobId = std::uint64_t;     // one reduction, hash or copy

}  // namespace seaway
