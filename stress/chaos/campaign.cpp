#include "chaos/campaign.h"

#include <algorithm>
#include <cstdio>

#include "support/figures.h"

namespace seaway::chaos {

namespace {

using support::percentile;
using support::seconds_now;

constexpr double kTurn = 0.05;
constexpr double kProgress = 5;     // seconds between two lines
constexpr double kMostPause = 1.5;  // between two episodes
constexpr double kMostOverlap = 3;  // from the first fault of an episode to another

}  // namespace

Campaign::Campaign(Lab& lab, Run& run, const Options& options)
    : lab_(lab), run_(run), options_(options), random_(Random(options.seed).next()) {
  for (const FaultClass& fault : fault_classes()) {
    if (options.wants(fault.name) && (!fault.needs || lab.can(*fault.needs))) {
      classes_.push_back(&fault);
    }
  }
  run_.on_commit = [this](const Trainer& trainer, double began, double ended) { on_commit(trainer, began, ended); };
  run_.on_did = [this](const std::string& what) { ++did_[what]; };
  run_.on_note = [this](const std::string& what) { say(what); };
}

void Campaign::say(const std::string& text) const {
  std::printf("%7.1f s  %s\n", seconds_now() - started_, text.c_str());
  std::fflush(stdout);
}

void Campaign::print_progress() {
  if (seconds_now() < said_ + kProgress) {
    return;
  }
  said_ = seconds_now();
  const Tallies& tallies = run_.tallies();
  std::string members;
  for (unsigned replica = 0; replica < kMostReplicas; ++replica) {
    if (const Trainer* trainer = run_.trainer(replica)) {
      members += (members.empty() ? "" : " ") + trainer->name() + (trainer->is_member ? "" : "(out)");
    }
  }
  say(std::to_string(faults_) + " faults, ops: " + std::to_string(tallies.committed) + " committed, " +
      std::to_string(tallies.aborted) + " aborted, " + std::to_string(tallies.refused) + " refused; " + members +
      (run_.has_master() ? "" : ", no master") + (now_.empty() ? "" : "; " + now_));
}

void Campaign::listen(double until) {
  do {
    timeline_.run_due(seconds_now());
    double turn = std::min(until, seconds_now() + kTurn);
    turn = timeline_.empty() ? turn : std::min(turn, timeline_.next());
    run_.listen(turn);
    print_progress();
  } while (seconds_now() < until);
}

// Of an op that began after a fault: it shows that its trainer has gone on.
void Campaign::on_commit(const Trainer& trainer, double began, double ended) {
  for (Open& open : open_) {
    if (began < open.began || open.survivors.erase(trainer.replica) == 0 || !open.survivors.empty()) {
      continue;
    }
    (open.is_alone ? recovery_[open.name] : recovery_of_several_).push_back(ended - open.began);
  }
}

// --- Whole ----------------------------------------------------------------------------------------------------------

// Everyone has committed an op over everyone that began after `since`, and nobody else is there.
bool Campaign::is_whole(double since) const {
  for (unsigned replica = 0; replica < run_.config().world; ++replica) {
    const Trainer* trainer = run_.trainer(replica);
    if (trainer == nullptr || trainer->may_end || trainer->began_last_full < since) {
      return false;
    }
  }
  return run_.has_master() && run_.all_is_well() && run_.everybody_has_ended(run_.config().world);
}

void Campaign::become_whole(double since) {
  const double give_up = since + run_.config().patience;
  // A decision that a fault explains may still be on its way: it would come after what explains it is forgotten.
  run_.ask_whether_all_is_well();
  while (!is_whole(since)) {
    if (seconds_now() > give_up) {
      throw Violation("a hang: not everyone is back in the run " +
                      std::to_string(static_cast<int>(run_.config().patience)) + " s after everything was healed");
    }
    listen(seconds_now() + kTurn);
  }
}

void Campaign::begin_run() {
  started_ = said_ = seconds_now();
  run_.start_master();
  for (unsigned replica = 0; replica < run_.config().world; ++replica) {
    run_.start_trainer(replica, true);
  }
  become_whole(started_);
  run_.back_in_charge.clear();
  run_.settle_accounts();
  say("the run is formed: " + std::to_string(run_.config().world) + " trainers");
}

// --- Episodes -------------------------------------------------------------------------------------------------------

const FaultClass& Campaign::draw_class() {
  if (deck_.empty()) {
    deck_ = classes_;
    for (std::size_t i = deck_.size(); i > 1; --i) {
      std::swap(deck_[i - 1], deck_[random_.below(i)]);
    }
  }
  const FaultClass& fault = *deck_.back();
  deck_.pop_back();
  return fault;
}

bool Campaign::begin_fault(const FaultClass& fault, bool is_alone) {
  Stage stage{.lab = lab_,
              .run = run_,
              .random = random_,
              .timeline = timeline_,
              .touched = touched_,
              .helpers = helpers_,
              .is_alone = is_alone};
  if (options_.every > 0) {
    stage.longest_without_master = options_.every / 2;
  }
  Open open{.name = fault.name, .began = seconds_now(), .survivors = {}, .is_alone = is_alone};
  const std::string story = fault.begin(stage);
  if (story.empty()) {
    return false;
  }
  ++faults_;
  ++faults_by_class_[fault.name];
  now_ += (now_.empty() ? "" : "; ") + std::string(fault.name);
  if (options_.is_verbose) {
    say(std::string(fault.name) + ": " + story);
  }
  for (unsigned replica = 0; replica < run_.config().world; ++replica) {
    if (run_.lives(replica) && !touched_.contains(replica) && !stage.victims.contains(replica)) {
      open.survivors.insert(replica);
    }
  }
  // Who is a victim now survives no earlier fault.
  for (Open& earlier : open_) {
    for (const unsigned victim : stage.victims) {
      earlier.survivors.erase(victim);
    }
  }
  must_go_ = is_alone ? stage.must_go : std::set<unsigned>{};
  open_.push_back(std::move(open));
  return true;
}

void Campaign::episode() {
  ++episodes_;
  const std::uint64_t drawn = random_.below(20);
  const unsigned faults = options_.every > 0 || drawn < 14 ? 1 : drawn < 19 ? 2 : 3;
  now_.clear();
  for (unsigned i = 0; i < faults; ++i) {
    const FaultClass& fault = draw_class();
    if (i > 0) {
      listen(seconds_now() + kMostOverlap * static_cast<double>(random_.below(1000)) / 1000);
    }
    begin_fault(fault, faults == 1);
  }
  while (!timeline_.empty()) {
    listen(timeline_.next());
  }
  helpers_.clear();
  const double healed = seconds_now();
  become_whole(healed);
  whole_.push_back(seconds_now() - healed);
  for (const unsigned replica : must_go_) {
    if (!run_.was_evicted(replica)) {
      throw Violation(name_of(replica) + " was gone for long and not evicted: " + now_);
    }
  }
  const bool is_masters_alone = faults == 1 && now_.starts_with("master");
  std::vector<double>& in_charge = is_masters_alone ? in_charge_ : in_charge_beside_others_;
  in_charge.insert(in_charge.end(), run_.back_in_charge.begin(), run_.back_in_charge.end());
  if (options_.is_verbose && !run_.back_in_charge.empty()) {
    say("in charge " + in_seconds(run_.back_in_charge.back()) + " after its start");
  }
  run_.back_in_charge.clear();
  run_.settle_accounts();
  open_.clear();
  touched_.clear();
  must_go_.clear();
  now_.clear();
}

void Campaign::run() {
  if (classes_.empty()) {
    throw Violation("no class of faults is left");
  }
  begin_run();
  const double end = seconds_now() + options_.minutes * 60;
  while (options_.count > 0 ? faults_ < options_.count : seconds_now() < end) {
    const double began = seconds_now();
    episode();
    listen(options_.every > 0 ? began + options_.every
                              : seconds_now() + kMostPause * static_cast<double>(random_.below(1000)) / 1000);
  }
  run_.finish();
}

// --- The report -----------------------------------------------------------------------------------------------------

void Campaign::print_report() const {
  const Tallies& tallies = run_.tallies();
  const auto print_of = [](std::uint64_t number) { return static_cast<unsigned long long>(number); };
  const auto row = [](const std::string& name, const std::string& faults, const std::vector<double>& values) {
    std::printf("%-40s %6s", name.c_str(), faults.c_str());
    if (values.empty()) {
      std::printf("\n");
    } else {
      std::printf("  %10.3f / %9.3f\n", percentile(values, .5), percentile(values, .99));
    }
  };
  std::printf(
      "\nSeconds until every survivor has committed an op that began after the fault, where nothing else happened:\n");
  std::printf("%-40s %6s  %22s\n", "class", "faults", "p50 / p99");
  for (const FaultClass& fault : fault_classes()) {
    const auto faults = faults_by_class_.find(fault.name);
    if (faults != faults_by_class_.end()) {
      const auto values = recovery_.find(fault.name);
      row(fault.name, std::to_string(faults->second),
          values == recovery_.end() ? std::vector<double>{} : values->second);
    }
  }
  row("(one of two or three that overlap)", std::to_string(recovery_of_several_.size()), recovery_of_several_);
  std::printf("\nSeconds until\n");
  row("a master is in charge after its start", std::to_string(in_charge_.size()), in_charge_);
  row("the same, with other faults", std::to_string(in_charge_beside_others_.size()), in_charge_beside_others_);
  row("all are back after everything is healed", std::to_string(whole_.size()), whole_);
  std::printf(
      "\nops: %llu committed, of them %llu in more than one attempt; %llu aborted, %llu refused, "
      "%llu ended "
      "by an eviction\n",
      print_of(tallies.committed), print_of(tallies.resumed), print_of(tallies.aborted), print_of(tallies.refused),
      print_of(tallies.evicted));
  if (tallies.unverified > 0) {
    std::printf("     %llu of them over somebody whom the trainer never saw in a view: hashes alone were compared\n",
                print_of(tallies.unverified));
  }
  std::printf("joins: %llu, refused for the moment %llu; evictions: %llu, all explained; on order:",
              print_of(tallies.joins), print_of(tallies.refused_joins), print_of(tallies.evictions));
  for (const auto& [what, times] : did_) {
    std::printf(" %s %u", what.c_str(), times);
  }
  std::printf("\n%u faults in %u episodes, %u trainers, %.0f s\n", faults_, episodes_, run_.config().world,
              seconds_now() - started_);
}

}  // namespace seaway::chaos
