// A lab at work: what is asked for is run, the scenario's events happen, and what comes by the FIFO.
#pragma once

#include <string>
#include <vector>

#include "lab/emulator.h"
#include "lab/ground.h"
#include "lab/model/network.h"
#include "lab/model/scenario.h"
#include "lab/options.h"
#include "lab/programs.h"

namespace seaway::lab {

class Session {
 public:
  Session(const Options& options, const Scenario& scenario, const Network& network, const Ground& ground,
          Emulator& emulator);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // "" or why there is no FIFO.
  std::string open_control();
  // Starts the commands, returns when all have ended: the exit code.
  int run();

 private:
  void start_commands();
  void signal_arrived();
  void apply_due_events();
  void read_control();
  Variables variables_of(unsigned site) const;
  int next_event_ms() const;

  const Options* options_;
  const Scenario* scenario_;
  const Network* network_;  // only what does not change: names
  const Ground* ground_;
  Emulator* emulator_;
  Programs programs_;
  double began_ = 0;
  std::size_t next_event_ = 0;
  int control_ = -1;
  std::string control_line_;
  unsigned signals_ = 0;
};

}  // namespace seaway::lab
