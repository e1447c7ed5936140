// The thread that moves packets between the sites' TUN devices as the network says.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lab/ground.h"
#include "lab/model/network.h"

namespace seaway::lab {

class Emulator {
 public:
  Emulator(Network& network, const Ground& ground);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  // From any thread: "" or what is wrong with the statement.
  std::string apply(const Statement& statement);
  // After it the network is the caller's again.
  void stop();

  // How well it did; after `stop`.
  struct Figures {
    std::uint64_t deliveries = 0;
    std::uint64_t late = 0;     // by more than a millisecond
    Duration latest = 0;        // the most
    std::uint64_t refused = 0;  // by a TUN device
    double cpu_seconds = 0;
    double seconds = 0;
  };
  const Figures& figures() const { return figures_; }

 private:
  Time now() const;
  void run();
  void deliver();
  void read(unsigned site);

  Network* network_;
  const Ground* ground_;
  Time origin_ = 0;
  std::mutex mutex_;  // guards what network_ points to while the thread runs
  std::atomic<bool> stopping_ = false;
  std::vector<std::byte> buffer_;
  Figures figures_;
  std::thread thread_;
};

}  // namespace seaway::lab
