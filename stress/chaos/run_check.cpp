// What trainers say, and whether it keeps the promises.
#include <algorithm>
#include <sstream>

#include "chaos/run.h"

namespace seaway::chaos {

namespace {

constexpr std::size_t kTailLines = 400;
constexpr std::uint64_t kKeptSteps = 64;  // for what is said late

bool is_over_all(std::string contributors, const std::string& all) {
  std::sort(contributors.begin(), contributors.end());
  return contributors == all;
}

}  // namespace

void Run::understand(Trainer& trainer) {
  trainer.unread += trainer.process->take_output();
  std::size_t from = 0;
  for (std::size_t end = trainer.unread.find('\n'); end != std::string::npos; end = trainer.unread.find('\n', from)) {
    understand(trainer, trainer.unread.substr(from, end - from));
    from = end + 1;
  }
  trainer.unread.erase(0, from);
}

void Run::understand(Trainer& trainer, const std::string& text) {
  trainer.tail.push_back(text);
  if (trainer.tail.size() > kTailLines) {
    trainer.tail.pop_front();
  }
  std::istringstream line(text);
  std::string kind;
  double time = 0;
  line >> kind;
  if (kind == "op") {
    line >> time;
    understand_op(trainer, line, time);
    return;
  }
  log(trainer.name(), text);
  if (kind == "joined") {
    std::uint64_t peer = 0;
    line >> time >> peer >> trainer.address;
    trainer.is_member = !trainer.is_killed;
    ++tallies_.joins;
  } else if (kind == "evicted") {
    ++tallies_.evictions;
    trainer.is_member = false;
    evicted_.insert(trainer.replica);
    if (!excused_.contains(trainer.replica) && !trainer.is_killed) {
      throw Violation(trainer.name() + " was evicted, and no fault explains it: " + text);
    }
  } else if (kind == "did") {
    std::uint64_t step = 0;
    unsigned tag = 0;
    line >> time >> step >> tag;
    std::string order;
    line >> order;
    OpRecord& record = ops_[{step, tag}];
    record.done.insert(order);
    record.wrong_by = order == "wrong" ? trainer.replica : record.wrong_by;
    record.may_lose = record.may_lose || may_lose_;
    on_did(order);
  } else if (kind == "refused") {
    ++tallies_.refused_joins;
  } else if (kind == "clock") {
    double wall = 0;
    line >> time >> wall;
    trainer.clock_s = wall - time;
  } else if (kind != "log" && kind != "epoch" && kind != "left") {
    throw Violation(trainer.name() + " says: " + text);
  }
}

void Run::understand_op(Trainer& trainer, std::istringstream& line, double time) {
  std::uint64_t step = 0;
  unsigned tag = 0;
  std::string status;
  std::string hash;
  std::string contributors;
  double began = 0;
  unsigned attempts = 0;
  bool fails_on_loss = false;
  line >> step >> tag >> status >> hash >> contributors >> began >> attempts >> fails_on_loss;
  if (status == "SEAWAY_EVICTED" || status == "SEAWAY_NOT_MEMBER") {
    ++tallies_.evicted;
    return;
  }
  OpRecord& record = ops_[{step, tag}];
  record.may_lose = record.may_lose || may_lose_;
  record.fails_on_loss = fails_on_loss;
  const std::string what = "op " + std::to_string(tag) + " of step " + std::to_string(step);
  if (record.status.empty()) {
    record.status = status;
    record.hash = hash;
    record.contributors = contributors;
    record.first = trainer.name();
  } else if (record.status != status && record.status != "SEAWAY_OK" && status != "SEAWAY_OK") {
    record.was_refused_and_aborted = true;
    record.status = "SEAWAY_REFUSED";
  } else if (record.status != status || record.hash != hash ||
             (record.contributors != contributors && record.contributors != "?" && contributors != "?")) {
    throw Violation(what + " has two outcomes: " + record.first + " has " + record.status + " " + record.hash +
                    " over " + record.contributors + ", " + trainer.name() + " " + status + " " + hash + " over " +
                    contributors);
  }
  if (status == "SEAWAY_OK") {
    ++tallies_.committed;
    tallies_.resumed += attempts > 1 ? 1 : 0;
    tallies_.unverified += contributors == "?" ? 1 : 0;
    trainer.began_last = std::max(trainer.began_last, began);
    trainer.contributors_last = contributors;
    if (is_over_all(contributors, base_replicas())) {
      trainer.began_last_full = std::max(trainer.began_last_full, began);
    }
    on_commit(trainer, began, time);
  } else {
    ++(status == "SEAWAY_REFUSED" ? tallies_.refused : tallies_.aborted);
  }
  if (ops_.rbegin()->first.first > ops_.begin()->first.first + 16 * kKeptSteps) {
    settle_ops(ops_.rbegin()->first.first - kKeptSteps);
  }
}

// Nothing is aborted or refused without a cause, and what differs is refused.
void Run::settle_ops(std::uint64_t before_step) {
  const auto end = ops_.lower_bound({before_step, 0});
  for (auto at = ops_.begin(); at != end; ++at) {
    const auto& [key, record] = *at;
    const std::string what = "op " + std::to_string(key.second) + " of step " + std::to_string(key.first) + " ";
    // Calls that differ are refused by whoever sees it first. Where a loss or a round comes meanwhile, the others hear of it by the
    // master: as aborted.
    const bool was_called_wrongly = record.done.contains("wrong");
    const bool was_ended = record.done.size() > (was_called_wrongly ? 1 : 0);
    if (record.status == "SEAWAY_ABORTED" && !was_ended &&
        !(record.may_lose && (record.fails_on_loss || was_called_wrongly))) {
      throw Violation(what + "was aborted, and nothing explains it");
    }
    if (record.status == "SEAWAY_REFUSED" && !was_called_wrongly) {
      throw Violation(what + "was refused" + (record.was_refused_and_aborted ? " or aborted" : "") +
                      ", and nothing explains it");
    }
    if (was_called_wrongly && record.status == "SEAWAY_OK" && !record.may_lose) {
      throw Violation(what + "was called differently by " + name_of(record.wrong_by) + " and committed");
    }
  }
  ops_.erase(ops_.begin(), end);
}

void Run::settle_accounts() {
  if (!ops_.empty()) {
    settle_ops(std::max(ops_.rbegin()->first.first, kKeptSteps) - kKeptSteps);
  }
  excused_.clear();
  evicted_.clear();
  may_lose_ = false;
  disk_was_full_ = false;
}

}  // namespace seaway::chaos
