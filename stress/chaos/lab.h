// The machine as the processes of a run see it, and what can be done to it. Each process is a host of its own: a network namespace
// on a bridge, where a firewall drops what the test wants; the master's state is on a small file system of its own; each
// process has a wall clock of its own. All of it lives in namespaces of this program and is gone with it; nothing outside is touched.
// What the system does not allow is said, and the rest goes on without it: all processes are then on 127.0.0.1.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/process.h"

namespace seaway::chaos {

using Host = unsigned;  // a replica, or
inline constexpr Host kMasterHost = 8;
std::string name_of(Host host);  // "r3", "master"

enum class Ability : std::uint8_t { network, disk, clock };

class Lab {
 public:
  explicit Lab(std::string folder);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // Why the system does not allow it; empty when it does.
  const std::string& why_not(Ability ability) const { return why_not_.at(ability); }
  bool can(Ability ability) const { return why_not(ability).empty(); }

  // --- Where processes are
  std::string ip(Host host) const;
  std::unique_ptr<support::Process> start(Host host, const std::string& program, std::vector<std::string> words,
                                          support::Process::Environment environment = {}) const;
  const std::string& state_folder() const { return state_; }

  // --- What is done to them
  using Edge = std::pair<Host, Host>;  // packets from the first to the second
  void drop(const std::vector<Edge>& edges);
  void let_pass(const std::vector<Edge>& edges);
  struct Connection {
    std::string local;  // IP:PORT
    std::string remote;
  };
  std::vector<Connection> connections(Host host) const;  // to other hosts; strangers' are none of the run's
  void reset(Host host, const Connection& connection) const;
  void fill_disk() const;
  void empty_disk() const;
  void set_clock(Host host, std::int64_t offset_s) const;  // against the system's

 private:
  std::string enter_namespaces() const;
  std::string make_network() const;
  std::string make_disk() const;
  std::string make_clocks() const;
  void write_firewall() const;
  std::string clock_file(Host host) const;
  std::string filler() const { return state_ + "/filler"; }

  std::string folder_;
  std::string state_;
  std::map<Ability, std::string> why_not_;
  std::multiset<Edge> dropped_;
};

}  // namespace seaway::chaos
