#include "chaos/run.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <utility>

namespace seaway::chaos {

namespace {

using support::Process;
using support::seconds_now;

constexpr const char* kPort = "7117";
constexpr double kTurn = 0.1;
constexpr double kStoodStill = 1;  // seconds that a wait may last longer than asked
constexpr double kAskAgain = 0.02;
constexpr double kMasterAgain = 0.5;  // seconds after which one that ended on a full disk is started again
constexpr std::size_t kTail = 2000;

std::string tail(const std::string& text) {
  return text.size() <= kTail ? text : "..." + text.substr(text.size() - kTail);
}

unsigned count_of(const std::string& what, const std::string& text) {
  unsigned count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) {
    ++count;
  }
  return count;
}

}  // namespace

// On a host of its own any port is free.
Run::Run(Lab& lab, RunConfig config)
    : lab_(lab), config_(std::move(config)), port_(lab.can(Ability::network) ? kPort : support::free_port()) {}

std::string Run::base_replicas() const {
  std::string digits;
  for (unsigned replica = 0; replica < config_.world; ++replica) {
    digits += std::to_string(replica);
  }
  return digits;
}

// --- The master -----------------------------------------------------------------------------------------------------

std::string Run::master_address() const { return lab_.ip(kMasterHost) + ":" + port_; }

void Run::start_master() {
  master_is_wanted_ = true;
  std::vector<std::string> words{"master", "--listen", ":" + port_, "--state", lab_.state_folder()};
  if (config_.is_plaintext) {
    words.emplace_back("--plaintext");
  } else {
    words.insert(words.end(), {"--advertise", master_address()});
  }
  master_ = lab_.start(kMasterHost, SEAWAY_PROGRAM, words);
  master_is_gone_ = false;
  question_ = Question{.since = seconds_now(), .is_of_start = true, .ask_at = 0, .asks = nullptr};
}

void Run::kill_master() {
  master_is_wanted_ = false;
  question_.reset();
  if (has_master()) {
    master_->signal(SIGKILL);
    master_->wait();
    master_is_gone_ = true;
    log("master", "--- killed\n" + master_->errors());
  }
}

void Run::check_master() {
  if (has_master() && !master_->is_open()) {
    const std::string how = support::status_in_words(master_->wait());
    master_is_gone_ = true;
    log("master", "--- " + how + "\n" + master_->errors());
    const auto says = [&](const char* words) { return master_->errors().find(words) != std::string::npos; };
    // One that was started on a full disk ends; who reads its words must not throw the record away.
    const bool lacked_room = disk_was_full_ && (says("disk is full") || says("No space left")) && says("Make room");
    if (master_is_wanted_ && !lacked_room) {
      throw Violation("the master ended (" + how + "): " + tail(master_->errors()));
    }
    // Who runs a master has something that starts it again.
    master_again_at_ = seconds_now() + kMasterAgain;
  }
  if (master_is_wanted_ && !has_master() && seconds_now() >= master_again_at_) {
    start_master();
  }
}

// Who has the state folder has the run's authority and its tokens: what lets trainers in once does so ever after.
void Run::check_join_string() {
  if (config_.is_plaintext || !has_master()) {
    return;
  }
  const std::string mark = "join string: ";
  const std::string& said = master_->output();
  const std::size_t at = said.find(mark);
  const std::size_t end = said.find('\n', at);
  if (at == std::string::npos || end == std::string::npos) {
    return;
  }
  const std::string join = said.substr(at + mark.size(), end - at - mark.size());
  if (join_.empty()) {
    join_ = join;
  } else if (join_ != join) {
    throw Violation("a master that was started again prints another join string");
  }
}

const std::string& Run::join_string() {
  const double give_up = seconds_now() + config_.patience;
  while (!config_.is_plaintext && join_.empty()) {
    if (seconds_now() > give_up) {
      throw Violation("the master prints no join string");
    }
    listen(seconds_now() + kTurn);
  }
  return join_;
}

void Run::ask_whether_all_is_well() {
  if (!question_) {
    question_ = Question{.since = seconds_now(), .is_of_start = false, .ask_at = 0, .asks = nullptr};
  }
}

// Not by a trainer's events: a master that has its record announces the epoch that everybody knows. So it is asked itself.
void Run::ask_master() {
  if (!question_ || !has_master()) {
    return;
  }
  if (!question_->asks) {
    if (seconds_now() >= question_->ask_at) {
      std::vector<std::string> words{"status", "--json"};
      if (config_.is_plaintext) {
        words.emplace_back("127.0.0.1:" + port_);
      } else {
        words.insert(words.end(), {"--state", lab_.state_folder()});
      }
      question_->asks = lab_.start(kMasterHost, SEAWAY_PROGRAM, words);
    }
    return;
  }
  if (question_->asks->is_open()) {
    return;
  }
  const std::string& status = question_->asks->output();
  const auto says = [&](const char* what) { return status.find(what) != std::string::npos; };
  const bool in_charge = says(R"("resolved":true)") && says(R"("stage":"running")") && says(R"("connected":true)") &&
                         !says(R"("connected":false)");
  if (in_charge && std::exchange(question_->is_of_start, false)) {
    back_in_charge.push_back(seconds_now() - question_->since);
  }
  // Nobody is missing of a roster without somebody who was evicted and has not heard of it: that would be told when what explains
  // it is forgotten.
  if (in_charge && count_of(R"("connected":true)", status) >= config_.world) {
    status_ = status;
    question_.reset();
  } else {
    question_->asks.reset();
    question_->ask_at = seconds_now() + kAskAgain;
  }
}

// --- Trainers -------------------------------------------------------------------------------------------------------

void Run::start_trainer(unsigned replica, bool same_identity) {
  // By the environment, as it is meant for users: arguments show in `ps`.
  Process::Environment environment;
  if (!config_.is_plaintext) {
    environment.emplace_back("SEAWAY_JOIN", join_string());
  }
  std::unique_ptr<Trainer>& place = current_.at(replica);
  if (place) {
    past_.push_back(std::move(place));
  }
  place = std::make_unique<Trainer>();
  place->replica = replica;
  place->life = ++lives_.at(replica);
  const TrainerArguments arguments{.master = config_.is_plaintext ? master_address() : "",
                                   .listen = lab_.ip(replica) + ":0",
                                   .replica = replica,
                                   .world = config_.world,
                                   .sites = config_.sites,
                                   .seed = config_.seed,
                                   .bytes = config_.bytes,
                                   .patience = config_.patience,
                                   .identity = same_identity ? (config_.seed | 1) : 0};
  place->process = lab_.start(replica, config_.self, arguments.words(), environment);
}

void Run::kill_trainer(unsigned replica) {
  if (Trainer* trainer = current_.at(replica).get(); trainer != nullptr && !trainer->is_killed) {
    trainer->may_end = trainer->is_killed = true;
    trainer->is_member = false;
    trainer->process->signal(SIGKILL);
    may_lose_ = true;
    log(trainer->name(), "--- killed");
  }
}

void Run::tell(unsigned replica, const std::string& order) {
  if (lives(replica)) {
    current_.at(replica)->process->say(order);
  }
}

void Run::ask_to_leave(unsigned replica) {
  if (lives(replica)) {
    tell(replica, "leave");
    current_.at(replica)->may_end = true;
  }
}

bool Run::everybody_has_ended(unsigned from_replica) const {
  return std::none_of(current_.begin() + from_replica, current_.end(),
                      [](const auto& trainer) { return trainer != nullptr; });
}

// Who has ended: as it was told, or killed, or by itself, which is a violation.
void Run::check_ends() {
  for (auto& trainer : current_) {
    if (!trainer || trainer->process->is_open()) {
      continue;
    }
    const int status = trainer->process->wait();
    const bool is_good = trainer->is_killed || (trainer->may_end && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (!is_good) {
      throw Violation(trainer->name() + " ended (" + support::status_in_words(status) +
                      "): " + tail(trainer->process->errors()));
    }
    log(trainer->name(), "--- ended");
    trainer.reset();
  }
  std::erase_if(past_, [](const auto& trainer) { return !trainer->process->is_open(); });
}

// --- Listening ------------------------------------------------------------------------------------------------------

// When the machine gave this program no time, the others had none either: whoever was thought dead then was punished by it.
void Run::watch_machine(double asked, double until) {
  const double late = seconds_now() - std::max(asked, until);
  if (late > kStoodStill) {
    for (unsigned replica = 0; replica < kMostReplicas; ++replica) {
      excuse(replica);
    }
    on_note("the machine stood still for " + std::to_string(late) + " s");
  }
}

void Run::listen(double until) {
  for (bool is_first = true; is_first || seconds_now() < until; is_first = false) {
    std::vector<Process*> all;
    for (const auto& trainer : past_) {
      all.push_back(trainer->process.get());
    }
    for (const auto& trainer : current_) {
      if (trainer) {
        all.push_back(trainer->process.get());
      }
    }
    if (has_master()) {
      all.push_back(master_.get());
    }
    if (question_ && question_->asks) {
      all.push_back(question_->asks.get());
    }
    std::erase_if(all, [](const Process* process) { return !process->is_open(); });
    const double now = seconds_now();
    const double turn = std::min(until, now + kTurn);
    support::listen(all, turn);
    watch_machine(now, turn);
    for (const auto& trainer : past_) {
      understand(*trainer);
    }
    for (const auto& trainer : current_) {
      if (trainer) {
        understand(*trainer);
      }
    }
    check_ends();
    check_master();
    check_join_string();
    ask_master();
  }
}

void Run::finish() {
  for (unsigned replica = 0; replica < kMostReplicas; ++replica) {
    ask_to_leave(replica);
  }
  const double give_up = seconds_now() + config_.patience;
  while (!everybody_has_ended(0)) {
    if (seconds_now() > give_up) {
      throw Violation("somebody does not leave");
    }
    listen(seconds_now() + kTurn);
  }
  master_is_wanted_ = false;
  master_->signal(SIGTERM);
  while (has_master()) {
    if (seconds_now() > give_up) {
      throw Violation("the master does not end");
    }
    listen(seconds_now() + kTurn);
  }
  if (const int status = master_->wait(); status != 0) {
    throw Violation("the master ended with " + support::status_in_words(status));
  }
}

void Run::log(const std::string& name, const std::string& line) const {
  std::ofstream(config_.folder + "/" + name + ".log", std::ios::app) << line << '\n';
}

void Run::write_logs() const {
  if (has_master()) {
    log("master", master_->errors());
  }
  const auto write = [&](const Trainer& trainer) {
    for (const std::string& line : trainer.tail) {
      log(trainer.name() + ".last", line);
    }
    log(trainer.name(), trainer.process->errors());
  };
  for (const auto& trainer : past_) {
    write(*trainer);
  }
  for (const auto& trainer : current_) {
    if (trainer) {
      write(*trainer);
    }
  }
}

}  // namespace seaway::chaos
