// A state sync: all members of a lane end with the same bytes and the same revision. A sequence of ordinary ops, posted
// by every member in the same order with the library's own tag; what becomes of each op is the same everywhere, and so is
// what follows.
//
//   round   1 table    all_reduce sum  what everybody has: a row per member         -> the election
//           2 list     broadcast       the leaves' hashes, from the first donor      (skipped when everybody has it)
//           3 lacking  all_reduce max  which leaves somebody lacks                   (   "   )
//           4 groups   broadcasts      those leaves, several at once; who has them   (   "   )
//                                      shares in sending, who lacks them checks each
//           5 verdict  all_reduce max  does anybody still lack any?                  -> 0: done, at everyone
//
// An op that was aborted (its source died), a leaf whose hash is wrong, a verdict of 1: the next round begins with a new
// table. Leaves that have arrived stay, so that it fetches the rest alone. Until the verdict nobody's state has changed.
//
// Pure: hashes and endings in, ops out. Whoever drives it owns the tensors and the staging memory where leaves arrive.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "collective/boundary.h"
#include "state/election.h"
#include "state/leaves.h"

namespace seaway::state {

struct SyncConfig {
  std::vector<PeerId> members;  // of my lane, in the base of my generation: lost ones too. Row i is members[i]'s
  PeerId self = kNoPeer;
  std::uint64_t layout = 0;  // a hash of the tensors' names, dtypes and counts
  std::vector<Leaf> leaves;
  Role role = Role::both;
  bool synced = true;
  std::uint64_t revision = 0;
  std::uint64_t group_bytes = 64ull << 20;  // leaves of one broadcast
  std::uint32_t groups_at_once = 4;
  std::uint32_t most_rounds = 100;
};

enum class Step : std::uint8_t { table = 1, list = 2, lacking = 3, group = 4, verdict = 5 };
const char* name_of(Step step);

// Where the bytes of an op lie. The machine's own ones: `bytes`, input and result (in place) in one. A group's: its leaves,
// one after the other; with has_data in the places `Sync::at` says, else all in the staging memory.
struct SyncOp {
  std::uint32_t id = 0;
  Step step = Step::table;
  collective::Descriptor descriptor;
  std::span<std::byte> bytes;         // until ended(id)
  std::vector<std::uint32_t> leaves;  // of a group
};

// Where the elected content of a leaf is, as far as this member has it.
enum class Place : std::uint8_t { nowhere = 0, tensor = 1, staging = 2 };

struct SyncOutcome {
  collective::Outcome outcome = collective::Outcome::committed;
  std::string reason;          // of anything but committed
  std::uint64_t revision = 0;  // elected; the following too
  Hash128 digest;
  std::vector<PeerId> donors;         // who had it
  std::vector<std::uint32_t> staged;  // leaves to be copied from the staging memory to the tensors, now
  std::uint32_t rounds = 0;
};

class Sync {
 public:
  // `hashes` of my tensors' leaves, which stay as they are until this is over.
  Sync(SyncConfig config, std::vector<Hash128> hashes);
  // The operations name its bytes.
  Sync(const Sync&) = delete;
  Sync& operator=(const Sync&) = delete;

  // Leaves that an earlier sync has left in the staging memory, by their hashes then.
  void reuse(std::span<const std::optional<Hash128>> staged);
  const std::vector<std::optional<Hash128>>& staged() const { return staged_; }

  // The next op to post, in order. nullopt: something has to end first.
  std::optional<SyncOp> next();
  // `arrived`: of a group that I lacked, the hashes of its leaves as they lie in the staging memory now.
  void ended(std::uint32_t id, collective::Outcome outcome, const std::string& reason,
             std::span<const Hash128> arrived = {});
  const std::optional<SyncOutcome>& outcome() const { return outcome_; }

  Place at(std::uint32_t leaf) const { return places_[leaf]; }
  std::string where() const;  // in words

 private:
  struct Group {
    std::vector<std::uint32_t> leaves;
    bool has_data = false;
    std::uint32_t id = 0;  // 0: not posted
    bool ended = false;
  };

  void begin_round();
  void queue(Step step, collective::Descriptor descriptor, std::span<std::byte> bytes);
  void read_table();
  void read_list();
  void find_places();
  void make_groups();
  void read_verdict();
  void queue_verdict();
  void again(const std::string& why);
  void fail(collective::Outcome outcome, const std::string& reason);
  bool lacks_any() const;
  std::uint64_t layout_of_round() const;

  SyncConfig config_;
  std::vector<Hash128> hashes_;                 // of my tensors
  std::vector<std::optional<Hash128>> staged_;  // what the staging memory holds
  Hash128 digest_;                              // of hashes_

  std::uint32_t round_ = 0;
  Step step_ = Step::table;
  Election election_;
  std::vector<std::uint64_t> table_;
  std::vector<Hash128> list_;
  bool list_is_right_ = false;
  std::vector<std::uint8_t> lacking_;
  std::vector<Place> places_;
  std::vector<Group> groups_;
  std::uint64_t verdict_ = 0;
  std::string last_problem_;

  std::optional<SyncOp> queued_;
  std::uint32_t next_id_ = 1;
  std::optional<SyncOutcome> outcome_;
};

}  // namespace seaway::state
