// What the engine knows of one op. Everything a member of the op did or was sent stands in its one `Side`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/mutant.h"
#include "base/time.h"
#include "collective/boundary.h"
#include "collective/chunk_queue.h"
#include "collective/plan.h"
#include "wire/frame.h"

namespace seaway::collective {

//   UNPOSTED --post--> RUN --HOLD from everyone, or COMMIT--> COMMITTED
//       |               +--ABORT, refusal, fence------------> ABORTED
//       +--ABORT, or passed without posting: a tombstone----> ABORTED, which the later post returns
enum class Stage : std::uint8_t { unposted, run, committed, aborted };

// What one sender has for a chunk that I collect: its contribution, or its site's sum of an attempt (Plan::sends_partials).
struct Part {
  enum class State : std::uint8_t {
    absent,
    landing,  // a connection writes into the slot
    present,
    dropped,  // had arrived, and was dropped for memory: has to be asked for again
  };
  State state = State::absent;
  SlotId slot = 0;
  std::uint32_t length = 0;
  bool used = false;  // reduced at least once: counts as kept
};

struct Side {
  std::optional<wire::Ready> ready;
  Cut attempt;  // the newest it has shown to be at
  bool shown = false;
  std::optional<Value> hold;
  std::optional<std::pair<Cut, wire::ContributorSet>> set;  // of the newest attempt for which it has sent one
  std::map<std::uint32_t, Part> parts;                      // by the number under which they travel

  // What goes to it. Parts it asked for stand in `wanted`; until its READY is here, `eager` ones may go within the
  // link's eager credit.
  std::vector<bool> sent;                               // by the same number, as those in the two queues of parts below
  std::vector<std::pair<Cut, wire::Want>> early_wants;  // of an op I have not posted
  ChunkQueue wanted;
  ChunkQueue eager;
  ChunkQueue results;
  ChunkQueue partials;                       // my site's sums that may go
  std::map<std::uint32_t, Cut> sums_wanted;  // the chunks, and the attempt in which they were asked for
  std::uint64_t eager_bytes = 0;
  std::uint64_t unposted_bytes = 0;
};

// One chunk of the result. Its region has one writer at a time: a connection, a job, or nobody.
struct Chunk {
  bool done = false;  // holds the result of the op's attempt, hashed
  std::uint64_t hash = 0;
  ConnId lease = 0;  // this connection writes
  JobId job = 0;     // this job writes or hashes (or has not yet ended)
  SlotId aside = 0;  // the result landed, or lands, in a slot because the region had a writer
  bool aside_here = false;
  bool summed = false;  // hierarchical: what my site contributes in the op's attempt is summed, or is nothing
};

// A chunk of my input that travels, and is reduced, as it was encoded once, or copied from a device. staying, stays: the same for me
// alone, who am its root (Job::stays).
enum class Encoding : std::uint8_t { none, queued, done, staying, stays };

// Whatever the others are. The library's own ops (a state sync) are everyone's: it is how a newcomer gets its standing.
inline bool may_contribute(const OpKey& op, Standing standing) {
  return standing != Standing::unsynced || (is_librarys(op) && MUTANT(newcomer_not_in_the_table, true, false));
}

// What a committed op does before its caller is told.
enum class LastStep : std::uint8_t { none, feed_back, copy };

struct Op {
  OpKey key;
  OpHandle handle = 0;  // 0: not posted
  Stage stage = Stage::unposted;
  Descriptor descriptor;
  std::uint64_t digest = 0;
  Standing standing = Standing::founder;  // what my READY said
  PeerId created_by = kNoPeer;            // of an op that exists only because of this peer's frames
  bool posted = false;                    // by the caller. An op with a quorum may run without (engine_quorum.cpp)
  bool held = false;                      // its results land in a scratch, for a caller who comes later
  bool passed_by = false;                 // it runs without the caller, who has posted something else in its place

  Cut attempt;
  std::vector<PeerId> roster;        // of the attempt
  std::vector<PeerId> first_roster;  // of the first
  Plan plan;
  Portions given;                // of an exchange: what goes to others
  std::map<PeerId, Side> sides;  // of everyone but me

  // Known once everybody's READY is here, anew for each attempt.
  std::optional<std::vector<Contributor>> contributors;
  double weight_sum = 0;
  std::uint64_t contributors_hash = 0;
  std::optional<Time> quorum_since;             // enough contributions are there, since then
  std::optional<wire::ContributorSet> own_set;  // that I chose for this attempt
  bool no_weight = false;

  std::vector<std::uint32_t> my_chunks;  // I am root of, in the order in which they are asked for
  std::uint64_t my_block = 0;            // where it begins, of ops of blocks
  std::size_t asked = 0;                 // of my_chunks: parts asked for
  std::size_t reduced = 0;               // of my_chunks
  // The same of those that I am gateway for. They wait for nobody at other sites, as my own do for other gateways: with
  // one window for both, two gateways could wait for one another.
  std::vector<std::uint32_t> site_chunks;
  std::size_t site_asked = 0;
  std::size_t site_summed = 0;
  ChunkQueue candidates;  // chunks of mine that may have become ready to reduce
  std::vector<Chunk> chunks;
  std::uint32_t chunks_done = 0;
  // By part of mine; of no attempt, as the input is not. Empty where the input itself travels.
  std::vector<Encoding> encodings;

  bool hold_sent = false;
  Value my_value;               // once I hold
  bool mismatch = false;        // this attempt's HOLDs differ; the master was told
  std::uint8_t mismatches = 0;  // attempts that ended so
  std::string cancel_reason;    // the master was asked to abort it
  bool must_abort = false;      // and it does not hold before

  // Of a transaction (engine_transaction.cpp).
  std::vector<OpKey> its_ops;  // in the order of their posts here
  std::uint32_t posts = 0;     // of them, those included that came after its end
  bool closed = false;         // none comes any more
  bool lane_hold_sent = false;

  // The end: buffers are asked back, jobs run out, the residual is rewritten, an in-place result is copied, the caller is told.
  std::uint32_t releases = 0;  // Release effects not yet answered: results may still be read or written
  bool told = false;
  std::uint32_t jobs = 0;  // queued or running
  LastStep last_step = LastStep::none;
  std::vector<OpHandle> retired;  // names that the op had here before, whose memory is still in use
  Result result;
  Time progress_at = 0;  // the last READY or byte of this op

  bool open() const { return stage == Stage::run; }
  bool ended() const { return stage == Stage::committed || stage == Stage::aborted; }
  bool has_result() const { return !no_weight && !chunks.empty(); }
  bool is_staged() const {  // whatever becomes of the transaction, before it commits no output is written to
    return descriptor.transaction != 0 && !descriptor.has_data && MUTANT(transaction_not_staged, true, false);
  }
  // Connections do not write to a device.
  bool lands_beside_a_device() const { return descriptor.on_device && MUTANT(result_lands_on_device, true, false); }
  bool is_owed_to_a_device() const { return lands_beside_a_device() && !descriptor.has_data; }
  // Whether this part of mine is ready to travel.
  bool encoded(std::uint32_t part) const { return !travels_as_copy(descriptor) || encodings[part] == Encoding::done; }
  std::uint32_t part_length(std::uint32_t chunk) const { return plan.coded_length_of(descriptor.up, chunk); }
  std::uint32_t result_length(std::uint32_t chunk) const { return plan.coded_length_of(down(), chunk); }
  // What I contribute is in parts: one for each chunk, but of an exchange for each of what I give.
  std::uint32_t own_parts() const { return plan.blocks == Blocks::exchanged ? given.chunks : plan.chunks; }
  std::uint32_t own_part(PeerId to, std::uint32_t number) const {
    const bool is_exchanged = MUTANT(exchanged_parts_by_number, plan.blocks == Blocks::exchanged, false);
    return is_exchanged ? given.chunk_of(to, number) : number;
  }
  // The chunk of my own result that it is for; `plan.chunks` if it is for another's alone.
  std::uint32_t own_chunk(PeerId self, std::uint32_t part) const {
    const bool is_exchanged = plan.blocks == Blocks::exchanged;
    return is_exchanged && given.peer_of(part) != self
               ? plan.chunks
               : plan.chunk_of(self, is_exchanged ? given.number_of(part) : part);
  }
  // Of what goes to this member, by the number under which it travels.
  std::uint32_t parts_for(PeerId peer) const {
    return plan.blocks == Blocks::exchanged ? given.chunks_for(peer) : plan.chunks;
  }
  std::uint32_t sent_length(PeerId peer, std::uint32_t number) const {
    return plan.blocks == Blocks::exchanged ? given.length_of(given.chunk_of(peer, number)) : part_length(number);
  }
  std::uint64_t data_bytes() const { return plan.blocks == Blocks::exchanged ? given.bytes : plan.bytes; }
  // How results travel: where everybody reduces for itself, none does.
  Codec down() const { return plan.one_shot ? Codec::none : descriptor.down; }
  // The chunks that this member is to have: all, but of a reduce-scatter its block alone.
  std::size_t whole() const {
    const std::size_t block = MUTANT(scattered_block_not_awaited, my_chunks.size(), my_chunks.size() / 2);
    return plan.blocks == Blocks::scattered ? block : chunks.size();
  }
};

}  // namespace seaway::collective
