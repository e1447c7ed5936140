// What happens to the master and its machine. None of it explains that anybody is lost.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <ctime>
#include <vector>

#include "chaos/stage.h"

namespace seaway::chaos {

std::string kill_master(Stage& stage) {
  const double longest = stage.longest_without_master;
  const double away = stage.random.one_in(2) ? 0 : stage.mostly_between(.2, std::min(2.0, longest), longest);
  stage.allowed.hinder_master();
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
  stage.allowed.hinder_master();
  for (std::uint64_t i = 0; i < kills; ++i, at += stage.mostly_between(.5, 1.5, 4)) {
    stage.after(at, [&run = stage.run] {
      run.kill_master();
      run.start_master();
    });
  }
  return "SIGKILL of the master " + std::to_string(kills) + " times, each started again at once";
}

std::string stop_master(Stage& stage) {
  const double seconds = stage.random.one_in(2) ? stage.between(.2, 2) : stage.mostly_between(2, 5, 10);
  if (!stage.run.has_master()) {
    return "";
  }
  stage.allowed.hinder_master();
  stage.run.master().signal(SIGSTOP);
  stage.after(seconds, [&run = stage.run] {
    if (run.has_master()) {
      run.master().signal(SIGCONT);
    }
  });
  return "SIGSTOP of the master for " + in_seconds(seconds);
}

// Decades forward are more than a 32-bit number of seconds or milliseconds can bear. Certificates bear that two clocks are an hour
// apart; with more between them nobody connects anew, which is as it should be, and nobody whose connections stand may notice.
std::string jump_clock(Stage& stage) {
  constexpr double kSeen = .9;  // seconds in which it has to be seen
  constexpr double kTolerance = 0.5;
  constexpr std::int64_t kFarthest_s = 1800;
  const std::vector<std::int64_t> near{-5, 5, -kFarthest_s, kFarthest_s};
  const std::vector<std::int64_t> far{86400, -86400, 40LL * 365 * 86400, -50LL * 365 * 86400};
  const bool is_encrypted = !stage.run.config().is_plaintext;
  const auto peer = stage.random.one_in(2) ? stage.anybody() : std::nullopt;
  const Host host = peer ? *peer : kMasterHost;
  // A master that is started with such a clock makes itself a certificate that is of no use when the clock is right again.
  const bool may_be_far = !is_encrypted || peer || stage.is_alone;
  const bool is_far = may_be_far && stage.random.one_in(2);
  const std::vector<std::int64_t>& jumps = is_far ? far : near;
  const std::int64_t jump_s = jumps[stage.random.below(jumps.size())];
  if (peer && is_far && is_encrypted) {
    stage.allowed.hinder(*peer);
  }
  stage.lab.set_clock(host, jump_s);
  if (peer) {
    // It has to see the jump, or nothing was tested. The monotonic clock tells how long ago it said so.
    stage.run.trainer(*peer)->clock_s.reset();
    stage.run.tell(*peer, "clock");
    stage.after(kSeen, [&run = stage.run, peer, jump_s, life = stage.run.trainer(*peer)->life] {
      const Trainer* trainer = run.trainer(*peer);
      const double real = static_cast<double>(std::time(nullptr)) - support::seconds_now();
      if (trainer != nullptr && trainer->life == life && trainer->clock_s &&
          std::abs(*trainer->clock_s - real - static_cast<double>(jump_s)) > 1 + kTolerance) {
        throw Violation("the clock of " + trainer->name() + " was to jump, and did not: nothing was tested");
      }
    });
  }
  const bool jumps_back = (is_far && is_encrypted) || stage.random.one_in(2);
  stage.after(stage.between(1, 3), [&lab = stage.lab, host, jumps_back] {
    if (jumps_back) {
      lab.set_clock(host, 0);
    }
  });
  return "the wall clock of " + name_of(host) + " is " + std::to_string(jump_s) + " s off" +
         (jumps_back ? ", and back" : "");
}

std::string fill_disk(Stage& stage) {
  Run& run = stage.run;
  const double seconds = stage.mostly_between(1, 5, 8);
  stage.allowed.hinder_master();
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
