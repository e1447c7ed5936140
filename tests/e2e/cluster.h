// A run of real processes: `seaway master` and workers (worker.h), and what they have said so far.
//
// Everything that holds in every test is checked here, whenever the test waits: no worker fails or ends unasked, and any two
// that committed an op of a step have the same bits over the same contributors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/own_pki.h"
#include "support/process.h"

namespace seaway::e2e {

using support::Process;
using support::seconds_now;

struct Epoch {
  std::uint64_t term = 0;
  unsigned number = 0;
  bool operator==(const Epoch&) const = default;
};

struct Op {
  double time = 0;  // when the worker had checked it
  std::uint64_t step = 0;
  unsigned tag = 0;
  std::string hash;
  std::string contributors;  // sorted; the roster has another order
  double began = 0;
  double seconds = 0;
  unsigned attempts = 0;
  unsigned lost = 0;
  Epoch epoch;
};

struct Event {
  double time = 0;
  std::string text;
};

class Worker {
 public:
  struct Life {
    double time = 0;
    std::string peer;
    std::string address;
    Epoch epoch;
  };

  Worker(unsigned replica, std::unique_ptr<Process> process) : replica_(replica), process_(std::move(process)) {}

  unsigned replica() const { return replica_; }
  Process& process() { return *process_; }
  const Process& process() const { return *process_; }

  // What it said.
  std::vector<Life> lives;
  std::vector<Event> starts;  // of steps; text is the number
  std::vector<Event> ends;    // the same
  std::vector<Op> ops;
  std::vector<Event> evictions;
  std::vector<Event> log;
  std::vector<pid_t> children;
  bool has_left = false;
  std::string problem;

  bool is_in_op() const { return starts.size() > ends.size(); }
  void understand();  // what came since

  bool may_end = false;   // it was killed, or told to leave
  bool may_fail = false;  // it is to say so

 private:
  void understand(const std::string& line);

  unsigned replica_;
  std::unique_ptr<Process> process_;
  std::size_t understood_ = 0;
};

struct Load {
  unsigned mib = 1;
  unsigned ops = 1;         // in each step
  unsigned time_scale = 1;  // of every time-out of the run
  bool in_place = false;
  std::string state = {};            // the master's folder; "": it keeps nothing
  bool encrypted = false;            // needs a folder
  double certificate_s = 24 * 3600;  // how long certificates are good
  support::OwnPki* pki = nullptr;    // in place of join strings
};

class Cluster {
 public:
  Cluster(unsigned world, Load load);

  const std::string& address() const { return address_; }
  // What lets a worker in: the join string, or the address.
  const std::string& way_in() const { return load_.encrypted ? join_ : address_; }
  std::string way_in(const support::OwnPki::Files& files) const {
    return address_ + "," + files.authorities + "," + files.certificate + "," + files.key;
  }
  Process& master() { return *master_; }
  Worker& worker(unsigned index) { return *workers_.at(index); }
  std::vector<std::unique_ptr<Worker>>& workers() { return workers_; }

  void kill_master();
  void start_master();  // on the address of the one before
  void let_master_end() { master_may_end_ = true; }
  Worker& add_worker(unsigned replica);
  void kill_worker(Worker& worker);  // SIGKILL

  // Waits until `condition` holds, `limit` seconds at most, while it listens to everyone. Returns the seconds it took. Ends
  // the test with what everyone said when time is over or a worker fails.
  double wait_for(const std::string& what, double limit, const std::function<bool()>& condition);
  // Waits until each of these has committed that many ops more.
  double wait_for_ops(const std::vector<Worker*>& workers, std::size_t more, double limit);
  // Listens for so long: of faults that have a length.
  void listen_for(double seconds);
  // Everyone that lives leaves and ends with exit code 0.
  void finish();
  // What goes wrong in a test is told with what everyone said.
  [[noreturn]] void fail(const std::string& why);

 private:
  void listen_once(double until);
  void check();

  Load load_;
  unsigned world_;
  std::string address_;
  std::string join_;
  std::unique_ptr<Process> master_;
  bool master_may_end_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<std::pair<std::uint64_t, unsigned>, Op> first_;  // by step and tag
  std::vector<std::size_t> compared_;                       // of each worker's ops
};

// What a process uses, from /proc.
double resident_mib(pid_t pid);
std::vector<std::string> descriptors(pid_t pid);  // "socket:[123]", ...

}  // namespace seaway::e2e
