#include "sim/peer_process.h"

#include <algorithm>
#include <cstring>

#include "base/mark.h"
#include "sim/master_process.h"
#include "sim/world.h"

namespace seaway::sim {

namespace {

constexpr std::uint64_t kPumpsPerCheck = 32;

core::PeerConfig config_of(const World& world, const Site& site, PeerId id) {
  core::PeerConfig config;
  config.run = {1, world.options.seed};
  config.uuid = site.uuid;
  config.id = id;
  config.name = "h" + std::to_string(site.host) + "." + std::to_string(site.lives);
  config.replica = site.replica;
  config.lane = site.lane;
  config.lanes = world.options.lanes;
  config.min_world = world.options.replicas;
  config.addresses = {std::to_string(site.host)};
  if (const std::vector<std::string>& labels = world.options.sites; !labels.empty()) {
    config.site = labels[site.host % labels.size()];
  }
  config.data_connections = world.options.data_connections;
  config.limits = world.options.limits;
  // Chunks and the one-shot bound enter the plan, so they are everybody's. What a member can hold is its own.
  Random own(world.options.seed ^ site.host);
  if (own.one_in(3)) {
    config.limits.eager_bytes = own.below(300);
    config.limits.kept_bytes = own.below(2000);
    config.limits.window_bytes = own.between(1, 2000);
  }
  config.ladder = world.ladder;
  return config;
}

}  // namespace

PeerProcess::PeerProcess(World& world, Site& site, PeerId id, std::uint64_t seed)
    : world_(&world),
      site_(&site),
      id_(id),
      peer_(config_of(world, site, id), Random(seed)),
      program_(world, *this),
      rates_(id),
      process_(world.network.add(site.host, this)) {}

void PeerProcess::start() {
  peer_.join(world_->clock.now());
  if (world_->options.measures) {
    measure();
  }
  pump();
}

// What its line carries: a machine has a fast one or a slow one, and now and then it changes.
void PeerProcess::measure() {
  constexpr std::uint32_t kRates[] = {10, 40, 80, 100, 100};
  peer_.measured(rates_.one_in(6) ? 0 : kRates[rates_.below(std::size(kRates))]);
  later(static_cast<Duration>(rates_.between(500, 6'000)) * kMillisecond, [this] { measure(); });
}

void PeerProcess::later(Duration delay, std::function<void()> what) {
  world_->network.in(process_, delay, [this, what = std::move(what)] {
    if (alive_) {
      what();
      pump();
    }
  });
}

void PeerProcess::crash(bool silently) {
  if (!alive_) {
    return;
  }
  alive_ = false;
  world_->tell(peer_.roster().empty() ? "a joining peer dies" : "peer h" + std::to_string(site_->host) + " dies");
  world_->checker.on_death(*this);
  world_->network.remove(process_, silently);
  Site* site = site_;
  World* world = world_;
  world->clock.after(0, [world, site] { world->bury(*site); });
}

bool PeerProcess::dies_here() {
  if (crash_after_ >= 0 && crash_after_-- == 0) {
    crash(false);
    return true;
  }
  return false;
}

void PeerProcess::leave() {
  if (is_member()) {
    world_->tell("peer h" + std::to_string(site_->host) + " leaves");
    site_->finished = true;
    program_.stop();
    program_.expect_failures();  // it cancels what it has open
    peer_.leave(world_->clock.now());
    pump();
  }
}

// --- Effects --------------------------------------------------------------------------------------------------------

void PeerProcess::pump() {
  if (!alive_ || pumping_) {
    pump_again_ = true;
    return;
  }
  pumping_ = true;
  do {
    pump_again_ = false;
    std::vector<collective::EngineEffect> rest;
    peer_.drain_engine(rest, world_->clock.now());
    const std::vector<core::PeerEffect> effects = peer_.take_effects();
    pump_again_ = !rest.empty() || !effects.empty();
    for (const core::PeerEffect& effect : effects) {
      if (!alive_ || dies_here()) {
        return;
      }
      perform(effect);
    }
    for (const collective::EngineEffect& effect : rest) {
      if (!alive_ || dies_here()) {
        return;
      }
      perform(effect);
    }
    start_jobs();
  } while (pump_again_);
  std::vector<ConnId> conns;
  peer_.engine().take_stirred(conns);
  for (const ConnId conn : conns) {
    send_frames(conn);
  }
  start_jobs();  // to send has made some
  pumping_ = false;
  // Often enough that a broken invariant is seen near its cause.
  if (++pumps_ % kPumpsPerCheck == 0) {
    peer_.check_invariants();
  }
  schedule_tick();
  exit_if_over();
}

void PeerProcess::schedule_tick() {
  const Time due = peer_.deadline();
  if (due >= tick_at_) {
    return;  // what is under way comes early enough; it looks again
  }
  tick_at_ = due;
  const Time now = world_->clock.now();
  world_->network.in(process_, due > now ? due - now : 0, [this, due] {
    if (alive_ && tick_at_ == due) {
      tick_at_ = kNever;
      if (peer_.deadline() <= world_->clock.now()) {
        peer_.tick(world_->clock.now());
        pump();
      } else {
        schedule_tick();
      }
    }
  });
}

void PeerProcess::exit_if_over() {
  if (alive_ && over_ && peer_.engine().idle()) {
    check();
    alive_ = false;
    world_->network.remove(process_, false);
    Site* site = site_;
    World* world = world_;
    world->clock.after(0, [world, site] { world->bury(*site); });
  }
}

void PeerProcess::perform(const core::PeerEffect& effect) {
  if (std::holds_alternative<core::ConnectMaster>(effect)) {
    master_ = world_->network.connect(process_, 0);
    master_reading_.clear();
  } else if (const auto* send = std::get_if<core::SendToMaster>(&effect)) {
    if (master_up_) {
      world_->network.send(master_, process_, wire::encode(send->message));
    }
  } else if (std::holds_alternative<core::CloseMaster>(effect)) {
    world_->network.close(master_, process_);
    master_ = 0;
    master_up_ = false;
  } else if (const auto* dial_effect = std::get_if<core::Dial>(&effect)) {
    dial(*dial_effect);
  } else if (const auto* unneeded = std::get_if<core::DropConnection>(&effect)) {
    if (const auto it = links_.find(unneeded->conn); it != links_.end()) {
      const auto [peer, control] = std::pair{it->second.peer, it->second.control};
      links_.erase(it);
      world_->network.close(unneeded->conn, process_);
      peer_.on_link_lost(peer, unneeded->conn, control, true, world_->clock.now());
    }
  } else if (const auto* close = std::get_if<core::CloseConnectionTo>(&effect)) {
    std::vector<ConnId> conns;
    for (const auto& [conn, link] : links_) {
      if (link.peer == close->peer) {
        conns.push_back(conn);
      }
    }
    for (const ConnId conn : conns) {
      links_.erase(conn);
      peer_.engine().on_lost(conn, world_->clock.now());
      world_->network.close(conn, process_);
    }
  } else if (const auto* joined = std::get_if<core::Joined>(&effect)) {
    world_->tell("peer h" + std::to_string(site_->host) + " is admitted");
    newcomer_ = joined->update_count > 0;
    unsynced_ = newcomer_ && peer_.taken()->stateful;
    program_.begin(joined->update_count);
  } else if (const auto* done = std::get_if<core::UpdateDone>(&effect)) {
    program_.updated(done->update_count);
  } else if (const auto* evicted = std::get_if<core::EvictedFromRun>(&effect)) {
    world_->tell("peer h" + std::to_string(site_->host) + " is evicted: " + evicted->reason);
    world_->checker.on_evicted(*this, evicted->reason);
    program_.stop();
    over_ = true;
  } else if (const auto* refused = std::get_if<core::JoinRefused>(&effect)) {
    world_->tell("peer h" + std::to_string(site_->host) + " is refused: " + refused->reason);
    if (refused->reason.find("is taken by") != std::string::npos) {  // a machine has one life at a time
      throw Violation("promise 8: h" + std::to_string(site_->host) + " comes back and is refused: " + refused->reason);
    }
    over_ = true;
  } else if (std::holds_alternative<core::JoinAnew>(effect)) {
    world_->tell("peer h" + std::to_string(site_->host) + " joins anew");
    over_ = true;
  } else if (std::holds_alternative<core::LeftRun>(effect)) {
    world_->checker.on_left(*this);
    over_ = true;
  } else if (const auto* log = std::get_if<core::LogLine>(&effect)) {
    world_->tell("h" + std::to_string(site_->host) + ": " + log->text);
  }
}

void PeerProcess::perform(const collective::EngineEffect& effect) {
  World& world = *world_;
  if (const auto* end = std::get_if<collective::OpEnded>(&effect)) {
    ended(*end);
  } else if (const auto* released = std::get_if<collective::Release>(&effect)) {
    // Until then connections go on reading and writing where they did: like threads in the middle of a system call.
    later(world.up_to(world.options.release_delay), [this, release_effect = *released] {
      release(release_effect);
      peer_.engine().on_released(release_effect.op, world_->clock.now());
    });
  } else if (const auto* free = std::get_if<collective::FreeSlot>(&effect)) {
    slots_.erase(free->slot);
    freed_.insert(free->slot);
  } else if (const auto* held = std::get_if<collective::HoldResult>(&effect)) {
    Memory& memory = memory_[held->op];
    memory.scratch.resize(held->scratch_bytes, std::byte{0xBB});
    memory.coded_out.resize(held->coded_bytes, std::byte{0xDD});
    later(world.up_to(world.options.release_delay),
          [this, op = held->op] { peer_.engine().on_released(op, world_->clock.now()); });
  } else if (const auto* unheld = std::get_if<collective::FreeHeld>(&effect)) {
    memory_.erase(unheld->op);  // whoever uses it now is found out
  } else if (const auto* close = std::get_if<collective::CloseLinkConnection>(&effect)) {
    world.tell("h" + std::to_string(site_->host) + " closes a connection: " + close->reason);
    close_link(close->conn, false);
  }
}

void PeerProcess::ended(const collective::OpEnded& end) {
  Memory& memory = memory_.at(end.op);
  memory.ended = true;
  memory.result = end.result;
  const bool success = end.result.outcome == collective::Outcome::committed;
  if (world_->verbose) {
    world_->tell("h" + std::to_string(site_->host) + ": " + collective::describe(memory.descriptor) + " is " +
                 name_of(end.result.outcome) +
                 (success ? " over " + std::to_string(end.result.contributors.size()) + " contributors" : "") +
                 (end.result.attempts > 1 ? ", " + std::to_string(end.result.attempts) + " attempts" : "") +
                 (end.result.reason.empty() ? "" : ": " + end.result.reason));
  }
  const collective::Descriptor& posted = memory.descriptor;
  const bool has_data =
      collective::has_source(posted.kind) && (posted.has_data || posted.root == id_);  // nothing is written
  world_->checker.on_ended(*this, memory.planned, posted, end.result,
                           success && (posted.in_place || has_data) ? memory.input : memory.output);
  if (!(success && memory.descriptor.in_place) && memory.input != memory.original) {
    throw Violation("promise 4: an input has changed, op " + world_->checker.text_of(end.result.op) + " " +
                    name_of(end.result.outcome) + " at h" + std::to_string(site_->host));
  }
  const auto is_untouched = [](std::byte byte) { return byte == std::byte{0xAA}; };
  if (posted.transaction != 0 && !success && !std::ranges::all_of(memory.output, is_untouched)) {
    throw Violation("an output was written to by a transaction that has not committed, op " +
                    world_->checker.text_of(end.result.op));
  }
  world_->checker.on_residual(*this, memory.planned, posted, end.result, memory.residual);
  memory.final_input = memory.input;
  memory.final_output = memory.output;
  program_.ended(end.op, end.result);
}

// --- The program's calls --------------------------------------------------------------------------------------------

std::optional<OpHandle> PeerProcess::post(const collective::Descriptor& descriptor, const PlannedOp& planned) {
  return post(descriptor, planned,
              input_of(world_->options.seed, descriptor.has_data ? descriptor.root : id_, planned, descriptor));
}

std::optional<OpHandle> PeerProcess::post(const collective::Descriptor& descriptor, const PlannedOp& planned,
                                          std::vector<std::byte> input) {
  const collective::Posted posted = peer_.engine().post(descriptor, world_->clock.now());
  if (posted.error != collective::PostError::none) {
    return std::nullopt;
  }
  Memory& memory = memory_[posted.op];
  memory.posted = true;
  memory.descriptor = descriptor;
  memory.planned = planned;
  memory.input = std::move(input);
  memory.original = memory.input;
  const bool gathers = descriptor.kind == collective::OpKind::all_gather;
  std::uint64_t count = descriptor.count * (gathers ? descriptor.blocks : 1);
  for (const collective::Share& share : descriptor.receives) {
    count += share.count;
  }
  memory.output.resize(count * size_of(descriptor.dtype), std::byte{0xAA});
  memory.coded_in.resize(copied_bytes(descriptor), std::byte{0xCC});
  memory.coded_out.resize(coded_bytes(descriptor, descriptor.down), std::byte{0xDD});
  memory.partial.resize(partial_bytes(descriptor), std::byte{0xEE});
  memory.residual = residual_of(world_->options.seed, id_, planned, descriptor);
  if (collective::lands_in_scratch(descriptor)) {
    memory.scratch.resize(descriptor.in_place ? memory.input.size() : memory.output.size(), std::byte{0xBB});
  }
  if (world_->verbose) {
    world_->tell("h" + std::to_string(site_->host) + " posts op " + std::to_string(planned.update) + "." +
                 std::to_string(planned.index) + ": " + collective::describe(descriptor) + ", tag " +
                 std::to_string(descriptor.tag));
  }
  world_->checker.on_post(*this, planned, descriptor, memory.input);
  if (planned.index < kFirstSyncOp) {
    if (unsynced_) {
      world_->checker.must_not_contribute(planned, id_);
    }
    if (newcomer_) {
      world_->checker.posted_by_newcomer(planned, id_);
    }
    if (synced_) {
      world_->checker.posted_by_synced(planned, id_);
    }
  }
  return posted.op;
}

void PeerProcess::update() {
  peer_.update(world_->clock.now());
  pump();
}

void PeerProcess::synced(std::uint64_t revision) {
  unsynced_ = newcomer_ = false;
  synced_ = true;
  peer_.synced(revision, world_->clock.now());
  program_.synced();
}

void PeerProcess::close_transaction(OpHandle transaction) {
  peer_.engine().close_transaction(transaction, world_->clock.now());
}

void PeerProcess::cancel(OpHandle op) { peer_.engine().cancel(op, "a test cancels it", world_->clock.now()); }

void PeerProcess::check() const {
  peer_.check_invariants();
  for (const auto& [op, memory] : memory_) {
    if (memory.ended && (memory.input != memory.final_input || memory.output != memory.final_output)) {
      throw Violation("promise 4: a buffer was written to after its op had ended");
    }
  }
}

// --- Connections ----------------------------------------------------------------------------------------------------

void PeerProcess::on_connected(ConnId conn) {
  if (conn == master_) {
    master_up_ = true;
    peer_.on_master_connected(world_->clock.now());
  } else if (const auto it = links_.find(conn); it != links_.end()) {
    send_hello(conn, it->second);
  }
  pump();
}

void PeerProcess::on_connect_failed(ConnId conn) {
  if (conn == master_) {
    master_ = 0;
    peer_.on_master_lost(world_->clock.now());
  } else if (const auto it = links_.find(conn); it != links_.end()) {
    const LinkConn link = it->second;
    links_.erase(it);
    peer_.on_dial_failed(link.peer, link.control, world_->clock.now(), link.relay != kNoPeer);
  }
  pump();
}

void PeerProcess::on_accepted(ConnId conn) { links_[conn]; }

void PeerProcess::on_bytes(ConnId conn, std::span<const std::byte> bytes) {
  if (conn == master_) {
    read_master(bytes);
  } else if (links_.contains(conn)) {
    read_frames(conn, bytes);
  } else if (const auto it = relayed_.find(conn); it != relayed_.end() && it->second.other != 0) {
    std::vector<std::byte>& out = relayed_.at(it->second.other).out;
    out.insert(out.end(), bytes.begin(), bytes.end());
    flush_relayed(it->second.other);
  }
}

void PeerProcess::on_writable(ConnId conn) {
  flush_relayed(conn);
  send_frames(conn);
  start_jobs();
  schedule_tick();
}

void PeerProcess::on_closed(ConnId conn) {
  if (conn == master_) {
    master_ = 0;
    master_up_ = false;
    peer_.on_master_lost(world_->clock.now());
  } else if (links_.contains(conn)) {
    close_link(conn, true);
  } else {
    relayed_closed(conn);
  }
  pump();
}

void PeerProcess::read_master(std::span<const std::byte> bytes) {
  std::vector<std::byte>& reading = master_reading_;
  reading.insert(reading.end(), bytes.begin(), bytes.end());
  const ConnId conn = master_;
  while (alive_ && master_ == conn && reading.size() >= wire::kControlHeaderBytes) {
    std::uint32_t length = 0;
    std::memcpy(&length, reading.data(), sizeof length);
    if (reading.size() < wire::kControlHeaderBytes + length) {
      return;
    }
    const auto message = wire::decode_master_message(std::span(reading).subspan(wire::kControlHeaderBytes, length));
    if (!message) {
      throw Violation("a peer cannot read what the master wrote");
    }
    reading.erase(reading.begin(), reading.begin() + wire::kControlHeaderBytes + length);
    peer_.on_master_message(*message, world_->clock.now());
    pump();
  }
}

}  // namespace seaway::sim
