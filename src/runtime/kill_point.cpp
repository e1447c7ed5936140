#include "runtime/kill_point.h"

#ifdef SEAWAY_KILL_POINTS

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace seaway::runtime {

namespace {

// SEAWAY_KILL=PHASE:TAG:THRESHOLD. contributing and broadcasting count bytes sent, reducing counts chunks, HOLD messages.
struct Sentence {
  std::string phase;
  unsigned long long tag = 0;
  unsigned long long threshold = 0;
  unsigned long long done = 0;

  Sentence() {
    char name[32] = "";
    const char* text = std::getenv("SEAWAY_KILL");
    if (text != nullptr && std::sscanf(text, "%31[^:]:%llu:%llu", name, &tag, &threshold) == 3) {
      phase = name;
    }
  }
  void count(const char* of_phase, std::uint64_t of_tag, std::uint64_t amount) {
    if (phase != of_phase || tag != of_tag) {
      return;
    }
    done += amount;
    if (done >= threshold) {
      std::raise(SIGKILL);
    }
  }
};

Sentence& sentence() {
  static Sentence one;
  return one;
}

}  // namespace

void kill_point_sent(const wire::FrameHeader& header) {
  switch (header.type) {
    case wire::FrameType::part:
    case wire::FrameType::partial:
      sentence().count("contributing", header.op.tag, header.length);
      break;
    case wire::FrameType::result:
      sentence().count("broadcasting", header.op.tag, header.length);
      break;
    case wire::FrameType::hold:
      sentence().count("HOLD", header.op.tag, 1);
      break;
    default:
      break;
  }
}

void kill_point_reduced(std::uint64_t tag) { sentence().count("reducing", tag, 1); }

}  // namespace seaway::runtime

#endif
