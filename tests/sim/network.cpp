#include "sim/network.h"

#include <algorithm>

namespace seaway::sim {

namespace {
constexpr Duration kRetry = 30 * kMillisecond;  // a sender tries again this often while its path is cut
}

bool Clock::step(Time until) {
  if (events_.empty() || events_.top().when > until) {
    return false;
  }
  // The queue gives no other way to move out of it; the element is removed before anything can look at it.
  std::function<void()> what = std::move(const_cast<Event&>(events_.top()).what);
  now_ = events_.top().when;
  note(static_cast<std::uint64_t>(now_) ^ events_.top().order << 20);
  events_.pop();
  ++done_;
  what();
  return true;
}

ProcessId Network::add(HostId host, Endpoint* endpoint) {
  const ProcessId process = next_process_++;
  processes_[process] = {host, endpoint, 0, {}};
  hosts_[process] = host;
  listening_[host] = process;
  return process;
}

void Network::remove(ProcessId process, bool silently) {
  processes_.erase(process);
  if (const auto it = listening_.find(hosts_.at(process)); it != listening_.end() && it->second == process) {
    listening_.erase(it);
  }
  for (auto& [id, conn] : connections_) {
    for (int side = 0; side < 2; ++side) {
      if (conn.ends[side] == process && !conn.gone[side]) {
        conn.gone[side] = true;
        // What the dead process had given to its kernel may or may not leave.
        Direction& way = conn.way[side];
        way.buffer.resize(random_.below(way.buffer.size() + 1));
        if (!silently) {
          way.fin = true;
          pump(id, side);
        }
      }
    }
  }
}

void Network::stall(ProcessId process, Time until) {
  const auto it = processes_.find(process);
  if (it != processes_.end()) {
    it->second.stalled_until = std::max(it->second.stalled_until, until);
  }
}

Time Network::stalled_until(ProcessId process) const {
  const auto it = processes_.find(process);
  return it == processes_.end() ? 0 : it->second.stalled_until;
}

// What happens to a process that stands still waits in line: it must find everything in the order in which it came.
void Network::run_in(ProcessId id, std::function<void()> what) {
  const auto it = processes_.find(id);
  if (it == processes_.end()) {
    return;
  }
  Process& process = it->second;
  if (process.stalled_until <= clock_->now() && process.waiting.empty()) {
    what();
    return;
  }
  process.waiting.push_back(std::move(what));
  if (process.waiting.size() == 1) {
    clock_->at(process.stalled_until, [this, id] { wake(id); });
  }
}

void Network::wake(ProcessId id) {
  while (true) {
    const auto it = processes_.find(id);  // anything may have happened to it meanwhile
    if (it == processes_.end() || it->second.waiting.empty()) {
      return;
    }
    if (it->second.stalled_until > clock_->now()) {
      clock_->at(it->second.stalled_until, [this, id] { wake(id); });
      return;
    }
    const std::function<void()> what = std::move(it->second.waiting.front());
    // Still in line while it runs, so that what it causes comes behind what is waiting.
    what();
    if (const auto again = processes_.find(id); again != processes_.end()) {
      again->second.waiting.pop_front();
    }
  }
}

void Network::in(ProcessId process, Duration delay, std::function<void()> what) {
  clock_->after(delay, [this, process, what = std::move(what)] { run_in(process, what); });
}

Duration Network::delay(HostId from, HostId to) {
  const Duration base =
      options_->latency + (options_->jitter > 0 ? static_cast<Duration>(random_.below(options_->jitter)) : 0);
  return slow_.contains({from, to}) ? 10 * base : base;
}

ConnId Network::connect(ProcessId from, HostId to) {
  const ConnId id = next_conn_++;
  const HostId here = host_of(from);
  const auto target = listening_.find(to);
  const bool reachable = target != listening_.end() && !cut_.contains({here, to}) && !cut_.contains({to, here});
  const Duration trip = delay(here, to);
  if (!reachable) {
    in(from, 2 * trip, [this, from, id] { processes_.at(from).endpoint->on_connect_failed(id); });
    return id;
  }
  Connection& conn = connections_[id];
  conn.ends[0] = from;
  conn.ends[1] = target->second;
  conn.open = true;
  conn.way[0].last_arrival = clock_->now() + trip;
  conn.way[1].last_arrival = clock_->now() + 2 * trip;
  const ProcessId server = target->second;
  in(server, trip, [this, server, id] {
    if (const auto it = connections_.find(id); it != connections_.end() && !it->second.gone[1]) {
      processes_.at(server).endpoint->on_accepted(id);
    }
  });
  in(from, 2 * trip, [this, from, id] {
    const auto it = connections_.find(id);
    if (it == connections_.end() || it->second.gone[0]) {
      return;
    }
    processes_.at(from).endpoint->on_connected(id);
  });
  return id;
}

std::uint64_t Network::space(ConnId id, ProcessId side) const {
  const auto it = connections_.find(id);
  if (it == connections_.end()) {
    return 0;
  }
  const Direction& way = it->second.way[it->second.ends[1] == side ? 1 : 0];
  return way.buffer.size() >= options_->socket_bytes ? 0 : options_->socket_bytes - way.buffer.size();
}

void Network::send(ConnId id, ProcessId process, std::span<const std::byte> bytes) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) {
    return;
  }
  const int side = it->second.ends[1] == process ? 1 : 0;
  if (it->second.gone[side]) {
    return;
  }
  Direction& way = it->second.way[side];
  way.buffer.insert(way.buffer.end(), bytes.begin(), bytes.end());
  pump(id, side);
}

void Network::close(ConnId id, ProcessId process) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) {
    return;
  }
  const int side = it->second.ends[1] == process ? 1 : 0;
  it->second.gone[side] = true;
  it->second.way[side].fin = true;
  pump(id, side);
}

// Sends the next piece of one direction, if its wire is free.
void Network::pump(ConnId id, int side) {
  Connection& conn = connections_.at(id);
  Direction& way = conn.way[side];
  if (way.pumping || (way.buffer.empty() && !way.fin)) {
    return;
  }
  way.pumping = true;
  const Time when = std::max(clock_->now(), way.free_at);
  clock_->at(when, [this, id, side] {
    const auto it = connections_.find(id);
    if (it == connections_.end()) {
      return;
    }
    Connection& c = it->second;
    Direction& w = c.way[side];
    w.pumping = false;
    const HostId from = host_of(c.ends[side]);
    const HostId to = host_of(c.ends[1 - side]);
    if (c.dead || c.broken) {
      return;
    }
    if (cut_.contains({from, to})) {
      w.free_at = clock_->now() + kRetry;
      pump(id, side);
      return;
    }
    if (w.buffer.empty()) {
      if (w.fin) {
        w.fin = false;
        const Time arrival = std::max(clock_->now() + delay(from, to), w.last_arrival);
        deliver_close(id, 1 - side, arrival - clock_->now());
      }
      return;
    }
    const std::uint64_t most = std::min<std::uint64_t>(w.buffer.size(), options_->piece_bytes);
    const std::uint64_t size = random_.one_in(8) ? random_.between(1, most) : most;
    std::vector<std::byte> piece(w.buffer.begin(), w.buffer.begin() + static_cast<std::ptrdiff_t>(size));
    w.buffer.erase(w.buffer.begin(), w.buffer.begin() + static_cast<std::ptrdiff_t>(size));
    const std::uint64_t rate = slow_.contains({from, to}) ? options_->bytes_per_ms / 10 + 1 : options_->bytes_per_ms;
    w.free_at = clock_->now() + static_cast<Duration>(size * kMillisecond / rate);
    w.last_arrival = std::max(w.free_at + delay(from, to), w.last_arrival);
    const ProcessId receiver = c.ends[1 - side];
    in(receiver, w.last_arrival - clock_->now(), [this, id, side, receiver, piece = std::move(piece)] {
      const auto at = connections_.find(id);
      if (at != connections_.end() && !at->second.gone[1 - side] && !at->second.dead && !at->second.broken) {
        processes_.at(receiver).endpoint->on_bytes(id, piece);
      }
    });
    const ProcessId sender = c.ends[side];
    if (!c.gone[side]) {
      in(sender, 0, [this, id, side, sender] {
        const auto at = connections_.find(id);
        if (at != connections_.end() && !at->second.gone[side]) {
          processes_.at(sender).endpoint->on_writable(id);
        }
      });
    }
    pump(id, side);
  });
}

void Network::deliver_close(ConnId id, int side, Duration delay) {
  const ProcessId process = connections_.at(id).ends[side];
  in(process, delay, [this, id, side, process] {
    const auto it = connections_.find(id);
    if (it != connections_.end() && !it->second.gone[side] && !it->second.dead) {
      it->second.gone[side] = true;
      processes_.at(process).endpoint->on_closed(id);
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

void Network::reset(ConnId id) {
  const auto it = connections_.find(id);
  if (it != connections_.end()) {
    it->second.broken = true;
    for (int side = 0; side < 2; ++side) {
      it->second.way[side].buffer.clear();
      if (processes_.contains(it->second.ends[side])) {
        deliver_close(id, side, static_cast<Duration>(random_.below(10)) * kMillisecond);
      }
    }
  }
}

void Network::half_open(ConnId id) {
  const auto it = connections_.find(id);
  if (it != connections_.end()) {
    it->second.dead = true;
  }
}

std::vector<ConnId> Network::connections_of(ProcessId process) const {
  std::vector<ConnId> list;
  for (const auto& [id, conn] : connections_) {
    for (int side = 0; side < 2; ++side) {
      if (conn.ends[side] == process && !conn.gone[side] && !conn.dead) {
        list.push_back(id);
      }
    }
  }
  return list;
}

void Network::heal() {
  cut_.clear();
  slow_.clear();
}

}  // namespace seaway::sim
