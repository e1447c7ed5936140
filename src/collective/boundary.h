// The boundary of the engine. Payload never enters it; it owns no bytes. Memory has names: whoever drives the engine
// (the runtime, the simulator) maps names to pointers, moves bytes and runs jobs.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/ids.h"
#include "base/time.h"
#include "codec/codec.h"
#include "wire/frame.h"

namespace seaway::collective {

// input, output: the caller's; of an op on a device only jobs touch them. scratch: the library's, as large as where the result goes
// in the end, exists while an op runs that is in place, in a transaction, or on a device (lands_in_scratch).
// slot: the library's, one chunk; memory comes into being when the engine first names it and goes with `FreeSlot`.
// coded_input, coded_result: the library's: the chunks of the input and of the result as they travel, where that is not as they
// are, one after the other (`coded_bytes` of descriptor.up and down). partial: the library's, of ops with a hierarchical plan: what this
// member's site has contributed to each chunk, summed, as it travels. residual: the caller's, as large as the input
// (Descriptor::feeds_back).
enum class Buffer : std::uint8_t {
  input = 1,
  output = 2,
  scratch = 3,
  slot = 4,
  coded_input = 5,
  coded_result = 6,
  residual = 7,
  partial = 8,
};
// Whether these change with an attempt: results do.
inline bool is_of_results(Buffer buffer) {
  return buffer == Buffer::output || buffer == Buffer::scratch || buffer == Buffer::coded_result ||
         buffer == Buffer::partial;
}

struct Region {
  Buffer buffer = Buffer::input;
  std::uint64_t owner = 0;   // SlotId of a slot, OpHandle of any other
  std::uint64_t offset = 0;  // bytes
  std::uint32_t length = 0;  // bytes
  bool operator==(const Region&) const = default;
};

// Where the payload of a frame goes. Asked before a payload byte is read.
struct Land {
  Region region;
};
struct Sink {};     // read it and throw it away; then on_landed as for the others
struct Message {};  // a small one: read it and hand it over with on_message
struct Refuse {     // close the connection: this is no frame that a healthy peer would send
  std::string reason;
};
using Landing = std::variant<Land, Sink, Message, Refuse>;

// A frame to send. `message` is the payload of small frames, `region` that of PART, PARTIAL and RESULT. Region bytes may be
// read until the frame is sent, its connection is lost, or `Release` asks for them back.
struct OutFrame {
  wire::FrameHeader header;
  std::vector<std::byte> message;
  Region region;  // length 0: none
};

enum class JobKind : std::uint8_t {
  reduce = 1,  // dst = reduction of the sources in order, hashed
  copy =
      2,  // dst = sources[0], byte for byte, hashed (a broadcast's chunk, a result that landed in a slot, an input on a device)
  hash = 3,    // hash of dst, which is where it should be
  zero = 4,    // dst = zeros, hashed (a gathered block of nobody who contributed)
  encode = 5,  // dst = sources[0] by the codec, no hash; with `residual` added, and kept as it is unless `feeds_back`
  decode = 6,  // dst = what sources[0] says in the codec, hashed; with `coded`, sources[0] is kept there to be sent on
};
struct JobSource {
  Region region;
  double weight = 1;
};
struct Job {
  JobId id = 0;
  JobKind kind = JobKind::hash;
  OpHandle op = 0;
  Region dst;
  std::vector<JobSource> sources;  // in roster order
  DType dtype = DType::f32;
  Reduction reduction = Reduction::sum;
  std::uint64_t count = 0;  // elements
  double weight_sum = 1;    // avg only

  Codec codec = Codec::none;  // of the sources, or of an encode's dst
  // reduce: what is reduced is encoded into `coded` by this codec, and dst is what that says. None: dst is the reduction.
  Codec coded_by = Codec::none;
  Region coded;
  Rounding rounding = Rounding::nearest;  // of an encode
  std::uint64_t key = 0;                  // and of its draws
  Region residual;                        // of an encode; length 0: none
  bool feeds_back = false;                // the residual becomes what the encoding has lost
  bool stays = false;                     // of an encode: no connection ever reads dst, only jobs do
};

// transfer: a send at one member and the receive at another. transaction: not an op, but several that commit together.
enum class OpKind : std::uint8_t {
  all_reduce = 1,
  broadcast = 2,
  barrier = 3,
  reduce_scatter = 4,
  all_gather = 5,
  exchange = 6,
  transfer = 7,
  transaction = 8,
};

// One block of data for each member of the generation's base, in its order: the input of a reduce-scatter, of which each
// member gets the reduction of its own block, and the output of an all-gather, to which each gives its own.
inline bool has_blocks(OpKind kind) { return kind == OpKind::reduce_scatter || kind == OpKind::all_gather; }
// One member's data goes to the others.
inline bool has_source(OpKind kind) { return kind == OpKind::broadcast || kind == OpKind::transfer; }
inline bool reduces(OpKind kind) { return kind == OpKind::all_reduce || kind == OpKind::reduce_scatter; }

// Of one op; keeps every product of sizes in 64 bits.
inline constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 50;

// Tags from here on are the library's own.
inline constexpr std::uint64_t kLibraryTags = 1ull << 63;
// Ops that the library posts for itself, in a state sync.
inline bool is_librarys(const OpKey& op) { return op.tag >= kLibraryTags && op.tag < kTransactionTag; }

// Of an exchange: what goes to one member, or comes from it.
struct Share {
  PeerId peer = kNoPeer;
  std::uint64_t count = 0;  // elements
  bool operator==(const Share&) const = default;
};

// What the caller wants. The same on every member but for weight, has_data, in_place, feeds_back, sends, receives,
// priority and the time-outs.
struct Descriptor {
  OpKind kind = OpKind::all_reduce;
  DType dtype = DType::f32;
  Reduction reduction = Reduction::sum;
  std::uint64_t count = 0;    // elements; 0 is legal. Of ops of blocks: of one block. Of an exchange 0: see sends
  std::uint64_t blocks = 0;   // that the caller's memory has; 0 unless the op has any and count is above 0
  std::uint64_t pieces = 1;   // of the caller's memory; `layout` covers their counts when there are several
  bool weighted = false;      // avg only: `weight` counts, otherwise everyone weighs 1
  double weight = 1;          // finite, >= 0
  bool fail_on_loss = false;  // on_loss = fail
  bool in_place = false;      // results land in a scratch, copied over the input at commit
  bool on_device = false;     // the caller's buffers are a device's: what travels is copied from and to them by jobs
  PeerId root = kNoPeer;      // broadcast, transfer: the source, an incarnation
  PeerId target = kNoPeer;    // transfer: who receives
  bool has_data = false;  // broadcast: the input holds the data already; it is read, sent to others, and never written
  // exchange: at most one for each member of the generation. In the input those of `sends` stand one after the other, in this order,
  // in the output those of `receives`.
  std::vector<Share> sends{};     // NOLINT(readability-redundant-member-init): with braces it may be left out of a list
  std::vector<Share> receives{};  // NOLINT(readability-redundant-member-init)
  std::uint64_t tag = 0;          // below kLibraryTags the caller's
  std::uint64_t layout = 0;       // a hash of what else must be alike (names, shapes); part of the digest
  Codec up = Codec::none;    // how contributions travel, and gathered blocks: f32 only; sum or avg where it reduces
  Codec down = Codec::none;  // how an all-reduce's results travel from their roots. A one-shot plan sends none
  Rounding rounding = Rounding::nearest;  // of contributions; results are rounded to nearest
  bool feeds_back = false;  // with `up`: a residual is added to what I contribute, and rewritten when the op commits
  // all-reduce and reduce-scatter: so many contributions suffice, once `grace` has passed since they were there. 0: everyone's
  std::uint32_t quorum = 0;
  Duration grace = 0;         // whole milliseconds
  std::int32_t priority = 0;  // on what this member sends: before all that is lower; what is equal shares
  Duration no_progress = 0;   // 0: none. No READY and no byte of this op for that long asks the master to decide
  Time deadline = kNever;     // absolute; asks the master to decide
  // The transaction that it is in, as Engine::post has named it, or 0. `tag` counts nothing there: the order of the posts does.
  OpHandle transaction = 0;
};

// Whether a site's contributions may be summed before they leave it: sums of 16-bit numbers would be rounded twice, and with a
// quorum a site's sum would wait until it is said who contributes.
inline bool sums_by_site(const Descriptor& d) {
  const bool rounds = is_floating(d.dtype) && size_of(d.dtype) == 2;
  return d.kind == OpKind::all_reduce && d.quorum == 0 &&
         (!rounds || d.reduction == Reduction::min || d.reduction == Reduction::max);
}

// Whether results land in a scratch, to be copied when the op commits.
inline bool lands_in_scratch(const Descriptor& d) { return d.in_place || d.transaction != 0 || d.on_device; }

// Whether that scratch may be the device's, as no connection reads or writes it: what comes is reduced or decoded into it, and what is
// sent on is sent as it travels. An op that is held before it is posted has one of the host's in any case.
inline bool lands_on_device(const Descriptor& d) {
  return d.on_device && (d.kind == OpKind::reduce_scatter || (d.kind == OpKind::all_reduce && d.down != Codec::none) ||
                         (d.kind == OpKind::all_gather && d.up != Codec::none));
}

inline bool has_codec(const Descriptor& d) { return d.up != Codec::none || d.down != Codec::none; }

// Whether what I contribute travels from a buffer of its own, and not from the input.
inline bool travels_as_copy(const Descriptor& d) { return d.up != Codec::none || d.on_device; }

// Bytes of a buffer that holds the input, or the result, encoded; 0 without a codec.
inline std::uint64_t coded_bytes(const Descriptor& d, Codec codec) {
  const std::uint64_t blocks = d.kind == OpKind::reduce_scatter ? d.blocks : 1;
  return codec == Codec::none ? 0 : encoded_bytes(codec, d.count) * blocks;
}

// Bytes of the copy of the input that travels; 0 of an op that has none.
inline std::uint64_t copied_bytes(const Descriptor& d) {
  if (d.up != Codec::none || !d.on_device) {
    return coded_bytes(d, d.up);
  }
  std::uint64_t count = d.count * (d.kind == OpKind::reduce_scatter ? d.blocks : 1);
  for (const Share& share : d.sends) {
    count += share.count;
  }
  return count * size_of(d.dtype);
}

// How an op ran: see collective/plan.h.
enum class PlanKind : std::uint8_t { direct = 0, one_shot = 1, hierarchical = 2 };
inline const char* name_of(PlanKind plan) {
  constexpr const char* names[] = {"direct", "one-shot", "hierarchical"};
  return names[static_cast<std::uint8_t>(plan)];
}

// Bytes of the buffer that holds a site's sums; 0 of an op that has none.
inline std::uint64_t partial_bytes(const Descriptor& d) {
  return !sums_by_site(d) ? 0 : d.up == Codec::none ? d.count * size_of(d.dtype) : coded_bytes(d, d.up);
}

enum class Outcome : std::uint8_t {
  committed = 1,
  no_weight = 2,  // committed, but the weights of the contributors sum to 0: no result, buffers untouched
  aborted = 3,    // decided for everyone: input intact, output undefined
  refused = 4,    // members differ, or the source (of a transfer either end) is gone: input intact
  evicted = 5,    // this incarnation was removed: input intact, the others may have committed with it
  undecided = 6,  // this incarnation left by itself: the same
};

struct Contributor {
  PeerId id = kNoPeer;
  double weight = 1;
  bool operator==(const Contributor&) const = default;
};

// All that is told of an ended op. With the data and `seaway_sim --reduce` it determines the bits of the result.
struct Result {
  Outcome outcome = Outcome::committed;
  OpKey op;
  Value value;             // of a committed op
  std::uint64_t hash = 0;  // of what this member got: value.bits, but of a reduce-scatter and an exchange
  std::vector<Contributor> contributors;  // in roster order
  double weight_sum = 0;
  std::vector<PeerId> lost;    // in the op's first roster, or in this member's lists, and not in its last roster
  std::uint32_t attempts = 0;  // 1: undisturbed
  PlanKind plan = PlanKind::direct;
  std::uint32_t chunk_bytes = 0;  // of the input: the streams of stochastic rounding begin with chunks
  std::uint64_t bytes_sent = 0;   // payload as it travels, repeats included
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_resent = 0;  // of bytes_sent, because of losses
  Time posted = 0;
  Time ended = 0;
  std::string reason;  // of anything but committed: in words, and what to do next
};

// --- Effects of the engine, in order --------------------------------------------------------------------------------

struct OpEnded {  // final; the buffers are the caller's again
  OpHandle op = 0;
  Result result;
};
// Whoever moves bytes must stop touching the op's buffers, whatever they hold: a connection that is sending from them
// copies the rest of its frame aside, one that is receiving into them goes on into a sink. Then on_released(op), once
// for each Release.
// With `results_only` (the next attempt is about to write results anew) it is about buffers of results alone.
struct Release {
  OpHandle op = 0;
  bool results_only = false;
};
inline bool concerns(const Release& release, const Region& region) {
  return region.length > 0 && region.owner == release.op && region.buffer != Buffer::slot &&
         (!release.results_only || is_of_results(region.buffer));
}
struct FreeSlot {
  SlotId slot = 0;
};
// An op with a quorum is not posted here, and its result is to be held for it: its scratch is to have so many bytes, its coded
// result so many. Answered with on_released, before which nothing is written there. The op may be posted later, under this name.
struct HoldResult {
  OpHandle op = 0;
  std::uint64_t scratch_bytes = 0;
  std::uint64_t coded_bytes = 0;
};
struct FreeHeld {  // it will not be posted under this name
  OpHandle op = 0;
};
// Close it, then say on_lost.
struct CloseLinkConnection {
  ConnId conn = 0;
  std::string reason;
};
// To the master, by way of core::Peer.
struct AskMismatch {
  OpKey op;
};
struct AskCancel {
  OpKey op;
  std::string reason;
};
// This edge holds an op up: no byte has moved on it for a stall.
struct EdgeStalled {
  PeerId peer = kNoPeer;
};
using EngineEffect = std::variant<OpEnded, Release, FreeSlot, HoldResult, FreeHeld, CloseLinkConnection, AskMismatch,
                                  AskCancel, EdgeStalled>;

}  // namespace seaway::collective
