// Links over a third peer. Two peers of which neither can be reached by the other, both behind home routers or on a path that
// has broken, meet at a third one that both reach: each dials it and says whom it wants, it joins the two connections
// (core/relay_desk.h) and moves their bytes. What goes over it is the link's hellos and frames, encrypted from end to end:
// the relay is trusted with nothing, and the op engine sees a connection like any other.
//
//   when        a link had no connection straight to the other peer for `suspect`, and there is a relay to ask
//   whom        peers of my lane to which I have a connection that is no relayed one, one after the other, the oldest first:
//               both ends go through the same list, and who has no connection to the other end refuses at once
//   how many    one control and one data connection: the relay's line carries everything twice
//   how long    both ends go on dialling straight, more and more seldom; the first connection that comes about
//               so replaces the relayed one of its kind
#include <algorithm>
#include <utility>

#include "base/mark.h"
#include "base/mutant.h"
#include "core/peer.h"

namespace seaway::core {

bool Peer::is_relayed(const Link& link, bool control) {
  return std::any_of(link.connections.begin(), link.connections.end(),
                     [&](const auto& entry) { return entry.second.relayed && entry.second.control == control; });
}

std::vector<PeerId> Peer::relays_to(PeerId peer) const {
  std::vector<PeerId> relays;
  for (const auto& [other, link] : links_) {
    if (other != peer && !link.sibling && count(link, true) > 0) {
      relays.push_back(other);
    }
  }
  std::ranges::sort(relays, {}, [&](PeerId other) { return std::pair(age(links_.at(other).info.generation), other); });
  return relays;
}

void Peer::dial_relay(PeerId peer, Link& link, bool control, Time now) {
  Dialling& dialling = link.dialling(control, true);
  if (now < relay_deadline(link) || now < dialling.next || dialling.under_way > 0 || is_relayed(link, control)) {
    return;
  }
  const std::vector<PeerId> relays = relays_to(peer);
  if (relays.empty() || MUTANT(edge_not_relayed, false, true)) {
    dialling.next = now + ladder().heartbeat;
    return;
  }
  const PeerId relay = relays[dialling.relays_tried % relays.size()];
  ++dialling.under_way;
  dialling.next = now;
  effects_.emplace_back(
      Dial{.peer = peer, .addresses = links_.at(relay).info.addresses, .control = control, .relay = relay});
}

// When the next relay may be asked.
Time Peer::relay_deadline(const Link& link) const {
  if (link.sibling || !is_cut(link) || stage_ == PeerStage::idle || stage_ == PeerStage::gone) {
    return kNever;
  }
  Time due = kNever;
  for (const bool control : {true, false}) {
    const Dialling& dialling = link.dialling(control, true);
    if (dialling.under_way == 0 && !is_relayed(link, control)) {
      due = std::min(due, std::max(link.cut_since + ladder().suspect, dialling.next));
    }
  }
  return due;
}

// Refused, it asks the next one. Who waited in vain begins again with the first: so does the other end.
void Peer::relay_failed(PeerId peer, Dialling& dialling, Time now) {
  const bool refused = now - dialling.next < ladder().suspect;
  dialling.relays_tried = refused ? dialling.relays_tried + 1 : 0;
  dialling.next = now;
  const std::size_t relays = std::max<std::size_t>(relays_to(peer).size(), 1);
  if (refused && dialling.relays_tried % relays == 0) {
    dialling.backoff = longer(dialling.backoff, ladder().evict);
    dialling.next = now + jittered(dialling.backoff);
  }
}

void Peer::on_met(PeerId peer, bool control, Time now) {
  const auto entry = links_.find(peer);
  if (entry == links_.end()) {
    return;
  }
  SEAWAY_MARK("two peers meet at a relay");
  Dialling& dialling = entry->second.dialling(control, true);
  dialling.under_way -= std::min(dialling.under_way, 1u);
  dialling.backoff = 0;
  dialling.next = now + ladder().suspect;  // the other end says its hello
  settle(now);
}

void Peer::close_relayed(const Link& link, bool control) {
  for (const auto& [conn, connection] : link.connections) {
    if (connection.relayed && connection.control == control) {
      SEAWAY_MARK("a relayed connection is replaced by one straight to the peer");
      effects_.emplace_back(DropConnection{conn, "the peer is reached without a relay again"});
    }
  }
}

std::string Peer::may_relay(const wire::LinkHello& hello, const std::optional<Certified>& certified) const {
  if (std::string refusal = not_known(hello, certified); !refusal.empty()) {
    return refusal;
  }
  const auto to = links_.find(hello.to);
  if (hello.from == hello.to || to == links_.end() || is_cut(to->second)) {
    return "no connection to peer " + std::to_string(hello.to) + " from here";
  }
  return "";
}

}  // namespace seaway::core
