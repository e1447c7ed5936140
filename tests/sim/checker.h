// What has to hold, watched while it happens: the promises of DESIGN 2, each as a check over what was told to callers.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "collective/boundary.h"
#include "core/master.h"
#include "sim/network.h"
#include "sim/program.h"
#include "sim/reference.h"

namespace seaway::sim {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

const char* name_of(collective::Outcome outcome);
inline bool is_success(collective::Outcome outcome) {
  return outcome == collective::Outcome::committed || outcome == collective::Outcome::no_weight;
}

// The shared state as one member has it.
struct StateCopy {
  std::uint64_t revision = 0;
  std::vector<std::byte> bytes;
  bool synced = false;
  bool same_as(const StateCopy& other) const { return revision == other.revision && bytes == other.bytes; }
};

class Checker {
 public:
  explicit Checker(World& world) : world_(&world) {}

  // --- What happens ---
  void on_post(const PeerProcess& peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
               std::span<const std::byte> input);
  void on_ended(const PeerProcess& peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
                const collective::Result& result, std::span<const std::byte> output);
  void on_residual(const PeerProcess& peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
                   const collective::Result& result, std::span<const std::byte> residual) const;
  void on_epoch(const wire::EpochMessage& epoch);
  void on_evicted(const PeerProcess& peer, const std::string& reason);
  void on_left(const PeerProcess& peer);
  void on_leave_heard(PeerId peer) { left_.insert(peer); }  // by a master
  void on_death(const PeerProcess& peer);
  void on_sync_begun(const PeerProcess& peer, std::uint64_t update, StateCopy copy);
  void on_synced(const PeerProcess& peer, std::uint64_t update, StateCopy copy);
  void must_not_contribute(const PlannedOp& planned, PeerId peer) { unsynced_.insert({planned, peer}); }
  // It was posted by a newcomer that no sync has committed at, or by somebody that one has.
  void posted_by_newcomer(const PlannedOp& planned, PeerId peer) { by_newcomers_.insert({planned, peer}); }
  void posted_by_synced(const PlannedOp& planned, PeerId peer) { by_synced_.insert({planned, peer}); }
  // They commit together or not at all: what befalls one is a cause for all of them.
  void is_in_transaction(const PlannedOp& planned) { in_transactions_.insert(planned); }
  void on_bit_flip(const PlannedOp& planned) { flipped_.insert(unit_of(planned)); }
  // Somebody does something for which this op may be aborted or refused.
  void expect_failure(const PlannedOp& planned) { may_fail_.insert(unit_of(planned)); }
  // A fault touches this machine for so long that its peer may be taken for dead.
  void excuse(HostId host, Time until);
  void excuse_everyone(Time until);
  // A short fault that nobody is lost for alone; a second one soon after may add up to more than `evict`.
  void trouble(HostId host);
  void trouble_everyone();

  // --- What must hold at the end ---
  void at_the_end() const;
  std::string text_of(const OpKey& op) const;
  // The record that `seaway_sim --reduce` takes.
  std::string record_of(PeerId peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
                        const collective::Result& result) const;
  const std::vector<wire::MemberInfo>& newest_roster() const { return newest_roster_; }
  std::uint64_t reductions_checked() const { return checked_; }

 private:
  struct Told {
    PeerId peer = kNoPeer;
    collective::Outcome outcome = collective::Outcome::committed;
  };
  struct History {
    PlannedOp planned;
    std::vector<Told> told;
    bool succeeded = false;
    Value value;
    std::vector<collective::Contributor> contributors;
    std::vector<std::byte> bits;
    PeerId first = kNoPeer;
  };

  void check_reference(const PeerProcess& peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
                       const collective::Result& result, std::span<const std::byte> output);
  void check_contributors(const PeerProcess& peer, const PlannedOp& planned, const collective::Result& result) const;
  void check_agreement(const PeerProcess& peer, History& history, const collective::Result& result,
                       std::span<const std::byte> output);
  void check_essence(const PeerProcess& peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
                     const collective::Result& result) const;
  void check_counts(const PeerProcess& peer, const PlannedOp& planned, const collective::Descriptor& descriptor,
                    const collective::Result& result) const;
  void check_cause(const PlannedOp& planned, const collective::Descriptor& descriptor,
                   const collective::Result& result) const;
  void check_split(const OpKey& key, const History& history) const;
  PlannedOp unit_of(const PlannedOp& planned) const;
  void check_transaction(const PeerProcess& peer, const collective::Descriptor& descriptor,
                         const collective::Result& result);
  bool is_live_member(PeerId peer) const;
  unsigned run_of(PeerId peer) const;
  ReferenceAttempt attempt_of(PeerId peer, const collective::Result& result) const;

  World* world_;
  // A master without a store may come back to nobody: what is told in the run that forms then is of another run.
  unsigned runs_ = 1;
  std::map<PeerId, unsigned> run_of_;
  std::map<std::pair<unsigned, OpKey>, History> ops_;
  // One transaction, in all lanes: what its callers and those of its ops were told.
  struct TransactionHistory {
    std::vector<Told> told;
    std::optional<Cut> attempt;  // of the first success
    std::set<std::uint32_t> replicas;
    PeerId first = kNoPeer;
  };
  std::map<std::pair<unsigned, OpKey>, TransactionHistory> transactions_;
  std::map<PeerId, std::uint32_t> replica_of_;
  std::set<PlannedOp> in_transactions_;
  std::map<PlannedOp, std::map<PeerId, collective::Descriptor>> posted_;
  std::map<std::pair<PlannedOp, PeerId>, std::vector<PeerId>> blocks_;  // whose each is, of ops of blocks
  std::set<PlannedOp> may_fail_;
  std::set<PlannedOp> flipped_;
  std::map<Epoch, std::vector<PeerId>> rosters_;
  std::map<std::pair<unsigned, std::uint32_t>, std::uint64_t> join_points_;  // by run and generation
  // Id, rate, site of each member.
  using Base = std::vector<std::tuple<PeerId, std::uint32_t, std::uint32_t>>;
  // By run and generation; several only where a master without a store died before many knew of the first.
  std::map<std::pair<unsigned, std::uint32_t>, std::vector<Base>> bases_;
  Epoch newest_;
  std::vector<wire::MemberInfo> newest_roster_;
  std::map<HostId, Time> excused_;   // until
  std::map<HostId, Time> troubled_;  // since
  std::set<PeerId> dead_;            // ended by themselves or by a fault
  std::set<PeerId> left_;            // a master heard their LEAVE
  bool somebody_lost_ = false;
  Time lost_at_ = -kNever;  // the last time, other than by LEAVE
  Time synced_at_ = kNever;
  struct SyncHistory {
    std::map<PeerId, StateCopy> before, after;
  };
  // By run, lane, generation, update.
  std::map<std::tuple<unsigned, std::uint16_t, std::uint32_t, std::uint64_t>, SyncHistory> syncs_;
  std::map<std::pair<PlannedOp, PeerId>, std::vector<std::byte>> sync_inputs_;
  std::map<PlannedOp, Time> first_post_;
  std::set<std::pair<PlannedOp, PeerId>> unsynced_, by_newcomers_, by_synced_;
  std::uint64_t checked_ = 0;
};

}  // namespace seaway::sim
