// What happens to the master and its machine. None of it explains that anybody is lost.
#include <cmath>
#include <csignal>
#include <ctime>

#include "chaos/stage.h"

namespace seaway::chaos {

std::string kill_master(Stage& stage) {
  const double away = stage.random.one_in(2) ? 0 : stage.between(.2, stage.longest_without_master);
  stage.run.kill_master();
  stage.after(away, [&run = stage.run] {
    if (!run.has_master()) {
      run.start_master();
    }
  });
  return "SIGKILL of the master, started again after " + in_seconds(away);
}

std::string kill_masters(Stage& stage) {
  const std::uint64_t kills = stage.random.between(3, 6);
  double at = 0;
  for (std::uint64_t i = 0; i < kills; ++i, at += stage.between(1, 4)) {
    stage.after(at, [&run = stage.run] {
      run.kill_master();
      run.start_master();
    });
  }
  return "SIGKILL of the master " + std::to_string(kills) + " times, each started again at once";
}

std::string stop_master(Stage& stage) {
  const double seconds = stage.random.one_in(2) ? stage.between(.2, 2) : stage.between(2, 10);
  if (!stage.run.has_master()) {
    return "";
  }
  stage.run.master().signal(SIGSTOP);
  stage.after(seconds, [&run = stage.run] {
    if (run.has_master()) {
      run.master().signal(SIGCONT);
    }
  });
  return "SIGSTOP of the master for " + in_seconds(seconds);
}

// Decades forward are more than a 32-bit number of seconds or milliseconds can bear.
std::string jump_clock(Stage& stage) {
  constexpr std::int64_t kJumps_s[] = {-5, 5, 3600, -3600, 86400, -86400, 40LL * 365 * 86400, -50LL * 365 * 86400};
  constexpr double kTolerance = 0.5;
  const std::int64_t jump_s = kJumps_s[stage.random.below(std::size(kJumps_s))];
  const auto peer = stage.random.one_in(2) ? stage.anybody() : std::nullopt;
  const Host host = peer ? *peer : kMasterHost;
  stage.lab.set_clock(host, jump_s);
  if (peer) {
    // It has to see the jump, or nothing was tested. The monotonic clock tells how long ago it said so.
    stage.run.tell(*peer, "clock");
    stage.after(2, [&run = stage.run, peer, jump_s, life = stage.run.trainer(*peer)->life] {
      const Trainer* trainer = run.trainer(*peer);
      const double real = static_cast<double>(std::time(nullptr)) - support::seconds_now();
      if (trainer != nullptr && trainer->life == life && trainer->clock_s &&
          std::abs(*trainer->clock_s - real - static_cast<double>(jump_s)) > 1 + kTolerance) {
        throw Violation("the clock of " + trainer->name() + " was to jump, and did not: nothing was tested");
      }
    });
  }
  const bool jumps_back = stage.random.one_in(2);
  stage.after(stage.between(2, 4), [&lab = stage.lab, host, jumps_back] {
    if (jumps_back) {
      lab.set_clock(host, 0);
    }
  });
  return "the wall clock of " + name_of(host) + " is " + std::to_string(jump_s) + " s off" +
         (jumps_back ? ", and back" : "");
}

std::string fill_disk(Stage& stage) {
  Run& run = stage.run;
  const double seconds = stage.between(2, 8);
  stage.lab.fill_disk();
  run.allow_full_disk();
  std::string story = "the master's disk is full for " + in_seconds(seconds);
  const std::uint64_t kind = stage.random.below(3);
  if (kind == 0) {
    if (const auto replica = stage.victim()) {
      run.kill_trainer(*replica);
      stage.after(seconds / 2, [&run, replica] { run.start_trainer(*replica, false); });
      story += ", SIGKILL of " + name_of(*replica);
    }
  } else if (kind == 1) {
    stage.after(seconds / 2, [&run] {
      run.kill_master();
      run.start_master();
    });
    story += ", SIGKILL of the master";
  }
  stage.after(seconds, [&lab = stage.lab] { lab.empty_disk(); });
  return story;
}

}  // namespace seaway::chaos
