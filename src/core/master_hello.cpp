// HELLO, JOIN, and what each message of a known peer changes. Nothing is decided here.
//
// HELLO, first row that fits:
//
// | HELLO                                                   | then                                                   |
// |---------------------------------------------------------|--------------------------------------------------------|
// | version ranges do not meet, no incarnation, another run | REFUSED                                                |
// | incarnation known under another uuid                    | REFUSED                                                |
// | names an epoch that contradicts itself                  | REFUSED: what it says may become everybody's           |
// | any other                                               | the older connection of that incarnation is closed     |
// | .. of a member, pending or returning peer               | its connection; EPOCH is said again; a promise that    |
// |                                                         | answers no open ask will be cancelled (G15)            |
// | .. of an incarnation that is over, or that names an     | EVICTED, once a roster without it is durable           |
// |    epoch of this run and is not in the roster           |                                                        |
// | .. that names an epoch, and I know none                 | returning: the run is adopted (master_start.cpp)       |
// | .. of a stranger                                        | has to say JOIN                                        |
//
// JOIN: (replica, lane) taken by another uuid, other L, full -> REFUSED. Taken by the same uuid: that incarnation is
// dead for sure (one uuid lives once), it goes at once and the newcomer is pending.
//
// A connection that belongs to no peer is closed after 5 s, and at once when 256 newer ones do not either.
//
// A message that means nothing where it comes (a REPORT of a pending peer, a PROMISE that nobody asked for) is ignored:
// it is what a healthy peer's message looks like after things have moved on.
#include <algorithm>
#include <utility>

#include "core/coherent.h"
#include "core/master_state.h"

namespace seaway::core {

// Silence is judged only by a master that hears: when nothing at all was heard for `suspect` (it was paused, its own
// network was down, it has just started), that says nothing about anyone, and everyone gets a fresh start. Strangers
// prove nothing: whoever says HELLO over and over may be on the master's own machine while the network is down. Newcomers
// count: when every member has died, the run goes on with those who wait to be admitted.
void Master::State::hear(Member& m) {
  if (now - heard_anyone > config.ladder.suspect) {
    give_everyone_fresh_grace();
  }
  heard_anyone = now;
  m.heard = now;
}

// --- Strangers ------------------------------------------------------------------------------------------------------

// Who is to hear EVICTED waits for a write, and is closed then.
bool Master::State::is_stranger(const Connection& connection) const {
  return connection.farewell.empty() && find(connection.peer) == nullptr;
}

bool Master::is_stranger(ConnId conn) const {
  const auto found = state_->connections.find(conn);
  return found == state_->connections.end() || state_->is_stranger(found->second);
}

// Whoever was let in for an opening may say nothing more: for so long, and so many at once.
bool Master::State::drop_strangers() {
  std::size_t count = 0;
  std::pair<Time, ConnId> oldest{kNever, 0};
  for (const auto& [conn, connection] : connections) {
    if (is_stranger(connection)) {
      ++count;
      oldest = std::min(oldest, {connection.since, conn});
    }
  }
  const bool late = count > 0 && now - oldest.first >= kStrangerPatience;
  if (!late && count <= kMaxStrangers) {
    return false;
  }
  close(oldest.second, late ? "it did not say HELLO and JOIN in time"
                            : "made room for a newer connection before it said HELLO and JOIN");
  return true;
}

// --- HELLO ----------------------------------------------------------------------------------------------------------

std::string Master::State::why_refused(const wire::Hello& hello) const {
  if (hello.version_low > wire::kWireVersion || hello.version_high < wire::kWireVersion) {
    return "the peer speaks wire versions " + std::to_string(hello.version_low) + " to " +
           std::to_string(hello.version_high) + ", this master " + std::to_string(wire::kWireVersion) + " to " +
           std::to_string(wire::kWireVersion) + ": use versions of seaway that overlap";
  }
  if (hello.id == kNoPeer) {
    return "HELLO names no incarnation";
  }
  if (hello.run != Uuid{} && run.run != Uuid{} && hello.run != run.run) {
    return "the peer belongs to another run than this master's";
  }
  if (const Member* m = find(hello.id); m != nullptr && m->info.uuid != hello.uuid) {
    return "this incarnation is known under another uuid";
  }
  if (hello.taken && !formed()) {
    const auto& roster = hello.taken->roster;
    const bool listed = std::any_of(roster.begin(), roster.end(), [&](const wire::MemberInfo& info) {
      return info.id == hello.id && info.uuid == hello.uuid;
    });
    if (!listed || hello.taken->epoch.number == 0) {
      return "HELLO names an epoch whose roster does not list the peer";
    }
  }
  // What this peer says may become everybody's, or make a master empty its record.
  if (hello.taken) {
    if (const std::string reason = why_incoherent(*hello.taken); !reason.empty()) {
      return "HELLO names an epoch that no master has written: " + reason;
    }
  }
  return "";
}

void Master::State::on_hello(ConnId conn, Connection& connection, const wire::Hello& hello) {
  if (connection.peer != kNoPeer) {
    close(conn, "HELLO was said twice on one connection");
    return;
  }
  std::string reason = why_refused(hello);
  if (reason.empty() && config.certificates) {
    reason = why_not_certified(connection, hello);
  }
  if (!reason.empty()) {
    refuse(conn, reason);
    return;
  }
  const auto older = std::find_if(connections.begin(), connections.end(),
                                  [&](const auto& entry) { return entry.second.peer == hello.id; });
  if (older != connections.end()) {
    SEAWAY_MARK("newer connection ends the older one");
    close(older->first, "a newer connection of this peer has taken its place");
  }
  if (!compare_epochs(conn, hello)) {
    return;
  }
  connection.peer = hello.id;
  connection.uuid = hello.uuid;
  connection.update_count = hello.update_count;
  if (Member* m = find(hello.id)) {
    attach(*m, conn, hello);
    compare_terms(*m, hello);
    return;
  }
  const auto over = departed.find(hello.id);
  // An incarnation is a member once. One that was lost without hearing of it comes back to members that have forgotten how
  // many frames they had sent it, and would drop what they number from 1 again.
  if (over != departed.end() || ((hello.taken || hello.was_addressed) && formed())) {
    SEAWAY_MARK("evicted incarnation says hello");
    connection.farewell =
        over != departed.end() ? over->second : "this incarnation is not in the roster any more: join as a new one";
    return;
  }
  if (hello.taken) {
    Member returning;
    returning.standing = Standing::returning;
    for (const wire::MemberInfo& info : hello.taken->roster) {
      if (info.id == hello.id) {
        returning.info = info;
      }
    }
    attach(members.emplace(hello.id, std::move(returning)).first->second, conn, hello);
    if (!collecting_since) {
      collecting_since = now;
    }
  }
}

void Master::State::attach(Member& m, ConnId conn, const wire::Hello& hello) {
  m.conn = conn;
  hear(m);
  m.closed_at.reset();
  m.told = Told{};
  m.update_count = std::max(m.update_count, hello.update_count);
  for (auto& [id, other] : members) {
    other.sees_closed.erase(m.info.id);  // it lives
  }
  if (m.standing == Standing::returning) {
    m.hello = hello;
  }
  // What it promised is what HELLO says; an answer read on an older connection would be the same or is void by now.
  m.promise.reset();
  m.cancel_due = false;
  if (hello.promise && answers_ask(*hello.promise)) {
    m.promise = hello.promise;
  } else if (MUTANT(g15_promise_not_cancelled, hello.promise.has_value(), false)) {
    if (hello.promise->joiners.empty()) {
      SEAWAY_MARK("promise to an ask for new rates outlives it");
    }
    m.cancel_due = true;
  }
}

// A peer that obeys a higher term than mine has heard another master. Who is right only the store can say; without one,
// the newer term is.
void Master::State::compare_terms(const Member& m, const wire::Hello& hello) {
  if (m.standing != Standing::member || !hello.taken || hello.taken->term <= run.term) {
    return;
  }
  const std::string finding = words_for(m.info) + " obeys term " + std::to_string(hello.taken->term);
  if (config.has_store) {
    doubt_the_store(finding + ", the store knows " + std::to_string(run.term));
  } else {
    step_down("another master has taken over: " + finding);
  }
}

// An epoch was durable before anybody took it. A member is believed. A stranger may be one that was admitted since the record
// was copied, or lie: it is neither believed nor evicted, unless no member has been heard for `evict`. False: it is gone.
bool Master::State::compare_epochs(ConnId conn, const wire::Hello& hello) {
  if (!config.has_store || !formed() || !hello.taken) {
    return true;
  }
  // One of my own term may be above it already: that hides none of an earlier term.
  const Epoch known = loaded && hello.taken->epoch.term < run.term ? *loaded : durable.epoch;
  if (hello.taken->epoch <= known) {
    return true;
  }
  const std::string finding = "a peer has taken " + seaway::core::words_for(hello.taken->epoch) + ", the store knows " +
                              seaway::core::words_for(known);
  if (member(hello.id) == nullptr && now < heard_anyone + config.ladder.evict) {
    close(conn, finding + "; it is no member, so a member has to say so");
    return false;
  }
  doubt_the_store(finding);
  return true;
}

void Master::State::doubt_the_store(const std::string& finding) {
  SEAWAY_MARK("peers know more than the store");
  log(finding);
  outdated = "the state was older than the run (" + finding +
             "); it was emptied: start again, and the run is taken over from its peers";
  dirty = true;
}

// --- JOIN -----------------------------------------------------------------------------------------------------------

std::string Master::State::why_refused(const wire::Join& join) const {
  if (join.lanes == 0 || join.lane >= join.lanes) {
    return "lane " + std::to_string(join.lane) + " of " + std::to_string(join.lanes) +
           " lanes: lanes are counted from 0, and there is at least one";
  }
  if (const std::uint16_t lanes = lanes_of_run(); lanes != 0 && lanes != join.lanes) {
    return "every replica of this run has " + std::to_string(lanes) + " lanes, this one says " +
           std::to_string(join.lanes);
  }
  if (members.size() >= kMaxMembers) {
    return "the run is full: " + std::to_string(kMaxMembers) + " peers";
  }
  return "";
}

void Master::State::drop_earlier_incarnation(const Connection& connection, const wire::Join& join) {
  std::vector<PeerId> earlier;
  for (auto& [id, m] : members) {
    if (m.info.uuid == connection.uuid && m.info.replica == join.replica && m.info.lane == join.lane) {
      earlier.push_back(id);
    }
  }
  for (const PeerId id : earlier) {
    SEAWAY_MARK("same uuid came back as a new incarnation");
    const std::string reason = "it came back as a new incarnation";
    if (Member& m = members.at(id); m.standing == Standing::pending) {
      erase(id, reason);
    } else {
      m.doomed = reason;
    }
  }
}

namespace {

// It is shown on terminals and written into logs.
std::string printable(std::string text) {
  for (char& letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    letter = code < 0x20 || code == 0x7f ? '?' : letter;
  }
  return text;
}

}  // namespace

void Master::State::on_join(ConnId conn, const wire::Join& join) {
  const Connection& connection = connections.at(conn);
  if (!connection.farewell.empty()) {
    return;
  }
  if (is_denied(connection.uuid)) {  // since its HELLO
    refuse(conn, kDenied);
    return;
  }
  if (Member* known = find(connection.peer)) {
    if (known->info.replica != join.replica || known->info.lane != join.lane) {
      close(conn, "JOIN names another replica or lane than before");
    } else if (known->standing == Standing::pending && known->info.addresses != join.addresses) {
      known->info.addresses = join.addresses;
      for (auto& [id, other] : members) {
        other.told.introduced.erase(connection.peer);
      }
    }
    return;
  }
  drop_earlier_incarnation(connection, join);
  if (const std::string reason = why_refused(join); !reason.empty()) {
    log("refused " + (join.name.empty() ? "a peer" : join.name) + ": " + reason);
    refuse(conn, reason);
    return;
  }
  Member m;
  m.info = wire::MemberInfo{.id = connection.peer,
                            .uuid = connection.uuid,
                            .name = printable(join.name),
                            .replica = join.replica,
                            .lane = join.lane,
                            .generation = 0,
                            .rate_mbps = join.rate_mbps,
                            .addresses = join.addresses,
                            .key = connection.certified ? connection.certified->key : KeyHash{},
                            .site = printable(join.site)};
  m.lanes = join.lanes;
  m.min_world = std::max<std::uint32_t>(join.min_world, 1);
  m.arrival = ++arrivals;
  m.joined = now;
  m.conn = conn;
  m.heard = now;
  members.emplace(connection.peer, std::move(m));
}

// --- Messages of peers with a standing ------------------------------------------------------------------------------

void Master::State::on_message(Member& m, const wire::Report& report) {
  const bool present = m.standing == Standing::member && report.term == run.term && report.epoch == run.epoch &&
                       m.told.epoch == std::pair(run.term, run.epoch);
  if (!present) {
    SEAWAY_MARK("report of another epoch ignored");
    return;
  }
  // An op that this member is no roster member of cannot be open at it; such an entry could only confuse the vote.
  wire::Report usable = report;
  std::erase_if(usable.ops, [&](const wire::OpReport& op) {
    return !in_roster_of(m.info, op.op) || op.op.generation > newest_generation();
  });
  if (usable.ops.size() != report.ops.size()) {
    log(words_for(m.info) + " reported ops that it has no part in; ignored");
  }
  m.report = std::move(usable);
  m.took = true;
}

void Master::State::on_message(Member& m, const wire::Linked& linked) {
  m.linked = std::set<PeerId>(linked.peers.begin(), linked.peers.end());
  for (const PeerId id : linked.peers) {
    m.sees_closed.erase(id);
  }
}

void Master::State::on_message(Member& m, const wire::Promised& promised) {
  if (m.standing == Standing::member && answers_ask(promised.promise)) {
    m.promise = promised.promise;
  } else {
    // The CANCEL that ended that ask stands behind it on this connection, so the peer is not kept waiting.
  }
}

void Master::State::on_message(Member& m, const wire::Mismatch& mismatch) {
  request_round(m, mismatch.op, Request{false, "its results differ, says " + words_for(m.info)});
}

void Master::State::on_message(Member& m, const wire::CancelOp& cancel) {
  request_round(
      m, cancel.op,
      Request{true, "cancelled by " + words_for(m.info) + (cancel.reason.empty() ? "" : ": " + cancel.reason)});
}

void Master::State::request_round(Member& m, const OpKey& op, Request request) {
  if (m.standing != Standing::member || !in_roster_of(m.info, op) || op.generation > newest_generation()) {
    log("no round for " + seaway::core::words_for(op) + ": " + words_for(m.info) + " has no part in it");
    return;
  }
  if (final_decision(op) != nullptr) {
    return;  // EPOCH or RESOLVE carries it
  }
  if (!run.resolved) {
    SEAWAY_MARK("request joined an unresolved cut");
  }
  Request& kept = m.requests[op];
  if (!kept.cancel) {  // who cancels does not take it back by seeing a mismatch
    kept = std::move(request);
  }
}

void Master::State::on_message(Member& m, const wire::Lost& lost) {
  Member* about = member(lost.peer);
  if (m.standing != Standing::member || about == nullptr || about == &m) {
    return;
  }
  const bool between_lanes = about->info.lane != m.info.lane;
  if (between_lanes && (about->info.replica != m.info.replica || lost.kind != wire::LostKind::stalled)) {
    return;
  }
  if (lost.kind == wire::LostKind::closed) {
    m.sees_closed[lost.peer] = now;
  } else {
    judge_stalled_edge(m, *about);
  }
}

void Master::State::on_message(Member& m, const wire::Leave&) {
  if (m.standing == Standing::pending) {
    erase(m.info.id, "it left before it was admitted");
    return;
  }
  m.leaving = true;  // takes effect when all lanes of its replica have said so (depart)
}

void Master::State::on_message(Member& m, const wire::Synced&) {
  if (m.standing == Standing::member && !run.stateful) {
    run.stateful = true;
    dirty = true;
  }
}

void Master::State::on_message(Member& m, const wire::Heartbeat& heartbeat) {
  send(*m.conn, wire::HeartbeatReply{heartbeat.stamp});
  m.update_count = std::max(m.update_count, heartbeat.update_count);
  m.oldest_generation = std::max(m.info.generation, heartbeat.oldest_generation);
  m.links = heartbeat.links;
  m.open_ops = heartbeat.open_ops;
  m.measured_mbps = heartbeat.rate_mbps;
  for (const OpKey& op : heartbeat.finished) {
    if (final_decision(op) != nullptr && in_roster_of(m.info, op)) {
      m.finished.insert(op);
    }
  }
}

}  // namespace seaway::core
