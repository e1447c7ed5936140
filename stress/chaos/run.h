// A run under faults: a master and trainers as processes, what they have said so far, and every promise about it. Whatever is
// broken is thrown as a Violation, from the call that listens.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "chaos/lab.h"
#include "chaos/program.h"
#include "chaos/trainer.h"
#include "support/process.h"

namespace seaway::chaos {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct RunConfig {
  std::string self;  // this program
  std::string folder;
  std::uint64_t seed = 0;
  std::uint64_t bytes = 0;
  unsigned world = 0;
  unsigned sites = 0;   // 0: no trainer states any
  double patience = 0;  // seconds
  bool is_plaintext = false;
};

// One process of one replica.
struct Trainer {
  unsigned replica = 0;
  unsigned life = 0;  // of the replica
  std::unique_ptr<support::Process> process;
  bool may_end = false;  // it was killed, or told to leave
  bool is_killed = false;
  bool is_member = false;  // as far as it knows
  std::string address;     // where it listens, once it has joined
  double began_last = 0;   // of the ops that it committed, when the latest one began
  std::string contributors_last;
  double began_last_full = 0;     // the same of those over all of the world
  std::optional<double> clock_s;  // its wall clock less the monotonic one, as it said last
  std::deque<std::string> tail;
  std::string unread;

  std::string name() const { return name_of(replica) + "." + std::to_string(life); }
};

struct Tallies {
  std::uint64_t committed = 0;
  std::uint64_t refused = 0;
  std::uint64_t aborted = 0;
  std::uint64_t evicted = 0;     // ops that ended with their incarnation
  std::uint64_t resumed = 0;     // of those committed, in more than one attempt
  std::uint64_t unverified = 0;  // committed over somebody whom the checker had not met; hashes were compared
  std::uint64_t evictions = 0;
  std::uint64_t joins = 0;
  std::uint64_t refused_joins = 0;
};

class Run {
 public:
  Run(Lab& lab, RunConfig config);

  const RunConfig& config() const { return config_; }
  const Tallies& tallies() const { return tallies_; }
  std::string base_replicas() const;  // "0123"

  // --- The master
  void start_master();
  void kill_master();
  support::Process& master() { return *master_; }
  std::string master_address() const;
  bool has_master() const { return master_ && !master_is_gone_; }
  // Seconds from each start of a master until it said that all was well.
  std::vector<double> back_in_charge;
  // Asks the master until it says that all is well: everybody is a member, connected and was just heard, nothing is left to decide
  // or to write.
  void ask_whether_all_is_well();
  bool all_is_well() const { return !question_; }
  // The status in which it last said so.
  const std::string& status() const { return status_; }
  // What lets trainers in; empty in plaintext. Of the first master: waits until that has printed it.
  const std::string& join_string();

  // --- Trainers
  // One life more of this replica; with the same identity it takes the place of the one before at once.
  void start_trainer(unsigned replica, bool same_identity);
  Trainer* trainer(unsigned replica) { return current_.at(replica).get(); }
  bool lives(unsigned replica) const { return current_.at(replica) && !current_.at(replica)->may_end; }
  void kill_trainer(unsigned replica);
  void tell(unsigned replica, const std::string& order);
  void ask_to_leave(unsigned replica);
  bool everybody_has_ended(unsigned from_replica) const;

  // --- What a fault explains, until everything is well again
  void excuse(unsigned replica) {
    excused_.insert(replica);
    may_lose_ = true;
  }
  // A master may end for want of space, if it says so; it is started again.
  void allow_full_disk() { disk_was_full_ = true; }
  bool was_evicted(unsigned replica) const { return evicted_.contains(replica); }
  // All is well: what ended until now has to be explained by what was done until now.
  void settle_accounts();

  // Listens until then at the latest. `on_commit` hears of each op that a trainer committed: when it began and ended.
  void listen(double until);
  std::function<void(const Trainer&, double began, double ended)> on_commit;
  std::function<void(const std::string&)> on_did;   // what a trainer did on the test's order
  std::function<void(const std::string&)> on_note;  // worth telling, and no violation

  // Everyone leaves and ends well.
  void finish();
  // What everybody said last, into the folder.
  void write_logs() const;

 private:
  struct OpRecord {
    std::string status;  // SEAWAY_REFUSED, where some had that and others SEAWAY_ABORTED
    std::string hash;
    std::string contributors;
    std::string first;  // who said so
    bool fails_on_loss = false;
    bool was_refused_and_aborted = false;
    bool may_lose = false;       // when it was told of, somebody may have been lost
    std::set<std::string> done;  // to it, by order; by more than one trainer perhaps
    unsigned wrong_by = 0;
  };
  struct Question {
    double since = 0;
    bool is_of_start = false;
    double ask_at = 0;
    std::unique_ptr<support::Process> asks;  // `seaway status`
  };

  void understand(Trainer& trainer);
  void understand(Trainer& trainer, const std::string& line);
  void understand_op(Trainer& trainer, std::istringstream& line, double time);
  void settle_ops(std::uint64_t before_step);
  void check_ends();
  void check_master();
  void check_join_string();
  void ask_master();
  void log(const std::string& name, const std::string& line) const;
  void watch_machine(double asked, double until);

  Lab& lab_;
  RunConfig config_;
  std::string port_;  // the master's
  std::unique_ptr<support::Process> master_;
  bool master_is_gone_ = true;
  bool master_is_wanted_ = false;
  double master_again_at_ = 0;
  std::string join_;
  std::string status_;
  std::optional<Question> question_;
  std::array<std::unique_ptr<Trainer>, kMostReplicas> current_;
  std::array<unsigned, kMostReplicas> lives_{};
  std::vector<std::unique_ptr<Trainer>> past_;  // killed, not yet read to their end
  std::map<std::pair<std::uint64_t, unsigned>, OpRecord> ops_;
  std::set<unsigned> excused_;
  std::set<unsigned> evicted_;
  bool may_lose_ = false;
  bool disk_was_full_ = false;
  Tallies tallies_;
};

}  // namespace seaway::chaos
