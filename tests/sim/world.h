// A whole run in one process: a master (or two), peers, their network, one clock, and the checker that watches them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/master.h"
#include "core/peer.h"
#include "sim/checker.h"
#include "sim/network.h"
#include "sim/options.h"
#include "sim/store.h"

namespace seaway::sim {

class PeerProcess;
class MasterProcess;

// A machine that runs one peer, life after life.
struct Site {
  HostId host = 0;
  Uuid uuid;
  std::uint32_t replica = 0;
  std::uint16_t lane = 0;
  std::unique_ptr<PeerProcess> process;  // of its current or last life
  int lives = 0;
  bool finished = false;  // its program is over, or it left
};

struct Stats {
  std::map<std::string, std::uint64_t> ops;     // by outcome
  std::map<std::string, std::uint64_t> faults;  // by kind
};

class World {
 public:
  explicit World(const Options& options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Start, faults, heal, liveness. Throws Violation or InvariantError at the first thing that is wrong.
  void run();

  // --- For the processes ---
  const Options options;
  Random random;
  Clock clock;
  Network network;
  Checker checker;
  Store store;
  Stats stats;
  // What was decided is remembered as long as the run lasts.
  bool remembers() const { return options.has_store && !store.was_lost(); }
  bool healed = false;
  bool verbose = false;
  std::vector<std::string> lines;                   // told and not yet handed over
  std::function<void(const std::string&)> on_line;  // hears each line at once, if there is one
  Ladder ladder;
  std::vector<std::unique_ptr<Site>> sites;
  std::vector<std::unique_ptr<MasterProcess>> masters;  // the last one is the one that listens

  Duration up_to(Duration most) {
    return most > 0 ? static_cast<Duration>(random.below(static_cast<std::uint64_t>(most) + 1)) : 0;
  }
  void tell(const std::string& what);  // with --verbose or in the story
  PeerProcess* find(PeerId id) const;  // a living one
  std::vector<PeerProcess*> living() const;
  Site* site_of(HostId host);
  void start_peer(Site& site);
  void start_master(bool replaces);
  Site& add_site(std::uint32_t replica, std::uint16_t lane);
  void add_replica();     // on machines of its own; it joins
  void bury(Site& site);  // after a process's end: its next life, if it has one

  // --- For scripted runs: what run() is made of ---
  void begin();
  void run_until(Time until, bool or_finished);
  bool finished() const;

  // --- Faults (faults.cpp) ---
  void inject(Fault fault);
  void schedule_faults();
  void heal();
  bool take_bit_flip();                             // one is due
  void ambush(const std::vector<PeerId>& joiners);  // the master has just asked for them
  void ambush_rates();                              // the master has just asked where new rates are to begin
  void outrun(std::uint64_t point);
  void record_was_emptied();  // by a master that has heard of what it does not know
  PeerProcess* some_peer();

 private:
  std::string who_hangs() const;
  bool nobody_can_form() const;
  bool majority_is_lost() const;
  void injected(Fault fault);
  void hold_up(const PeerProcess& member);
  void inject_process(Fault fault);
  void inject_network(Fault fault);
  void forget_connections_of(PeerProcess& peer);
  void inject_program(Fault fault);
  void inject_master(Fault fault);
  void inject_store(Fault fault);
  enum class Remembers { all, less, nothing };
  void restart_master(Remembers remembers);
  void restore(Duration after, std::function<void()> what);

  std::vector<std::unique_ptr<PeerProcess>> graveyard_;
  std::uint32_t next_replica_ = 0;
  HostId next_host_ = 1;
  int bit_flips_ = 0;
  bool faults_done_ = false;
};

}  // namespace seaway::sim
