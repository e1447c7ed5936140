#include "sim/world.h"

#include <algorithm>

#include "sim/master_process.h"
#include "sim/peer_process.h"

namespace seaway::sim {

namespace {
constexpr Duration kFaultsLast = 60 * kSecond;  // at most; then everything is healed
constexpr Duration kHealedFor = 240 * kSecond;  // within which everybody has to finish
}  // namespace

World::World(const Options& drawn)
    : options(drawn),
      random(drawn.seed ^ 0x5ea3a7),
      network(clock, options, random.fork()),
      checker(*this),
      store(*this),
      ladder(Ladder::scaled(100)) {}

World::~World() = default;

void World::tell(const std::string& what) {
  if (verbose) {
    const std::string ms = std::to_string(clock.now() / kMillisecond);
    lines.push_back(std::string(ms.size() < 7 ? 7 - ms.size() : 0, ' ') + ms + " ms  " + what);
    if (on_line) {
      on_line(lines.back());
      lines.clear();
    }
  }
}

// --- Machines -------------------------------------------------------------------------------------------------------

Site& World::add_site(std::uint32_t replica, std::uint16_t lane) {
  auto site = std::make_unique<Site>();
  site->host = next_host_++;
  site->uuid = {options.seed + 1, site->host};
  site->replica = replica;
  site->lane = lane;
  sites.push_back(std::move(site));
  return *sites.back();
}

void World::add_replica() {
  const std::uint32_t replica = next_replica_++;
  for (std::uint16_t lane = 0; lane < options.lanes; ++lane) {
    Site& site = add_site(replica, lane);
    clock.after(up_to(200 * kMillisecond), [this, &site] { start_peer(site); });
  }
}

void World::start_peer(Site& site) {
  if (site.process && site.process->alive()) {
    return;
  }
  ++site.lives;
  if (site.process) {
    graveyard_.push_back(std::move(site.process));  // events may still name it
  }
  // Nobody has given it one for all its lives. Not where an older copy of the record comes up: docs/RELIABILITY.md, "Known".
  if (!options.kinds.contains(Fault::store_old) && Random(options.seed ^ 0x1d ^ site.replica).one_in(2)) {
    site.uuid.high = options.seed + 1 + (static_cast<std::uint64_t>(site.lives) << 40);
  }
  const PeerId id = random.next() | 1;
  site.process = std::make_unique<PeerProcess>(*this, site, id, random.next());
  tell("h" + std::to_string(site.host) + " starts (replica " + std::to_string(site.replica) + ", lane " +
       std::to_string(site.lane) + ")");
  site.process->start();
}

void World::start_master(bool replaces) {
  if (replaces) {
    tell("a master starts");
  }
  for (const auto& old : masters) {
    if (old->alive() && options.has_store) {
      // A little later it hears that its lease is gone, whether or not a write was fenced.
      network.in(old->process(), up_to(500 * kMillisecond), [master = old.get()] { master->lose_lease(); });
    } else if (old->alive()) {
      old->crash();
    }
  }
  masters.push_back(std::make_unique<MasterProcess>(*this, random.next()));
  masters.back()->start();
}

// A life has ended. What left for good stays away; what was evicted or died comes back, if this run is like that.
void World::bury(Site& site) {
  const bool comes_back = Random(options.seed ^ site.replica).below(3) != 0;  // all its lanes alike
  if (site.finished || !comes_back || site.lives > 8) {
    return;
  }
  clock.after(up_to(2 * kSecond), [this, &site] { start_peer(site); });
}

Site* World::site_of(HostId host) {
  const auto it = std::find_if(sites.begin(), sites.end(), [&](const auto& site) { return site->host == host; });
  return it == sites.end() ? nullptr : it->get();
}

PeerProcess* World::find(PeerId id) const {
  for (const auto& site : sites) {
    if (site->process && site->process->alive() && site->process->id() == id) {
      return site->process.get();
    }
  }
  return nullptr;
}

std::vector<PeerProcess*> World::living() const {
  std::vector<PeerProcess*> list;
  for (const auto& site : sites) {
    if (site->process && site->process->alive()) {
      list.push_back(site->process.get());
    }
  }
  return list;
}

// --- A run ----------------------------------------------------------------------------------------------------------

void World::begin() {
  start_master(false);
  for (std::uint32_t replica = 0; replica < options.replicas; ++replica) {
    add_replica();
  }
}

void World::run() {
  begin();
  schedule_faults();
  run_until(kFaultsLast, true);
  heal();
  const Time end = clock.now() + kHealedFor;
  run_until(end, true);
  const bool anybody = std::ranges::any_of(living(), [](const auto* peer) { return peer->is_member(); });
  if (!finished() && !majority_is_lost() && (anybody || !nobody_can_form())) {
    throw Violation("promise 7: " + who_hangs());
  }
  for (PeerProcess* peer : living()) {
    peer->check();
  }
  checker.at_the_end();
}

void World::run_until(Time until, bool or_finished) {
  for (std::uint64_t steps = 0; clock.step(until); ++steps) {
    // Asked now and then: it looks at everybody.
    if (or_finished && faults_done_ && steps % 64 == 0 && finished()) {
      return;
    }
  }
}

// Every member's program is over. Who waits to be admitted when all others are through has nobody to wait for.
bool World::finished() const {
  bool anybody = false;
  for (const PeerProcess* peer : living()) {
    anybody = anybody || peer->is_member();
    if (peer->core().stage() == core::PeerStage::leaving || (peer->is_member() && !peer->program().finished())) {
      return false;
    }
  }
  return anybody || (clock.now() > 100 * kSecond && nobody_can_form());
}

// Nobody is a member, and too few are left to begin: the others have left or died for good.
bool World::nobody_can_form() const {
  std::map<std::uint32_t, std::uint32_t> lanes_here;
  for (const PeerProcess* peer : living()) {
    ++lanes_here[peer->site().replica];
  }
  const auto complete = std::count_if(lanes_here.begin(), lanes_here.end(),
                                      [&](const auto& entry) { return entry.second == options.lanes; });
  return complete < options.replicas;
}

// The majority rule's price: without half of the last roster nobody goes on.
bool World::majority_is_lost() const {
  return options.majority && masters.back()->core().status(clock.now()).stage.find("majority") != std::string::npos;
}

std::string World::who_hangs() const {
  std::string text = "somebody hangs";
  for (const PeerProcess* peer : living()) {
    text += "; h" + std::to_string(peer->site().host) + " ";
    if (peer->is_member()) {
      text += peer->program().what_it_waits_for();
    } else {
      text += "is no member: " + peer->core().waits_for();
    }
  }
  for (const auto& master : masters) {
    if (master->alive()) {
      text += "; master: " + master->core().status(clock.now()).stage;
    }
  }
  return text;
}

}  // namespace seaway::sim
