// What a process does for two others that meet at it: bytes of the one go to the other.
#include <cstring>
#include <utility>

#include "base/mark.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

void PeerProcess::relay(ConnId conn, const wire::LinkHello& hello) {
  links_.erase(conn);
  if (const std::string refusal = peer_.may_relay(hello, {}); !refusal.empty()) {
    world_->tell("h" + std::to_string(site_->host) + " relays nothing: " + refusal);
    world_->network.close(conn, process_);
    return;
  }
  const core::RelayDesk::Answer answer = desk_.ask(conn, hello);
  if (answer.dropped) {
    close_relayed(*answer.dropped);
  }
  relayed_[conn];
  if (answer.met) {
    join_relayed(conn, hello, *answer.met);
  }
}

void PeerProcess::join_relayed(ConnId one, const wire::LinkHello& hello, ConnId other) {
  world_->tell("h" + std::to_string(site_->host) + " relays for two");
  relayed_.at(one).other = other;
  relayed_.at(other).other = one;
  LinkConn said;
  said.control = hello.control;
  said.relay = id_;
  for (const auto& [conn, to] : {std::pair{one, hello.from}, std::pair{other, hello.to}}) {
    said.peer = to;
    send_hello(conn, said);
  }
}

void PeerProcess::flush_relayed(ConnId conn) {
  const auto it = relayed_.find(conn);
  if (it == relayed_.end()) {
    return;
  }
  std::vector<std::byte>& out = it->second.out;
  const std::size_t size = std::min<std::size_t>(out.size(), world_->network.space(conn, process_));
  if (size > 0) {
    SEAWAY_MARK("sim: bytes go over a relay");
    world_->network.send(conn, process_, std::span(out).first(size));
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
  }
  if (out.empty() && it->second.fin) {
    close_relayed(conn);
  }
}

void PeerProcess::close_relayed(ConnId conn) {
  relayed_.erase(conn);
  world_->network.close(conn, process_);
}

// One end is gone: what it said still reaches the other one, and then the FIN.
void PeerProcess::relayed_closed(ConnId conn) {
  desk_.gone(conn);
  const auto it = relayed_.find(conn);
  if (it == relayed_.end()) {
    return;
  }
  const ConnId other = it->second.other;
  relayed_.erase(it);
  if (other != 0) {
    relayed_.at(other).other = 0;
    relayed_.at(other).fin = true;
    flush_relayed(other);
  }
}

}  // namespace seaway::sim
