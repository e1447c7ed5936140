// The bytes of links: hellos, headers, payloads into named memory, frames out of it in bits.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/mark.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

namespace {
constexpr std::size_t kHelloPrefix = 2;
}

void PeerProcess::dial(const core::Dial& dial) {
  const HostId host = static_cast<HostId>(std::stoul(dial.addresses.at(0)));
  const ConnId conn = world_->network.connect(process_, host);
  LinkConn& link = links_[conn];
  link.dialled = true;
  link.control = dial.control;
  link.peer = dial.peer;
  link.relay = dial.relay;
  if (dial.relay != kNoPeer) {
    world_->tell("h" + std::to_string(site_->host) + " asks h" + std::to_string(host) + " for a relay");
    later(world_->ladder.stall, [this, conn] {
      if (const auto it = links_.find(conn); it != links_.end() && !it->second.linked) {
        close_link(conn, false);
        pump();
      }
    });
  }
}

void PeerProcess::send_hello(ConnId conn, const LinkConn& link) {
  const std::vector<std::byte> hello =
      wire::encode_payload(wire::LinkHello{1, {1, world_->options.seed}, id_, link.peer, link.control, link.relay});
  const auto length = static_cast<std::uint16_t>(hello.size());
  std::vector<std::byte> bytes(kHelloPrefix);
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes.insert(bytes.end(), hello.begin(), hello.end());
  world_->network.send(conn, process_, bytes);
}

// True once the other end's hello is in and taken.
bool PeerProcess::read_hello(ConnId conn) {
  LinkConn& link = links_.at(conn);
  std::uint16_t length = 0;
  if (link.reading.size() < kHelloPrefix) {
    return false;
  }
  std::memcpy(&length, link.reading.data(), sizeof length);
  if (link.reading.size() < kHelloPrefix + length) {
    return false;
  }
  const auto hello = wire::decode_payload<wire::LinkHello>(std::span(link.reading).subspan(kHelloPrefix, length));
  link.reading.erase(link.reading.begin(), link.reading.begin() + static_cast<std::ptrdiff_t>(kHelloPrefix + length));
  if (hello && !link.dialled && hello->relay == id_) {
    relay(conn, *hello);
    return false;
  }
  const bool meets = link.dialled && link.relay != kNoPeer && !link.met;
  const std::string refusal = !hello ? "no hello" : peer_.accept(*hello, {}, world_->clock.now());
  if (!refusal.empty() || (link.dialled && hello->from != (meets ? link.relay : link.peer))) {
    close_link(conn, false);
    return false;
  }
  if (meets) {
    meet(conn);
    return read_hello(conn);  // it may have come with the relay's
  }
  if (!link.dialled) {
    link.peer = hello->from;
    link.control = hello->control;
    link.relay = hello->relay;
    send_hello(conn, link);
  }
  link.linked = true;
  peer_.on_linked(link.peer, conn, link.control, link.dialled, world_->clock.now(), link.relay != kNoPeer);
  return true;
}

// The other end is at the relay, too. From here on it is as if one of us had dialled the other.
void PeerProcess::meet(ConnId conn) {
  LinkConn& link = links_.at(conn);
  link.met = true;
  if (id_ < link.peer) {
    const auto [peer, control] = std::pair{link.peer, link.control};
    LinkConn accepted;
    accepted.reading = std::move(link.reading);
    link = std::move(accepted);
    peer_.on_met(peer, control, world_->clock.now());
  } else {
    send_hello(conn, link);
  }
}

void PeerProcess::read_frames(ConnId conn, std::span<const std::byte> bytes) {
  {
    LinkConn& link = links_.at(conn);
    if (!link.linked) {
      link.reading.insert(link.reading.end(), bytes.begin(), bytes.end());
      if (!read_hello(conn)) {
        pump();
        return;
      }
      const std::vector<std::byte> rest = std::exchange(links_.at(conn).reading, {});
      pump();
      if (alive_ && links_.contains(conn) && !rest.empty()) {
        read_frames(conn, rest);
      }
      return;
    }
  }
  bool begun = false;
  while (!bytes.empty() && alive_) {
    const auto it = links_.find(conn);
    if (it == links_.end()) {
      return;
    }
    LinkConn& link = it->second;
    if (!link.header) {
      const std::size_t take = std::min(bytes.size(), wire::kFrameHeaderBytes - link.reading.size());
      link.reading.insert(link.reading.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
      bytes = bytes.subspan(take);
      if (link.reading.size() == wire::kFrameHeaderBytes) {
        begin_frame(conn, link);
        begun = true;
      }
      continue;
    }
    const std::size_t take = std::min<std::size_t>(bytes.size(), link.header->length - link.got);
    if (link.message) {
      link.payload.insert(link.payload.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
    } else if (link.region && !link.sink) {
      std::memcpy(address(*link.region) + link.got, bytes.data(), take);
    }
    link.got += static_cast<std::uint32_t>(take);
    bytes = bytes.subspan(take);
    peer_.engine().on_bytes(conn, world_->clock.now());
    if (link.got == link.header->length) {
      end_frame(conn, link);
    }
  }
  if (begun) {
    pump();
  }
}

void PeerProcess::begin_frame(ConnId conn, LinkConn& link) {
  const auto header =
      wire::decode_frame_header(std::span<const std::byte, wire::kFrameHeaderBytes>(link.reading.data(), 64));
  if (!header) {
    throw Violation("a peer cannot read the header that a peer wrote");
  }
  link.reading.clear();
  const collective::Landing landing = peer_.engine().on_header(conn, *header, world_->clock.now());
  if (const auto* refuse = std::get_if<collective::Refuse>(&landing)) {
    throw Violation("a peer refuses a frame of a healthy peer: " + refuse->reason);
  }
  link.header = header;
  link.got = 0;
  link.sink = false;
  link.region.reset();
  link.payload.clear();
  link.message = std::holds_alternative<collective::Message>(landing);
  if (const auto* land = std::get_if<collective::Land>(&landing)) {
    check_alone(land->region, conn);
    check_is_hosts(land->region);
    link.region = land->region;
  }
  if (header->length == 0) {
    end_frame(conn, link);
  }
}

// The link may be gone afterwards.
void PeerProcess::end_frame(ConnId conn, LinkConn& link) {
  link.header.reset();
  link.region.reset();
  if (link.message) {
    const std::vector<std::byte> payload = std::exchange(link.payload, {});
    peer_.engine().on_message(conn, payload, world_->clock.now());
  } else {
    peer_.engine().on_landed(conn, world_->clock.now());
  }
  pump();
}

void PeerProcess::close_link(ConnId conn, bool closed_by_them) {
  const auto it = links_.find(conn);
  if (it == links_.end()) {
    return;
  }
  const bool linked = it->second.linked;
  const bool dialled = it->second.dialled;
  const PeerId peer = it->second.peer;
  const bool control = it->second.control;
  const bool over_relay = it->second.relay != kNoPeer;
  links_.erase(it);
  if (!closed_by_them) {
    world_->network.close(conn, process_);
  }
  if (linked) {
    peer_.on_link_lost(peer, conn, control, closed_by_them, world_->clock.now());
  } else if (dialled) {
    peer_.on_dial_failed(peer, control, world_->clock.now(), over_relay);
  }
}

void PeerProcess::send_frames(ConnId conn) {
  const auto it = links_.find(conn);
  if (it == links_.end() || !it->second.linked) {
    return;
  }
  LinkConn& link = it->second;
  std::uint64_t space = world_->network.space(conn, process_);
  while (space > 0) {
    if (link.queue.empty()) {
      std::vector<collective::OutFrame> frames;
      if (!peer_.engine().wants_to_send(conn)) {
        return;
      }
      peer_.engine().pull(conn, 1 + world_->random.below(2000), frames, world_->clock.now());
      for (collective::OutFrame& frame : frames) {
        check_is_hosts(frame.region);
        link.queue.push_back({std::move(frame), {}, false});
      }
      link.sent = 0;
      if (link.queue.empty()) {
        return;
      }
    }
    Outgoing& out = link.queue.front();
    const std::size_t total = wire::kFrameHeaderBytes + out.frame.header.length;
    if (link.sent < wire::kFrameHeaderBytes) {
      const auto header = wire::encode(out.frame.header);
      const std::size_t take = std::min<std::size_t>(space, wire::kFrameHeaderBytes - link.sent);
      world_->network.send(conn, process_, std::span(header).subspan(link.sent, take));
      link.sent += take;
      space -= take;
    } else if (link.sent < total) {
      const std::size_t offset = link.sent - wire::kFrameHeaderBytes;
      const std::size_t take = std::min<std::size_t>(space, total - link.sent);
      const std::byte* bytes = out.copied                    ? out.aside.data()
                               : out.frame.region.length > 0 ? address(out.frame.region)
                                                             : out.frame.message.data();
      world_->network.send(conn, process_, std::span(bytes + offset, take));
      link.sent += take;
      space -= take;
    }
    if (link.sent == total) {
      link.queue.pop_front();
      link.sent = 0;
    }
  }
}

// The op's buffers, or those of its results, are somebody else's from now on: nobody reads or writes them any more.
void PeerProcess::release(const collective::Release& effect) {
  for (auto& [conn, link] : links_) {
    if (link.region && concerns(effect, *link.region)) {
      SEAWAY_MARK("sim: released while a result is landing");
      link.sink = true;
    }
    for (Outgoing& out : link.queue) {
      if (!out.copied && concerns(effect, out.frame.region)) {
        SEAWAY_MARK("sim: released while a frame is half sent");
        const std::byte* bytes = address(out.frame.region);
        out.aside.assign(bytes, bytes + out.frame.region.length);
        out.copied = true;
      }
    }
  }
}

std::vector<ConnId> PeerProcess::links() const {
  std::vector<ConnId> list;
  for (const auto& [conn, link] : links_) {
    list.push_back(conn);
  }
  return list;
}

bool PeerProcess::lands_payload(ConnId conn) const {
  const auto it = links_.find(conn);
  return it != links_.end() && it->second.region.has_value();
}

bool PeerProcess::in_mid_frame(ConnId conn) const {
  const auto it = links_.find(conn);
  return it != links_.end() && (it->second.header.has_value() || it->second.sent > 0);
}

}  // namespace seaway::sim
