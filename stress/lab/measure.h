// What the network gives to plain TCP: round trips of bare connections, and iperf3.
#pragma once

#include <string>

#include "lab/ground.h"

namespace seaway::lab {

struct Measured {
  double rtt_ms = 0;         // the least of a few connects: a busy machine only adds
  double received_mbit = 0;  // per second, of payload, at the receiver
  double retransmitted = 0;  // segments
  std::string congestion;    // "bbr"
};

struct Measurement {
  unsigned from = 0;
  unsigned to = 1;
  unsigned streams = 4;
  unsigned seconds = 8;    // after two that are not counted
  std::string congestion;  // empty: the kernel's choice
};
// "" or what is wrong.
std::string measure(const Ground& ground, const Measurement& what, Measured& measured);

// The least of so many TCP connects, each of which takes one round trip; negative when one fails.
double measure_rtt_ms(const Ground& ground, unsigned from, unsigned to, unsigned connects);

}  // namespace seaway::lab
