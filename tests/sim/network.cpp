#include "sim/network.h"

#include <algorithm>
#include <utility>

namespace seaway::sim {

namespace {
constexpr Duration kRetry = 30 * kMillisecond;  // a sender tries again this often while its path is cut
}

void Clock::at(Time when, std::function<void()> what) {
  if (free_.empty()) {
    free_.push_back(what_.size());
    what_.emplace_back();
  }
  const std::size_t slot = free_.back();
  free_.pop_back();
  what_[slot] = std::move(what);
  events_.push({std::max(when, now_), next_++, slot});
}

bool Clock::step(Time until) {
  if (events_.empty() || events_.top().when > until) {
    return false;
  }
  const Event event = events_.top();
  events_.pop();
  const std::function<void()> what = std::exchange(what_[event.slot], nullptr);
  free_.push_back(event.slot);
  now_ = event.when;
  note(static_cast<std::uint64_t>(now_) ^ event.order << 20);
  ++done_;
  what();
  return true;
}

void Network::Buffer::append(std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

std::vector<std::byte> Network::Buffer::take(std::size_t count) {
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
  std::vector<std::byte> taken(first, first + static_cast<std::ptrdiff_t>(count));
  begin += count;
  if (begin == bytes.size()) {
    bytes.clear();
    begin = 0;
  }
  return taken;
}

ProcessId Network::add(HostId host, Endpoint* endpoint) {
  const auto process = static_cast<ProcessId>(processes_.size());
  processes_.push_back({host, endpoint, true, 0, {}});
  listening_[host] = process;
  return process;
}

void Network::remove(ProcessId process, bool silently) {
  processes_[process].alive = false;
  processes_[process].endpoint = nullptr;
  if (const auto it = listening_.find(host_of(process)); it != listening_.end() && it->second == process) {
    listening_.erase(it);
  }
  for (ConnId id = 1; id < connections_.size(); ++id) {
    Connection& conn = connections_[id];
    for (int side = 0; side < 2; ++side) {
      if (conn.ends[side] == process && !conn.gone[side]) {
        conn.gone[side] = true;
        // What the dead process had given to its kernel may or may not leave.
        Direction& way = conn.way[side];
        way.buffer.cut_to(random_.below(way.buffer.size() + 1));
        if (!silently) {
          way.fin = true;
          pump(id, side);
        }
      }
    }
  }
}

void Network::stall(ProcessId id, Time until) {
  Process& process = processes_[id];
  process.stalled_until = std::max(process.stalled_until, until);
}

void Network::wait_in_line(ProcessId id, std::function<void()> what) {
  Process& process = processes_[id];
  process.waiting.push_back(std::move(what));
  if (process.waiting.size() == 1) {
    clock_->at(process.stalled_until, [this, id] { wake(id); });
  }
}

void Network::wake(ProcessId id) {
  Process& process = processes_[id];
  while (process.alive && !process.waiting.empty()) {  // anything may have happened to it meanwhile
    if (process.stalled_until > clock_->now()) {
      clock_->at(process.stalled_until, [this, id] { wake(id); });
      return;
    }
    const std::function<void()> what = std::move(process.waiting.front());
    // Still in line while it runs, so that what it causes comes behind what is waiting.
    what();
    process.waiting.pop_front();
  }
}

Duration Network::delay(HostId from, HostId to) {
  const Duration base =
      options_->latency + (options_->jitter > 0 ? static_cast<Duration>(random_.below(options_->jitter)) : 0);
  return slow_.contains({from, to}) ? 10 * base : base;
}

ConnId Network::connect(ProcessId from, HostId to) {
  const ConnId id = connections_.size();
  Connection& conn = connections_.emplace_back();
  const HostId here = host_of(from);
  const auto target = listening_.find(to);
  const bool reachable = target != listening_.end() && !cut_.contains({here, to}) && !cut_.contains({to, here});
  const Duration trip = delay(here, to);
  if (!reachable) {
    in(from, 2 * trip, [this, from, id] { processes_[from].endpoint->on_connect_failed(id); });
    return id;
  }
  const ProcessId server = target->second;
  conn.ends[0] = from;
  conn.ends[1] = server;
  conn.way[0].last_arrival = clock_->now() + trip;
  conn.way[1].last_arrival = clock_->now() + 2 * trip;
  in(server, trip, [this, server, id] {
    if (!connections_[id].gone[1]) {
      processes_[server].endpoint->on_accepted(id);
    }
  });
  in(from, 2 * trip, [this, from, id] {
    if (!connections_[id].gone[0]) {
      processes_[from].endpoint->on_connected(id);
    }
  });
  return id;
}

std::uint64_t Network::space(ConnId id, ProcessId side) const {
  const Connection& conn = connections_[id];
  const std::size_t used = conn.way[conn.ends[1] == side ? 1 : 0].buffer.size();
  return used >= options_->socket_bytes ? 0 : options_->socket_bytes - used;
}

void Network::send(ConnId id, ProcessId process, std::span<const std::byte> bytes) {
  Connection& conn = connections_[id];
  const int side = conn.ends[1] == process ? 1 : 0;
  if (conn.ends[side] != process || conn.gone[side]) {
    return;
  }
  Direction& way = conn.way[side];
  way.buffer.append(bytes);
  way.was_full = way.was_full || way.buffer.size() >= options_->socket_bytes;
  pump(id, side);
}

void Network::close(ConnId id, ProcessId process) {
  Connection& conn = connections_[id];
  const int side = conn.ends[1] == process ? 1 : 0;
  if (conn.ends[side] == process) {
    conn.gone[side] = true;
    conn.way[side].fin = true;
    pump(id, side);
  }
}

// Sends the next piece of one direction, if its wire is free.
void Network::pump(ConnId id, int side) {
  Direction& way = connections_[id].way[side];
  if (way.pumping || (way.buffer.empty() && !way.fin)) {
    return;
  }
  way.pumping = true;
  clock_->at(std::max(clock_->now(), way.free_at), [this, id, side] { leave(id, side); });
}

// A piece leaves its host, or behind the last one the FIN.
void Network::leave(ConnId id, int side) {
  Connection& conn = connections_[id];
  Direction& way = conn.way[side];
  way.pumping = false;
  if (conn.dead || conn.broken) {
    return;
  }
  const HostId from = host_of(conn.ends[side]);
  const HostId to = host_of(conn.ends[1 - side]);
  if (cut_.contains({from, to})) {
    way.free_at = clock_->now() + kRetry;
    pump(id, side);
    return;
  }
  if (way.buffer.empty()) {
    if (std::exchange(way.fin, false)) {
      const Time arrival = std::max(clock_->now() + delay(from, to), way.last_arrival);
      deliver_close(id, 1 - side, arrival - clock_->now());
    }
    return;
  }
  const std::uint64_t most = std::min<std::uint64_t>(way.buffer.size(), options_->piece_bytes);
  const std::uint64_t size = random_.one_in(8) ? random_.between(1, most) : most;
  const std::uint64_t rate = slow_.contains({from, to}) ? options_->bytes_per_ms / 10 + 1 : options_->bytes_per_ms;
  way.free_at = clock_->now() + static_cast<Duration>(size * kMillisecond / rate);
  way.last_arrival = std::max(way.free_at + delay(from, to), way.last_arrival);
  const ProcessId receiver = conn.ends[1 - side];
  in(receiver, way.last_arrival - clock_->now(), [this, id, side, receiver, piece = way.buffer.take(size)] {
    const Connection& at = connections_[id];
    if (!at.gone[1 - side] && !at.dead && !at.broken) {
      processes_[receiver].endpoint->on_bytes(id, piece);
    }
  });
  if (!conn.gone[side] && std::exchange(way.was_full, false)) {
    const ProcessId sender = conn.ends[side];
    in(sender, 0, [this, id, side, sender] {
      if (!connections_[id].gone[side]) {
        processes_[sender].endpoint->on_writable(id);
      }
    });
  }
  pump(id, side);
}

void Network::deliver_close(ConnId id, int side, Duration delay) {
  const ProcessId process = connections_[id].ends[side];
  in(process, delay, [this, id, side, process] {
    Connection& conn = connections_[id];
    if (!conn.gone[side] && !conn.dead) {
      conn.gone[side] = true;
      processes_[process].endpoint->on_closed(id);
    }
  });
}

void Network::cut(HostId from, HostId to, bool is_cut) {
  if (is_cut) {
    cut_.insert({from, to});
  } else {
    cut_.erase({from, to});
  }
}

void Network::slow(HostId a, HostId b, bool is_slow) {
  for (const auto& way : {std::pair{a, b}, std::pair{b, a}}) {
    if (is_slow) {
      slow_.insert(way);
    } else {
      slow_.erase(way);
    }
  }
}

// Both ends are told, one of them maybe much later: the packet that would have told it is lost, too.
void Network::reset(ConnId id, bool heard_at_once) {
  Connection& conn = connections_[id];
  conn.broken = true;
  const bool apart = !heard_at_once && random_.one_in(2);
  const int late = static_cast<int>(random_.below(2));
  for (int side = 0; side < 2; ++side) {
    conn.way[side].buffer.cut_to(0);
    const std::uint64_t most = apart && side == late ? 1500 : 10;
    deliver_close(id, side, static_cast<Duration>(random_.below(most)) * kMillisecond);
  }
}

void Network::half_open(ConnId id) { connections_[id].dead = true; }

std::vector<ConnId> Network::connections_of(ProcessId process) const {
  std::vector<ConnId> list;
  for (ConnId id = 1; id < connections_.size(); ++id) {
    const Connection& conn = connections_[id];
    for (int side = 0; side < 2; ++side) {
      if (conn.ends[side] == process && !conn.gone[side] && !conn.dead) {
        list.push_back(id);
      }
    }
  }
  return list;
}

std::pair<HostId, HostId> Network::hosts_of(ConnId conn) const {
  return {host_of(connections_[conn].ends[0]), host_of(connections_[conn].ends[1])};
}

void Network::heal() {
  cut_.clear();
  slow_.clear();
}

}  // namespace seaway::sim
