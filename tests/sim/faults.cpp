// The faults of a seed: when, which, to whom. Whoever may be taken for dead because of one is excused (promise 8).
#include <algorithm>
#include <array>
#include <iterator>

#include "base/mark.h"
#include "sim/master_process.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

namespace {
// After a fault has ended its effects go on: a reconnect, an eviction that was decided while it lasted.
constexpr Duration kAftermath = 15 * kSecond;
}  // namespace

void World::schedule_faults() {
  if (options.kinds.empty() || options.faults == 0) {
    faults_done_ = true;
    return;
  }
  const std::vector<Fault> kinds(options.kinds.begin(), options.kinds.end());
  if (options.kinds.contains(Fault::store_old)) {
    clock.after(up_to(15 * kSecond), [this] { store.copy(); });
  }
  Time when = options.quiet_before + 300 * kMillisecond;
  for (std::uint32_t i = 0; i < options.faults; ++i) {
    const Fault fault = kinds[random.below(kinds.size())];
    const bool last = i + 1 == options.faults;
    clock.at(when, [this, fault, last] {
      inject(fault);
      faults_done_ = faults_done_ || last;
    });
    // Sometimes several in one breath: a second death while the first is being resolved.
    when += random.one_in(3) ? up_to(300 * kMillisecond) : up_to(5 * kSecond);
  }
}

PeerProcess* World::some_peer() {
  const std::vector<PeerProcess*> list = living();
  return list.empty() ? nullptr : list[random.below(list.size())];
}

void World::injected(Fault fault) { ++stats.faults[name_of(fault)]; }

void World::inject(Fault fault) {
  switch (fault) {
    case Fault::crash:
    case Fault::stall:
    case Fault::leave:
    case Fault::join:
      inject_process(fault);
      break;
    case Fault::cut:
    case Fault::master_cut:
    case Fault::reset:
    case Fault::half_open:
    case Fault::slow_link:
      inject_network(fault);
      break;
    case Fault::wrong_call:
    case Fault::cancel:
    case Fault::slow_caller:
    case Fault::bit_flip:
      inject_program(fault);
      break;
    case Fault::master_restart:
    case Fault::master_stall:
      inject_master(fault);
      break;
    case Fault::store_lies:
    case Fault::store_full:
    case Fault::store_lost:
    case Fault::store_old:
    case Fault::lease_lost:
      inject_store(fault);
      break;
    case Fault::count:
      break;
  }
}

void World::inject_process(Fault fault) {
  PeerProcess* peer = some_peer();
  if (peer == nullptr) {
    return;
  }
  const std::size_t members = static_cast<std::size_t>(std::count_if(
      sites.begin(), sites.end(), [](const auto& site) { return site->process && site->process->is_member(); }));
  if (fault == Fault::crash && members > options.lanes) {
    injected(fault);
    if (random.one_in(3)) {
      peer->crash(random.one_in(4));
    } else {
      peer->crash_soon(static_cast<int>(random.below(30)));
    }
  } else if (fault == Fault::stall) {
    injected(fault);
    const bool is_long = random.one_in(2);
    const Duration length = is_long ? ladder.evict + up_to(10 * kSecond) : up_to(ladder.evict / 3);
    tell("h" + std::to_string(peer->site().host) + " stands still for " + std::to_string(length / kMillisecond) +
         " ms");
    network.stall(peer->process(), clock.now() + length);
    if (is_long) {
      checker.excuse(peer->site().host, clock.now() + length + kAftermath);
    } else {
      checker.trouble(peer->site().host);
    }
  } else if (fault == Fault::leave && members > 2u * options.lanes && peer->is_member()) {
    injected(fault);
    for (PeerProcess* lane : living()) {  // a replica leaves as a whole
      if (lane->site().replica == peer->site().replica) {
        checker.excuse(lane->site().host, kNever);
        lane->leave();
      }
    }
  } else if (fault == Fault::join && sites.size() < 12) {
    injected(fault);
    for (std::uint64_t n = random.between(1, 3); n > 0; --n) {
      add_replica();
    }
    if (random.one_in(3)) {
      Site* victim = sites.back().get();
      clock.after(up_to(3 * kSecond), [this, victim] {
        if (victim->process && victim->process->alive()) {
          SEAWAY_MARK("sim: a newcomer dies while it joins");
          checker.excuse(victim->host, kNever);
          victim->process->crash(false);
        }
      });
    }
  }
}

// What it says reaches the master late.
void World::hold_up(const PeerProcess& member) {
  const HostId held_up = member.site().host;
  network.cut(held_up, 0, true);
  restore(ladder.dead_grace + up_to(400 * kMillisecond), [this, held_up] { network.cut(held_up, 0, false); });
  checker.trouble(held_up);
}

// A join is asked and answered within a round trip, so what goes wrong in between has to wait for it: a joiner dies while
// the answer of one member is held up.
void World::ambush(const std::vector<PeerId>& joiners) {
  PeerProcess* joiner = find(joiners[random.below(joiners.size())]);
  PeerProcess* member = some_peer();
  if (healed || joiner == nullptr || member == nullptr || !member->is_member() || !random.one_in(3)) {
    return;
  }
  hold_up(*member);
  // Nor is anybody left who knows of the promises, if the master dies too.
  if (options.kinds.contains(Fault::master_restart) && random.one_in(3)) {
    inject_master(Fault::master_restart);
    joiner->site().finished = random.one_in(2);
  }
  if (random.one_in(2)) {
    Site* victim = &joiner->site();
    clock.after(up_to(100 * kMillisecond), [this, victim, id = joiner->id()] {
      if (find(id) != nullptr) {
        checker.excuse(victim->host, kNever);
        victim->process->crash(false);
      }
    });
  }
}

// As with a join: while the answer of one member is held up somebody comes, dies, or has to connect anew, or the master dies.
void World::ambush_rates() {
  PeerProcess* member = some_peer();
  if (healed || member == nullptr || !member->is_member() || !random.one_in(3)) {
    return;
  }
  hold_up(*member);
  const Fault fault = std::array{Fault::join, Fault::crash, Fault::reset, Fault::master_restart}[random.below(4)];
  if (!options.kinds.contains(fault)) {
    return;
  }
  if (fault == Fault::reset) {
    for (const ConnId conn : network.connections_of(member->process())) {
      if (const auto [one, other] = network.hosts_of(conn); one == 0 || other == 0) {
        network.reset(conn, false);
      }
    }
  } else {
    inject(fault);
  }
}

// A join point stands. Then the member that is farthest is lost, and somebody wants to join while the others are behind it.
void World::outrun(std::uint64_t point) {
  std::vector<PeerProcess*> members;
  for (PeerProcess* peer : living()) {
    if (peer->is_member()) {
      members.push_back(peer);
    }
  }
  const bool late = healed || point == 0 || sites.size() >= 12 || members.size() <= 2u * options.lanes;
  if (late || !options.kinds.contains(Fault::join) || !random.one_in(3)) {
    return;
  }
  const PeerProcess* farthest = *std::max_element(members.begin(), members.end(), [](const auto* a, const auto* b) {
    return a->program().update_count() < b->program().update_count();
  });
  clock.after(up_to(100 * kMillisecond), [this, id = farthest->id()] {
    if (PeerProcess* peer = find(id); peer != nullptr && !healed) {
      checker.excuse(peer->site().host, kNever);
      peer->crash(false);
      add_replica();
    }
  });
}

void World::restore(Duration after, std::function<void()> what) {
  clock.after(after, [this, what = std::move(what)] {
    if (!healed) {
      what();
    }
  });
}

void World::inject_network(Fault fault) {
  PeerProcess* a = some_peer();
  PeerProcess* b = some_peer();
  if (a == nullptr || b == nullptr) {
    return;
  }
  const HostId here = a->site().host;
  const HostId there = fault == Fault::master_cut ? 0 : b->site().host;
  const Duration length = random.one_in(2) ? up_to(ladder.evict / 4) : up_to(4 * ladder.stall);
  const bool is_long = length > ladder.evict / 4;
  if (fault == Fault::cut || fault == Fault::master_cut) {
    if (here == there) {
      return;
    }
    injected(fault);
    const int ways = static_cast<int>(random.between(1, 3));
    tell("h" + std::to_string(here) +
         (ways == 1   ? " -> "
          : ways == 2 ? " <- "
                      : " <-> ") +
         "h" + std::to_string(there) + " cut for " + std::to_string(length / kMillisecond) + " ms");
    for (const auto& [way, from, to] : {std::tuple{1, here, there}, std::tuple{2, there, here}}) {
      if ((ways & way) != 0) {
        network.cut(from, to, true);
        restore(length, [this, sender = from, receiver = to] { network.cut(sender, receiver, false); });
      }
    }
    if (is_long) {
      checker.excuse(here, clock.now() + length + kAftermath);
      if (there != 0) {
        checker.excuse(there, clock.now() + length + kAftermath);
      }
    } else {
      checker.trouble(here);
      checker.trouble(there);
    }
  } else if (fault == Fault::slow_link && here != there) {
    injected(fault);
    network.slow(here, there, true);
    restore(length, [this, here, there] { network.slow(here, there, false); });
  } else if (fault == Fault::reset || fault == Fault::half_open) {
    std::vector<ConnId> conns = network.connections_of(a->process());
    if (conns.empty()) {
      return;
    }
    injected(fault);
    if (fault == Fault::reset && random.one_in(3)) {
      forget_connections_of(*a);
      return;
    }
    std::vector<ConnId> busy;
    std::ranges::copy_if(conns, std::back_inserter(busy), [&](ConnId conn) { return a->in_mid_frame(conn); });
    if (!busy.empty() && random.one_in(2)) {
      conns = busy;
    }
    const ConnId conn = conns[random.below(conns.size())];
    if (a->in_mid_frame(conn)) {
      SEAWAY_MARK("sim: a connection breaks in mid-frame");
    }
    // The line to the master may be the one that went quiet: a peer notices after `suspect`, and comes back in time.
    const auto [one, other] = network.hosts_of(conn);
    if (fault == Fault::reset) {
      network.reset(conn, false);
    } else {
      network.half_open(conn);
    }
    checker.trouble(one);
    checker.trouble(other);
  }
}

// A router has restarted: everything of one machine is reset at once. It says HELLO again within dead_grace, unless the
// way is so long that the ladder would have been made longer, too.
void World::forget_connections_of(PeerProcess& peer) {
  constexpr Duration kNear = 25 * kMillisecond;
  const HostId host = peer.site().host;
  tell("all connections of h" + std::to_string(host) + " are reset");
  if (options.latency + options.jitter > kNear || network.stalled(peer.process())) {
    checker.excuse(host, clock.now() + kAftermath);
  }
  checker.trouble(host);
  for (const ConnId conn : network.connections_of(peer.process())) {
    network.reset(conn, true);
  }
}

void World::inject_program(Fault fault) {
  PeerProcess* peer = some_peer();
  if (peer == nullptr || !peer->is_member()) {
    return;
  }
  injected(fault);
  Program& program = peer->program();
  switch (fault) {
    case Fault::wrong_call:
      (random.one_in(3) ? program.skip_tail : random.one_in(2) ? program.differ : program.invalid) = true;
      break;
    case Fault::cancel:
      if (random.one_in(2)) {
        program.cancel_one();
      } else {
        program.hurry = true;
      }
      break;
    case Fault::slow_caller:
      program.slow = true;
      break;
    default:
      ++bit_flips_;
      break;
  }
}

bool World::take_bit_flip() {
  if (bit_flips_ == 0 || healed) {
    return false;
  }
  --bit_flips_;
  return true;
}

void World::inject_master(Fault fault) {
  MasterProcess& master = *masters.back();
  if (!master.alive()) {
    return;
  }
  injected(fault);
  checker.trouble_everyone();
  if (fault == Fault::master_restart) {
    restart_master(Remembers::all);
    return;
  }
  const Duration length = random.one_in(2) ? up_to(kSecond) : up_to(10 * kSecond);
  network.stall(master.process(), clock.now() + length);
  tell("the master stands still for " + std::to_string(length / kMillisecond) + " ms");
  if (options.has_store && random.one_in(2)) {
    // A second one takes over; the first wakes up and can change nothing.
    clock.after(up_to(length), [this] { start_master(true); });
  }
}

void World::restart_master(Remembers remembers) {
  MasterProcess& master = *masters.back();
  const bool weaker = remembers != Remembers::all;
  if (!options.has_store || weaker) {
    checker.excuse_everyone(clock.now() + kAftermath);  // it forgets whom it could not hear (protocol 7)
  }
  if (random.one_in(3)) {
    master.crash();
  } else {
    master.crash_soon(static_cast<int>(random.below(12)));
  }
  const Duration pause = up_to(random.one_in(4) ? 8 * kSecond : kSecond);
  clock.after(pause, [this, remembers, weaker] {
    for (const auto& each : masters) {
      if (each->alive() && (weaker || each == masters.back())) {
        each->crash();
      }
    }
    if (remembers == Remembers::nothing) {
      tell("the store is lost");
      store.lose();
    } else if (remembers == Remembers::less) {
      tell("an older copy is put into the store");
      store.go_back();
    }
    start_master(true);
  });
}

void World::record_was_emptied() {
  if (!store.was_lost()) {
    throw Violation("a master empties a record that has forgotten nothing");
  }
  checker.excuse_everyone(clock.now() + kAftermath);  // the next one goes on with those who know most
}

void World::inject_store(Fault fault) {
  MasterProcess& master = *masters.back();
  if (!master.alive()) {
    return;
  }
  injected(fault);
  checker.trouble_everyone();
  const Time until = clock.now() + up_to(10 * kSecond);
  const std::string length = " for " + std::to_string((until - clock.now()) / kMillisecond) + " ms";
  if (fault == Fault::store_lies) {
    tell("the store lies" + length);
    store.lie_until(until);
  } else if (fault == Fault::store_full) {
    tell("the store is full" + length);
    store.be_full_until(until);
  } else if (fault == Fault::store_lost) {
    restart_master(Remembers::nothing);
  } else if (fault == Fault::store_old) {
    restart_master(Remembers::less);
  } else {
    master.lose_lease();
  }
}

void World::heal() {
  healed = true;
  faults_done_ = true;
  network.heal();
  store.heal();
  bool master = false;
  for (const auto& each : masters) {
    master = master || (each->alive() && each == masters.back());
  }
  if (!master) {
    start_master(true);
  }
  tell("everything is healed");
}

}  // namespace seaway::sim
