// Links: who dials whom, who may connect, what is said about it.
//
// A link is one control and K data connections to another peer of my lane, a member or an introduced one. K is what
// the side that dials wants. To a sibling, another lane of my replica, K is 0: transactions need a word from it
// (collective/engine_transaction.cpp), and there is no data between lanes. No relay serves it, for what lives and dies together
// stands together.
//
// Who dials (the first row that fits; a pending peer is newer than every member):
//
//   I dialled one of its connections before    I do: what worked works again, and a lost connection is its dialler's
//   the other one is older (by generation)     I do: newcomers dial members
//   the other one is as old as I am            the one with the larger id
//   otherwise                                  the other one; I too once there was no connection for `suspect`: either
//                                              side may be the one that can be reached. If neither can: peer_relays.cpp
//
// A missing connection is dialled at once, after a failure with backoff (100 ms, doubled up to 5 s) and jitter. After
// the loss of one that the other side dialled, the other side has `suspect` to dial first.
//
// How long a link is kept:
//
//   in the roster of my lane                   always, connected or not
//   introduced, not in the roster              while connected, and for `forming` and `evict` without a connection
//   taken out of the roster by an EPOCH        ends: engine.forget, CloseConnectionTo
//   introduced as a member, not in an EPOCH    ends: it left while I was joining
//
// LOST (closed): once per connection to the master and loss, when a member's last connection went by FIN or RST and
// none went by silence since it last connected; when it is back, LINKED takes that back. LINKED, while joining: when
// the set is complete or shrinks, and otherwise with the heartbeat if it changed. Of a sibling no LOST (closed) is said: its death
// is witnessed in its own lane.
#include <algorithm>

#include "base/assert.h"
#include "base/mark.h"
#include "core/peer.h"

namespace seaway::core {

namespace {

constexpr Duration kHeartbeatsOfBackoff = 10;        // the longest backoff of a dial: 5 s
constexpr Duration kHeartbeatsWhileRelayed = 120;    // the same while a relay does: a minute
constexpr std::size_t kMaxIntroduced = kMaxMembers;  // links to peers that are not members
constexpr std::size_t kMaxConnectionsPerLink = 128;  // both sides may have dialled a whole link of 64

std::string named(const wire::MemberInfo& info) {
  std::string text = "peer " + std::to_string(info.id) + (info.name.empty() ? "" : " (" + info.name + ")") + " at ";
  for (const std::string& address : info.addresses) {
    text += (text.ends_with(" at ") ? "" : ", ") + address;
  }
  return info.addresses.empty() ? text + "no address" : text;
}

}  // namespace

// --- Who is linked --------------------------------------------------------------------------------------------------

void Peer::introduce(const wire::MemberInfo& info, Time now) {
  if (info.id == kNoPeer || info.id == config_.id || !links_to(info)) {
    return;
  }
  const auto known = links_.find(info.id);
  if (known != links_.end()) {
    if (!known->second.member) {
      known->second.info = info;
    }
    return;
  }
  const auto introduced =
      std::count_if(links_.begin(), links_.end(), [](const auto& entry) { return !entry.second.member; });
  if (static_cast<std::size_t>(introduced) >= kMaxIntroduced) {
    log("not linked to " + named(info) + ": too many newcomers at once");
    return;
  }
  Link& link = links_[info.id];
  link.info = info;
  link.sibling = is_sibling(info);
  link.empty_since = now;
  link.cut_since = now;
}

// After an EPOCH: a link for every member of my lane and of my replica, none for those who were members and are not.
void Peer::relink(const std::vector<wire::MemberInfo>& before, Time now) {
  for (auto& [peer, link] : links_) {
    link.member = false;
  }
  for (const wire::MemberInfo& member : taken_->roster) {
    if (member.id == config_.id || !links_to(member)) {
      continue;
    }
    const auto [entry, added] = links_.try_emplace(member.id);
    entry->second.info = member;
    entry->second.sibling = is_sibling(member);
    entry->second.member = true;
    if (added) {
      entry->second.empty_since = now;
      entry->second.cut_since = now;
    }
  }
  std::vector<PeerId> gone;
  for (const auto& [peer, link] : links_) {
    if (link.member) {
      continue;
    }
    const auto was_in = [id = peer](const wire::MemberInfo& member) { return member.id == id; };
    if (link.info.generation != 0 || std::any_of(before.begin(), before.end(), was_in)) {
      gone.push_back(peer);
    }
  }
  for (const PeerId peer : gone) {
    forget(peer, "not a member any more", now);
  }
}

void Peer::forget(PeerId peer, const std::string& reason, Time now) {
  links_.erase(peer);
  engine_.forget(peer, now);
  effects_.emplace_back(CloseConnectionTo{peer, reason});
}

// --- Connections ----------------------------------------------------------------------------------------------------

// "" or why it is nobody to have a connection with.
std::string Peer::not_known(const wire::LinkHello& hello, const std::optional<Certified>& certified) const {
  if (hello.version != wire::kWireVersion) {
    return "wire version " + std::to_string(hello.version) + ", here " + std::to_string(wire::kWireVersion);
  }
  if (hello.run != config_.run && hello.run != Uuid{} && config_.run != Uuid{}) {
    return "another run";
  }
  if (stage_ == PeerStage::idle || stage_ == PeerStage::gone) {
    return "this peer is not in the run";
  }
  const auto link = links_.find(hello.from);
  if (link == links_.end()) {
    return "peer " + std::to_string(hello.from) + " is neither a member of this lane nor introduced";
  }
  if (config_.certificates) {
    const wire::MemberInfo& info = link->second.info;
    if (!certified || certified->uuid != info.uuid || certified->id != info.id || certified->key != info.key) {
      return "the certificate that was shown is not that of peer " + std::to_string(hello.from);
    }
  }
  return "";
}

std::string Peer::accept(const wire::LinkHello& hello, const std::optional<Certified>& certified, Time) {
  if (hello.to != config_.id) {
    return "peer " + std::to_string(hello.to) + " is not here: this is " + std::to_string(config_.id);
  }
  if (std::string refusal = not_known(hello, certified); !refusal.empty()) {
    return refusal;
  }
  if (links_.at(hello.from).connections.size() >= kMaxConnectionsPerLink) {
    return "too many connections from peer " + std::to_string(hello.from);
  }
  return "";
}

void Peer::on_linked(PeerId peer, ConnId conn, bool control, bool dialled, Time now, bool relayed) {
  const auto entry = links_.find(peer);
  if (entry == links_.end()) {  // it was forgotten while the hellos were under way
    effects_.emplace_back(CloseConnectionTo{peer, "not a member any more"});
    return;
  }
  Link& link = entry->second;
  if (dialled) {
    Dialling& dialling = link.dialling(control, relayed);
    dialling.under_way -= std::min(dialling.under_way, 1u);
    dialling.backoff = 0;
    link.dialled_before = link.dialled_before || !relayed;
  }
  const Connection connection{.control = control, .dialled = dialled, .relayed = relayed};
  const bool added = link.connections.emplace(conn, connection).second;
  SEAWAY_ASSERT(added, "a connection is linked once");
  if (count(link, control) > 0) {
    close_relayed(link, control);
  }
  link.was_linked = true;
  link.silent = false;
  link.given_up_said = false;
  engine_.attach(peer, conn, control, now);
  settle(now);
}

void Peer::on_dial_failed(PeerId peer, bool control, Time now, bool relayed) {
  const auto entry = links_.find(peer);
  if (entry == links_.end()) {
    return;
  }
  Link& link = entry->second;
  Dialling& dialling = link.dialling(control, relayed);
  dialling.under_way -= std::min(dialling.under_way, 1u);
  if (relayed) {
    relay_failed(peer, dialling, now);
  } else {
    const Duration heartbeats = link.connections.empty() ? kHeartbeatsOfBackoff : kHeartbeatsWhileRelayed;
    dialling.backoff = longer(dialling.backoff, heartbeats * ladder().heartbeat);
    dialling.next = now + jittered(dialling.backoff);
  }
  settle(now);
}

void Peer::on_link_lost(PeerId peer, ConnId conn, bool control, bool closed, Time now) {
  const auto entry = links_.find(peer);
  if (entry == links_.end()) {
    return;  // forgotten: the engine knows nothing of it any more
  }
  Link& link = entry->second;
  const auto lost = link.connections.find(conn);
  if (lost == link.connections.end()) {
    return;
  }
  const bool was_cut = is_cut(link);
  if (!lost->second.relayed) {
    Dialling& dialling = link.dialling(control, false);
    dialling.next = now + (lost->second.dialled ? jittered(longer(0, ladder().heartbeat)) : ladder().suspect);
  }
  link.connections.erase(lost);
  link.silent = link.silent || !closed;
  if (link.connections.empty()) {
    link.empty_since = now;
  }
  if (!was_cut && is_cut(link)) {
    link.cut_since = now;
  }
  engine_.on_lost(conn, now);
  settle(now);
}

// --- Dialling -------------------------------------------------------------------------------------------------------

// Older peers have lower ages; those who are not admitted yet are the youngest.
std::uint32_t Peer::age(std::uint32_t generation) { return generation == 0 ? UINT32_MAX : generation; }

bool Peer::is_sibling(const wire::MemberInfo& info) const {
  return info.replica == config_.replica && info.lane != config_.lane;
}

bool Peer::dials_by_rule(const Link& link) const {
  const std::uint32_t mine = age(admitted_in_);
  const std::uint32_t theirs = age(link.info.generation);
  return mine != theirs ? mine > theirs : config_.id > link.info.id;
}

bool Peer::dials(const Link& link, Time now) const {
  return link.dialled_before || dials_by_rule(link) || (is_cut(link) && now >= link.cut_since + ladder().suspect);
}

std::uint32_t Peer::wanted(const Link& link, bool control) const {
  if (link.sibling) {
    return control ? 1 : 0;
  }
  if (control || !config_.more_connections) {
    return control ? 1 : config_.data_connections;
  }
  const std::uint32_t by_the_other = engine_.offered_by(link.info.id).connections;
  return std::min(std::max({config_.data_connections, link.wanted, by_the_other}), kMaxDataConnections);
}

void Peer::want_connections(PeerId peer, std::uint32_t data_connections, Time now) {
  const auto it = links_.find(peer);
  if (it != links_.end() && it->second.wanted != data_connections) {
    it->second.wanted = data_connections;
    settle(now);
  }
}

std::uint32_t Peer::count(const Link& link, bool control) {
  return static_cast<std::uint32_t>(
      std::count_if(link.connections.begin(), link.connections.end(),
                    [&](const auto& entry) { return entry.second.control == control && !entry.second.relayed; }));
}

bool Peer::can_run(const Link& link) {
  return (count(link, true) > 0 || is_relayed(link, true)) &&
         (link.sibling || count(link, false) > 0 || is_relayed(link, false));
}

void Peer::dial_missing(PeerId peer, Link& link, bool control, Time now) {
  Dialling& dialling = link.dialling(control, false);
  if (now < dialling.next) {
    return;
  }
  for (std::uint32_t there = count(link, control) + dialling.under_way; there < wanted(link, control); ++there) {
    if (!link.dialled_before && !dials_by_rule(link)) {
      SEAWAY_MARK("redial by the other side");
    }
    ++dialling.under_way;
    effects_.emplace_back(Dial{.peer = peer, .addresses = link.info.addresses, .control = control});
  }
}

void Peer::settle_links(Time now) {
  const Ladder& rungs = ladder();
  std::vector<PeerId> stale;
  for (auto& [peer, link] : links_) {
    const bool empty = link.connections.empty();
    if (empty && !link.member && now >= link.empty_since + rungs.forming + rungs.evict) {
      stale.push_back(peer);
      continue;
    }
    if (empty && !link.given_up_said && now >= link.empty_since + rungs.reconnect) {
      link.given_up_said = true;
      log("no connection to " + named(link.info) + "; still trying");
    }
    say_lost(peer, link);
    say_back(link);
    if (dials(link, now)) {
      dial_missing(peer, link, true, now);
      dial_missing(peer, link, false, now);
    }
    dial_relay(peer, link, true, now);
    dial_relay(peer, link, false, now);
  }
  for (const PeerId peer : stale) {
    forget(peer, "introduced, and neither linked nor admitted in time", now);
  }
  say_linked(false);
}

// When settle_links has something to do for this link.
Time Peer::link_deadline(const Link& link) const {
  const Ladder& rungs = ladder();
  Time due = kNever;
  if (link.connections.empty()) {
    if (!link.member) {
      due = std::min(due, link.empty_since + rungs.forming + rungs.evict);
    }
    if (!link.given_up_said) {
      due = std::min(due, link.empty_since + rungs.reconnect);
    }
  }
  Time from = 0;  // I may dial from then on
  if (!link.dialled_before && !dials_by_rule(link)) {
    from = is_cut(link) ? link.cut_since + rungs.suspect : kNever;
  }
  due = std::min(due, relay_deadline(link));
  for (const bool control : {true, false}) {
    const Dialling& dialling = link.dialling(control, false);
    if (count(link, control) + dialling.under_way < wanted(link, control)) {
      due = std::min(due, std::max(from, dialling.next));
    }
  }
  return due;
}

// --- What the master is told ----------------------------------------------------------------------------------------

void Peer::say_lost(PeerId peer, Link& link) {
  if (!link.connections.empty() || !link.was_linked || link.silent || link.lost_said || !link.member || link.sibling) {
    return;
  }
  link.lost_said = tell_master(wire::Lost{peer, wire::LostKind::closed});
}

void Peer::say_back(Link& link) {
  if (!link.connections.empty() && link.lost_said && tell_master(wire::Linked{linked_peers()})) {
    link.lost_said = false;
  }
}

// Who is joining is linked when ops could run; a member's link lives as long as one connection does.
std::vector<PeerId> Peer::linked_peers() const {
  const bool joining = stage_ == PeerStage::joining;
  std::vector<PeerId> linked;
  for (const auto& [peer, link] : links_) {
    if (joining ? can_run(link) : !link.connections.empty()) {
      linked.push_back(peer);
    }
  }
  return linked;
}

void Peer::say_linked(bool heartbeat) {
  if (stage_ != PeerStage::joining || master_.line != Line::up || !introduced_) {
    return;
  }
  std::vector<PeerId> linked = linked_peers();
  if (linked_said_ && linked == *linked_said_) {
    return;
  }
  const bool complete = linked.size() == links_.size();
  const bool shrunk =
      linked_said_ && !std::includes(linked.begin(), linked.end(), linked_said_->begin(), linked_said_->end());
  if (complete || shrunk || heartbeat) {
    linked_said_ = linked;
    tell_master(wire::Linked{std::move(linked)});
  }
}

std::string Peer::links_missing() const {
  std::string missing;
  for (const auto& [peer, link] : links_) {
    if (!can_run(link)) {
      missing += (missing.empty() ? "" : "; ") + named(link.info);
    }
  }
  return missing;
}

}  // namespace seaway::core
