// What happens to peers, and what they do themselves.
#include <algorithm>
#include <csignal>

#include "chaos/stage.h"

namespace seaway::chaos {

namespace {

constexpr double kFirstSteps = 1;  // seconds that a newcomer of a storm trains before it leaves, at least

// Continued also when a test ends early: a stopped process would not hear that it is to leave.
void stop(Stage& stage, unsigned replica, double seconds) {
  stage.run.trainer(replica)->process->signal(SIGSTOP);
  stage.after(seconds, [&run = stage.run, replica] {
    if (run.lives(replica)) {
      run.trainer(replica)->process->signal(SIGCONT);
    }
  });
}

void kill_and_return(Stage& stage, unsigned replica, std::string& story) {
  const double away = stage.random.one_in(3) ? 0 : stage.mostly_between(0, 1, 3);
  const bool same_identity = stage.random.one_in(2);
  stage.run.kill_trainer(replica);
  stage.after(away, [&run = stage.run, replica, same_identity] { run.start_trainer(replica, same_identity); });
  story +=
      " " + name_of(replica) + " (" + (same_identity ? "it" : "a newcomer") + " comes after " + in_seconds(away) + ")";
}

}  // namespace

std::string kill_peers(Stage& stage) {
  std::string story;
  for (int left = stage.random.one_in(5) ? 2 : 1; left > 0; --left) {
    if (const auto replica = stage.victim()) {
      kill_and_return(stage, *replica, story);
    }
  }
  return story.empty() ? "" : "SIGKILL:" + story;
}

std::string stop_peer_shortly(Stage& stage) {
  const auto replica = stage.victim();
  if (!replica) {
    return "";
  }
  const double seconds = stage.between(.2, 1.5);
  stage.allowed.hinder(*replica);
  stop(stage, *replica, seconds);
  return "SIGSTOP of " + name_of(*replica) + " for " + in_seconds(seconds);
}

std::string stop_peer_long(Stage& stage) {
  const auto replica = stage.victim();
  if (!replica) {
    return "";
  }
  const double seconds = stage.mostly_between(4, 6, 9);
  stage.allowed.must_go(*replica);
  stop(stage, *replica, seconds);
  return "SIGSTOP of " + name_of(*replica) + " for " + in_seconds(seconds);
}

std::string storm(Stage& stage) {
  Run& run = stage.run;
  const unsigned first = run.config().world;
  const unsigned places = std::min(kMostReplicas - first, 5u);
  if (!run.everybody_has_ended(first)) {
    return "";  // another storm still blows
  }
  std::string story = "newcomers:";
  const auto newcomers = static_cast<unsigned>(stage.random.between(2, places));
  for (unsigned replica = first; replica < first + newcomers; ++replica) {
    run.excuse(replica);  // it is killed, or its place in the story is over before it knows
    run.start_trainer(replica, false);
    story += " " + name_of(replica);
    if (stage.random.one_in(3)) {
      const double lives = stage.between(0, 1.5);
      stage.after(lives, [&run, replica] { run.kill_trainer(replica); });
      story += " (killed after " + in_seconds(lives) + ")";
    } else {
      stage.after(stage.mostly_between(kFirstSteps, 2, 5), [&run, replica] { run.ask_to_leave(replica); });
    }
  }
  if (stage.random.one_in(3)) {
    if (const auto replica = stage.victim()) {
      story += "; meanwhile SIGKILL:";
      kill_and_return(stage, *replica, story);
    }
  }
  return story;
}

std::string call_wrongly(Stage& stage) {
  const auto replica = stage.anybody();
  if (!replica) {
    return "";
  }
  stage.run.tell(*replica, "wrong");
  return name_of(*replica) + " makes a call that differs";
}

std::string end_an_op(Stage& stage) {
  const auto replica = stage.anybody();
  if (!replica) {
    return "";
  }
  constexpr const char* kWays[] = {"cancel", "deadline", "no-progress"};
  const std::string way = kWays[stage.random.below(std::size(kWays))];
  stage.run.tell(*replica, way);
  std::string story = name_of(*replica) + ": " + way;
  if (way == "no-progress") {
    if (const auto sleeper = stage.victim()) {
      stage.allowed.hinder(*sleeper);
      stop(stage, *sleeper, 1);
      story += ", while " + name_of(*sleeper) + " stands still for 1 s";
    }
  }
  return story;
}

std::string send_strangers(Stage& stage) {
  const double seconds = stage.mostly_between(1, 3, 5);
  std::vector<std::string> words{std::to_string(stage.random.next()), std::to_string(seconds),
                                 stage.run.master_address()};
  for (unsigned replica = 0; replica < stage.run.config().world; ++replica) {
    if (stage.run.lives(replica) && !stage.run.trainer(replica)->address.empty()) {
      words.push_back(stage.run.trainer(replica)->address);
    }
  }
  const std::size_t ports = words.size() - 2;
  support::Process::Environment environment;
  if (!stage.run.config().is_plaintext) {
    environment.emplace_back("SEAWAY_JOIN", stage.run.join_string());
  }
  for (const char* who : {"--strangers", "--impostors"}) {
    std::vector<std::string> all{who};
    all.insert(all.end(), words.begin(), words.end());
    stage.helpers.push_back(std::make_unique<support::Process>(stage.run.config().self, all, environment));
  }
  stage.after(seconds, [] {});
  return "garbage and impostors at " + std::to_string(ports) + " ports for " + in_seconds(seconds);
}

}  // namespace seaway::chaos
