// What a peer and the master say to each other. docs/PROTOCOL.md has the rules; each struct lists its fields once.
//
// A message travels as {u32 length, u8 type, fields}. EPOCH is the first thing that a master says to a member; nothing
// else of that term counts before it. HELLO is the first thing that a peer says on every connection.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/time.h"
#include "wire/codec.h"

namespace seaway::wire {

inline constexpr std::uint16_t kWireVersion = 1;
inline constexpr std::uint32_t kControlHeaderBytes = 4;

// --- Parts ----------------------------------------------------------------------------------------------------------

struct MemberInfo {
  PeerId id = kNoPeer;
  Uuid uuid;
  std::string name;
  std::uint32_t replica = 0;
  std::uint16_t lane = 0;
  std::uint32_t generation = 0;  // the join that admitted it
  std::uint32_t rate_mbps = 0;   // what it stated at JOIN that it can send and receive; 0: nothing
  std::vector<std::string> addresses;
  KeyHash key{};  // of its certificate, as the master saw it; zero in a run without certificates
  // The label of its site, as stated at JOIN; empty: a site of its own.
  std::string site{};  // NOLINT(readability-redundant-member-init): with braces it may be left out of a list
  bool operator==(const MemberInfo&) const = default;
};

// A join: everyone admits `joiners` when its own update count reaches `point`; the generation rises there. Without
// joiners it brings new rates, in the base of its generation.
struct JoinRecord {
  std::uint32_t generation = 0;
  std::uint64_t point = 0;
  std::vector<PeerId> joiners;
  bool operator==(const JoinRecord&) const = default;
};

// The full roster at the join point of a generation, later losses included: plans are made over it.
struct BaseMember {
  PeerId id = kNoPeer;
  std::uint16_t lane = 0;
  std::uint32_t rate_mbps = 0;  // stated, or else measured by then; 0: as much as the others
  bool left = false;            // gone by LEAVE: never "a member of the attempt's roster is gone"
  std::uint16_t site = 0;       // the position, in this base, of the first member at the same site
  bool operator==(const BaseMember&) const = default;
};
struct Base {
  std::uint32_t generation = 0;
  std::vector<BaseMember> members;  // in roster order
  bool operator==(const Base&) const = default;
};

enum class Verdict : std::uint8_t { commit = 1, resume = 2, abort = 3 };

struct Decision {
  OpKey op;
  Verdict verdict = Verdict::abort;
  std::string reason;  // in words, for the caller
  bool operator==(const Decision&) const = default;
};

enum class OpStatus : std::uint8_t {
  running = 1,
  holds = 2,
  committed = 3,
  aborted = 4,
  current = 5
};  // ABSENT: not listed

struct OpReport {
  OpKey op;
  OpStatus status = OpStatus::running;
  Value value;  // of holds and committed
  bool fail_on_loss = false;
  bool roster_gone = false;     // a member of the attempt's roster is gone, other than by LEAVE
  bool essential_lost = false;  // a broadcast's source
  std::uint8_t mismatches = 0;  // attempts that ended with HOLDs that differ
  bool operator==(const OpReport&) const = default;
};

struct Promise {
  Epoch asked;              // the epoch that ASK named
  std::uint64_t term = 0;   // the term that asked
  std::uint64_t count = 0;  // the update count at which I wait
  std::vector<PeerId> joiners;
  bool operator==(const Promise&) const = default;
};

// --- Master to peer -------------------------------------------------------------------------------------------------

struct EpochMessage {
  std::uint64_t term = 0;  // of the master that says it, not of the one that raised it
  Epoch epoch;
  Cut cut;
  std::vector<MemberInfo> roster;      // by admission, for life; all lanes of a replica together
  std::vector<JoinRecord> joins;       // that some member has not passed
  std::vector<Base> bases;             // of every generation with open ops, and of the newest
  std::vector<Decision> decisions;     // final ones (commit, abort) that not all have finished
  bool stateful = false;               // a state sync has committed: joiners contribute only after one
  std::uint32_t ladder_percent = 100;  // Ladder::scaled
  bool operator==(const EpochMessage&) const = default;
};
struct Resolve {
  std::uint64_t term = 0;
  Cut cut;
  std::vector<Decision> decisions;
};
struct Ask {
  std::uint64_t term = 0;
  Epoch epoch;
  std::vector<PeerId> joiners;
};
struct CancelAsk {
  std::uint64_t term = 0;
  Epoch epoch;
};
// To a pending peer and, about it, to the members: who they are and where they listen. A pending peer dials everyone
// of its lane; `min_world` and `waiting_for` let `join` say what it waits for.
struct Introduce {
  std::vector<MemberInfo> peers;
};
struct Waiting {
  std::string reason;  // of a pending peer: what its admission waits for
};
struct Refused {
  std::string reason;
};
struct Evicted {
  std::string reason;
};
struct HeartbeatReply {
  std::uint64_t stamp = 0;
};
using MasterMessage =
    std::variant<EpochMessage, Resolve, Ask, CancelAsk, Introduce, Waiting, Refused, Evicted, HeartbeatReply>;

// --- Peer to master -------------------------------------------------------------------------------------------------

struct Hello {
  std::uint16_t version_low = kWireVersion;  // the range of wire versions that this peer speaks
  std::uint16_t version_high = kWireVersion;
  Uuid run;  // all zero: whatever run the master has
  Uuid uuid;
  PeerId id = kNoPeer;
  std::optional<Promise> promise;
  std::optional<EpochMessage> taken;  // every field of the last EPOCH taken
  bool was_addressed = false;  // frames of ops have reached it: it was admitted, whether or not it has taken an EPOCH
  std::vector<Decision> learned;  // final decisions learned since
  std::uint64_t update_count = 0;
};
struct Join {
  std::string name;
  std::uint32_t replica = 0;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 1;
  std::uint32_t min_world = 1;
  std::uint32_t rate_mbps = 0;
  std::vector<std::string> addresses;
  std::string site;
};
struct Linked {
  std::vector<PeerId> peers;  // everyone that I have a link to
};
struct Report {
  std::uint64_t term = 0;
  Epoch epoch;
  std::vector<OpReport> ops;
};
struct Promised {
  Promise promise;
};
struct Mismatch {
  OpKey op;
};
struct CancelOp {
  OpKey op;
  std::string reason;
};
enum class LostKind : std::uint8_t { closed = 1, stalled = 2 };
struct Lost {
  PeerId peer = kNoPeer;
  LostKind kind = LostKind::closed;  // closed: FIN or RST on every connection; stalled: an op waits and no byte moves
};
struct Leave {};
struct Synced {
  std::uint64_t revision = 0;  // a state sync has committed at me: the run is stateful from now on
};
struct Heartbeat {
  std::uint64_t stamp = 0;
  std::uint64_t update_count = 0;
  std::uint32_t oldest_generation = 0;  // of my open ops: bases below it are no longer needed
  std::vector<OpKey> finished;          // ops with a final decision that have ended at me
  std::uint32_t links = 0;              // peers that I have a connection to; like open_ops for status alone
  std::uint32_t open_ops = 0;           // posted and not ended
  std::uint32_t rate_mbps = 0;          // what its links together carried each way, as it has measured; 0: not known
};
using PeerMessage =
    std::variant<Hello, Join, Linked, Report, Promised, Mismatch, CancelOp, Lost, Leave, Synced, Heartbeat>;

// --- The first words on a connection to the master ------------------------------------------------------------------

enum class Purpose : std::uint8_t {
  run = 1,  // a peer: HELLO follows
  // From loopback only: answered with {u32 length, text}, then closed.
  status_json = 2,
  status_text = 3,
  enrol = 4,  // wire/enrolment.h
};
inline constexpr std::uint64_t kMagic = 0x31'79'61'77'61'65'73'00;  // "\0seaway1"

// {u32 length, magic, purpose}: so that a stranger is known for one before he can make the master wait for a long message.
struct Opening {
  std::uint64_t magic = kMagic;
  Purpose purpose = Purpose::run;
};
std::vector<std::byte> encode(const Opening& opening);
std::optional<Opening> decode_opening(std::span<const std::byte> body);

// --- What a master keeps --------------------------------------------------------------------------------------------

// What lets somebody in who has no certificate, or lets an operator do what operators do.
enum class TokenUse : std::uint8_t { join = 1, join_once = 2, admin = 3 };
struct Token {
  std::uint64_t id = 0;  // names it; random, no secret
  Uuid secret;           // 128 random bits
  TokenUse use = TokenUse::join;
  std::int64_t expires = 0;  // unix seconds; 0: never
  std::string label;         // the operator's
  Uuid used_by;              // of join_once; zero: nobody yet
  KeyHash used_with{};       // by whose key
  bool operator==(const Token&) const = default;
};

// The store's one record, replaced as a whole by compared writes. `version` counts them.
struct StoredRun {
  std::uint64_t term = 0;
  std::uint64_t version = 0;
  std::uint64_t author = 0;  // 64 random bits of the master's life that wrote it (core/compared_write.h)
  Uuid run;
  Epoch epoch;
  Cut cut;
  bool resolved = true;               // the cut's decisions are in
  std::vector<Decision> resolutions;  // all of the resolved cut, RESUME too: a new term repeats them
  std::vector<MemberInfo> roster;
  std::vector<JoinRecord> joins;
  std::vector<Base> bases;
  std::vector<Decision> decisions;  // final, not yet finished by all
  bool stateful = false;
  std::vector<Token> tokens;  // by age
  std::vector<Uuid> denied;   // who is never let in again
  bool operator==(const StoredRun&) const = default;
};

// --- Encoding -------------------------------------------------------------------------------------------------------

// {u32 length, u8 type, fields}.
std::vector<std::byte> encode(const MasterMessage& message);
std::vector<std::byte> encode(const PeerMessage& message);

// `body` is what follows the length: {u8 type, fields}. nullopt when it is not exactly one message.
std::optional<MasterMessage> decode_master_message(std::span<const std::byte> body);
std::optional<PeerMessage> decode_peer_message(std::span<const std::byte> body);

// {u32 format, fields}. A change of the fields is a new format: an older record is read as what it says it is, or refused.
inline constexpr std::uint32_t kStoredFormat = 4;
std::vector<std::byte> encode(const StoredRun& stored);
// nullopt when it is not exactly one record of this format.
std::optional<StoredRun> decode_stored(std::span<const std::byte> bytes);

// Names for logs and docs: "EPOCH", "HELLO", ...
const char* name_of(const MasterMessage& message);
const char* name_of(const PeerMessage& message);

}  // namespace seaway::wire
