#include "chaos/campaign.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "chaos/impostors.h"
#include "support/figures.h"

namespace seaway::chaos {

namespace {

using support::percentile;
using support::seconds_now;

constexpr double kTurn = 0.05;
constexpr double kProgress = 5;            // seconds between two lines
constexpr double kMostPause = 0.4;         // between two episodes
constexpr double kMostOverlap = 0.7;       // from one fault of an episode to the next
constexpr std::uint64_t kMostFaults = 12;  // in one episode
constexpr double kStrangersEnd = 5;        // seconds that their last attempts may take

}  // namespace

Campaign::Campaign(Lab& lab, Run& run, const Options& options)
    : lab_(lab), run_(run), options_(options), random_(Random(options.seed).next()), allowed_(run) {
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
    (open.is_alone ? recovery_ : recovery_beside_others_)[open.name].push_back(ended - open.began);
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
  run_.join_string();
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

// Of different classes: two of one class would share what they change, and the first that heals would heal both.
std::vector<const FaultClass*> Campaign::draw_hand() {
  const std::size_t most = options_.every > 0 || random_.below(5) < 2 ? 1 : random_.between(3, kMostFaults);
  std::vector<const FaultClass*> hand;
  std::vector<const FaultClass*> later;
  while (hand.size() < std::min(most, classes_.size())) {
    const FaultClass& fault = draw_class();
    const bool is_there = std::find(hand.begin(), hand.end(), &fault) != hand.end();
    (is_there ? later : hand).push_back(&fault);
  }
  deck_.insert(deck_.end(), later.begin(), later.end());
  // What lasts first, mostly: the others then come meanwhile.
  if (!random_.one_in(3)) {
    std::partition(hand.begin(), hand.end(), [](const FaultClass* fault) { return fault->lasts; });
  }
  return hand;
}

bool Campaign::begin_fault(const FaultClass& fault, bool is_alone) {
  Stage stage{.lab = lab_,
              .run = run_,
              .random = random_,
              .timeline = timeline_,
              .allowed = allowed_,
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
  open_.push_back(std::move(open));
  return true;
}

// They go on for as long as their last attempt takes.
void Campaign::hear_strangers() {
  const double give_up = seconds_now() + kStrangersEnd;
  std::vector<support::Process*> open;
  open.reserve(helpers_.size());
  for (const auto& helper : helpers_) {
    open.push_back(helper.get());
  }
  for (;;) {
    std::erase_if(open, [](const support::Process* helper) { return !helper->is_open(); });
    if (open.empty() || seconds_now() > give_up) {
      break;
    }
    support::listen(open, seconds_now());
    listen(seconds_now() + kTurn);
  }
  for (const auto& helper : helpers_) {
    std::istringstream lines(helper->output());
    for (std::string line; std::getline(lines, line);) {
      ++impostors_[line];
      ++impostors_now_[line];
      if (line.ends_with("let in")) {
        throw Violation("a stranger was let in: " + line);
      }
    }
  }
}

// Who was refused was counted, by a master that has lived through it.
void Campaign::judge_strangers() {
  const auto counted = [&](const std::string& reason) { return run_.status().find(reason) != std::string::npos; };
  if (!helpers_.empty() && !allowed_.master_was_hindered()) {
    const std::string refused = std::string(kWrongToken) + " SEAWAY_JOIN_REFUSED";
    if (counted("\"refusals\":{}") || (impostors_now_.contains(refused) && !counted(kWrongTokenReason))) {
      throw Violation("strangers were refused and not counted: " + run_.status());
    }
  }
  helpers_.clear();
  impostors_now_.clear();
}

void Campaign::episode() {
  ++episodes_;
  now_.clear();
  const std::vector<const FaultClass*> hand = draw_hand();
  const bool is_alone = hand.size() == 1;
  bool is_first = true;
  for (const FaultClass* fault : hand) {
    if (!is_first) {
      listen(seconds_now() + kMostOverlap * static_cast<double>(random_.below(1000)) / 1000);
    }
    const bool begun = begin_fault(*fault, is_alone);
    is_first = is_first && !begun;
    if (!begun) {
      deck_.push_back(fault);  // it finds a victim in the next episode
    }
  }
  while (!timeline_.empty()) {
    listen(timeline_.next());
  }
  hear_strangers();
  const double healed = seconds_now();
  become_whole(healed);
  whole_.push_back(seconds_now() - healed);
  judge_strangers();
  const bool is_masters_alone = is_alone && now_.starts_with("master");
  std::vector<double>& in_charge = is_masters_alone ? in_charge_ : in_charge_beside_others_;
  in_charge.insert(in_charge.end(), run_.back_in_charge.begin(), run_.back_in_charge.end());
  if (options_.is_verbose && !run_.back_in_charge.empty()) {
    say("in charge " + in_seconds(run_.back_in_charge.back()) + " after its start");
  }
  run_.back_in_charge.clear();
  allowed_.settle(now_);
  run_.settle_accounts();
  open_.clear();
  touched_.clear();
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
  const auto figures = [](const std::vector<double>& values) {
    char text[64];
    std::snprintf(text, sizeof text, "%5zu %9.3f / %7.3f", values.size(), percentile(values, .5),
                  percentile(values, .99));
    return std::string(values.empty() ? "    0" : text);
  };
  const auto of_class = [](const std::map<std::string, std::vector<double>>& all, const char* name) {
    const auto values = all.find(name);
    return values == all.end() ? std::vector<double>{} : values->second;
  };
  std::printf("\nSeconds until every survivor has committed an op that began after the fault:\n");
  std::printf("%-14s %6s   %-26s  %s\n", "class", "faults", "alone      p50 / p99", "beside others  p50 / p99");
  for (const FaultClass& fault : fault_classes()) {
    if (const auto faults = faults_by_class_.find(fault.name); faults != faults_by_class_.end()) {
      std::printf("%-14s %6u   %-26s  %s\n", fault.name, faults->second,
                  figures(of_class(recovery_, fault.name)).c_str(),
                  figures(of_class(recovery_beside_others_, fault.name)).c_str());
    }
  }
  std::printf("\nSeconds until\n");
  std::printf("%-42s %s\n", "a master is in charge after its start", figures(in_charge_).c_str());
  std::printf("%-42s %s\n", "the same, with other faults", figures(in_charge_beside_others_).c_str());
  std::printf("%-42s %s\n", "all are back after everything is healed", figures(whole_).c_str());
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
  std::printf("\nimpostors:");
  for (const auto& [what, times] : impostors_) {
    std::printf(" %s %u;", what.c_str(), times);
  }
  const double seconds = seconds_now() - started_;
  std::printf("\n%u faults in %u episodes, %u trainers, %.0f s: %.1f faults a minute\n", faults_, episodes_,
              run_.config().world, seconds, faults_ * 60 / seconds);
}

}  // namespace seaway::chaos
