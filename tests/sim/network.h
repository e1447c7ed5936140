// The simulated network: connections between processes that deliver bytes in order, in drawn pieces, with delay, rate and
// a send buffer; that can be cut, slowed, reset or left half-open. And the clock: a queue of events.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "sim/options.h"

namespace seaway::sim {

using HostId = std::uint32_t;     // a machine; 0 is the master's
using ProcessId = std::uint32_t;  // one life of a program on a machine

// Events in order of time; those of one instant in the order in which they were made.
class Clock {
 public:
  Time now() const { return now_; }
  void at(Time when, std::function<void()> what);
  void after(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  // Runs the next event; false when there is none or it lies beyond `until`.
  bool step(Time until);
  std::uint64_t events() const { return done_; }
  std::uint64_t trace() const { return trace_; }
  void note(std::uint64_t fact) { trace_ = (trace_ ^ fact) * 0x100000001b3u; }

 private:
  struct Event {
    Time when;
    std::uint64_t order;
    std::size_t slot;  // of what_
    bool operator<(const Event& other) const { return when != other.when ? when > other.when : order > other.order; }
  };
  std::priority_queue<Event> events_;
  std::vector<std::function<void()>> what_;  // stays where it is while its event is sorted
  std::vector<std::size_t> free_;            // slots of what_
  Time now_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t trace_ = 0xcbf29ce484222325u;
};

// What the network tells a process. Not called while the process stands still: it is told when it goes on.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual void on_accepted(ConnId conn) = 0;
  virtual void on_connected(ConnId conn) = 0;
  virtual void on_connect_failed(ConnId conn) = 0;
  virtual void on_bytes(ConnId conn, std::span<const std::byte> bytes) = 0;
  virtual void on_writable(ConnId conn) = 0;
  virtual void on_closed(ConnId conn) = 0;  // FIN or RST
};

class Network {
 public:
  Network(Clock& clock, const Options& options, Random random) : clock_(&clock), options_(&options), random_(random) {}

  ProcessId add(HostId host, Endpoint* endpoint);  // and it listens
  void remove(ProcessId process, bool silently);   // its end; silently: no FIN leaves its host
  void stall(ProcessId process, Time until);
  bool stalled(ProcessId process) const { return processes_[process].stalled_until > clock_->now(); }

  ConnId connect(ProcessId from, HostId to);
  // Bytes that the send buffer takes now. Once it was full, on_writable says that there is room again.
  std::uint64_t space(ConnId conn, ProcessId side) const;
  void send(ConnId conn, ProcessId side, std::span<const std::byte> bytes);
  void close(ConnId conn, ProcessId side);  // FIN behind what was sent

  // Faults.
  void cut(HostId from, HostId to, bool is_cut);
  void slow(HostId a, HostId b, bool is_slow);
  void reset(ConnId conn, bool heard_at_once);  // otherwise one of its ends may hear of it 1.5 s later
  void half_open(ConnId conn);
  std::vector<ConnId> connections_of(ProcessId process) const;
  std::pair<HostId, HostId> hosts_of(ConnId conn) const;
  void heal();

  // Runs `what` in the process: not while it stands still, and not after its end.
  template <class What>
  void in(ProcessId process, Duration delay, What what) {
    clock_->after(delay, [this, process, what = std::move(what)] { run_in(process, what); });
  }

 private:
  struct Process {
    HostId host = 0;
    Endpoint* endpoint = nullptr;
    bool alive = true;
    Time stalled_until = 0;
    std::deque<std::function<void()>> waiting;
  };
  // What was sent and has not left yet.
  struct Buffer {
    std::vector<std::byte> bytes;
    std::size_t begin = 0;

    std::size_t size() const { return bytes.size() - begin; }
    bool empty() const { return size() == 0; }
    void append(std::span<const std::byte> more);
    std::vector<std::byte> take(std::size_t count);
    void cut_to(std::size_t count) { bytes.resize(begin + count); }
  };
  struct Direction {
    Buffer buffer;
    bool was_full = false;
    bool pumping = false;
    bool fin = false;
    Time free_at = 0;       // the wire has sent what came before
    Time last_arrival = 0;  // pieces arrive in order
  };
  struct Connection {
    ProcessId ends[2] = {0, 0};
    bool gone[2] = {false, false};  // this end has closed or was told
    Direction way[2];               // way[i]: from ends[i]
    bool dead = false;              // half-open: carries nothing, and nobody is told
    bool broken = false;            // reset: carries nothing, both ends are being told
  };

  // What happens to a process that stands still waits in line: it must find everything in the order in which it came.
  template <class What>
  void run_in(ProcessId id, const What& what) {
    const Process& process = processes_[id];
    if (!process.alive) {
      return;
    }
    if (process.stalled_until <= clock_->now() && process.waiting.empty()) {
      what();
    } else {
      wait_in_line(id, what);
    }
  }
  void wait_in_line(ProcessId id, std::function<void()> what);
  void wake(ProcessId process);
  void pump(ConnId conn, int side);
  void deliver_close(ConnId conn, int side, Duration delay);
  Duration delay(HostId from, HostId to);
  HostId host_of(ProcessId process) const { return processes_[process].host; }
  void leave(ConnId conn, int side);

  Clock* clock_;
  const Options* options_;
  Random random_;
  // By their names, which are counted up; the first of each is nobody. Deques: what is called may add to them.
  std::deque<Process> processes_{1};
  std::deque<Connection> connections_{1};
  std::map<HostId, ProcessId> listening_;
  std::set<std::pair<HostId, HostId>> cut_;
  std::set<std::pair<HostId, HostId>> slow_;
};

}  // namespace seaway::sim
