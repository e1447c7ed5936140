// What a fault may use while it is set up: it acts at once, and leaves on the timeline what it does later. A timeline that is empty
// means that everything is healed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "chaos/allowed.h"
#include "chaos/lab.h"
#include "chaos/run.h"

namespace seaway::chaos {

class Timeline {
 public:
  void at(double time, std::function<void()> action) { actions_.emplace(time, std::move(action)); }
  bool empty() const { return actions_.empty(); }
  double next() const { return actions_.begin()->first; }
  void run_due(double now) {
    while (!actions_.empty() && actions_.begin()->first <= now) {
      const auto action = actions_.extract(actions_.begin());
      action.mapped()();
    }
  }

 private:
  std::multimap<double, std::function<void()>> actions_;
};

// Of one fault.
struct Stage {
  Lab& lab;
  Run& run;
  Random& random;
  Timeline& timeline;
  Allowed& allowed;                                         // what may come of this episode
  std::set<unsigned>& touched;                              // replicas that a fault of this episode has as its victims
  std::vector<std::unique_ptr<support::Process>>& helpers;  // ended with the episode
  bool is_alone = true;                                     // no other fault in this episode
  double longest_without_master = 8;                        // seconds
  std::set<unsigned> victims = {};

  double now() const { return support::seconds_now(); }
  void after(double seconds, std::function<void()> action) { timeline.at(now() + seconds, std::move(action)); }
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(random.below(1 << 20)) / (1 << 20);
  }
  // Mostly short, so that there is time for many; one in six is as long as a promise has to bear.
  double mostly_between(double low, double high, double highest) {
    return random.one_in(6) ? between(high, highest) : between(low, high);
  }
  // A replica that no fault has touched, so long as another one stays that none has. It becomes a victim.
  std::optional<unsigned> victim();
  // Any replica that lives, untouched or not.
  std::optional<unsigned> anybody();
};

struct FaultClass {
  const char* name;
  const char* does;
  std::optional<Ability> needs;
  bool lasts;  // for seconds, mostly: there is time for others beside it
  // Says what it did; "": it found no victim.
  std::string (*begin)(Stage& stage);
};
const std::vector<FaultClass>& fault_classes();

// Of faults_*.cpp.
std::string kill_peers(Stage& stage);
std::string stop_peer_shortly(Stage& stage);
std::string stop_peer_long(Stage& stage);
std::string storm(Stage& stage);
std::string call_wrongly(Stage& stage);
std::string end_an_op(Stage& stage);
std::string send_strangers(Stage& stage);
std::string cut_peers(Stage& stage);
std::string cut_from_master(Stage& stage);
std::string isolate_peer(Stage& stage);
std::string reset_connections(Stage& stage);
std::string kill_master(Stage& stage);
std::string kill_masters(Stage& stage);
std::string stop_master(Stage& stage);
std::string jump_clock(Stage& stage);
std::string fill_disk(Stage& stage);

std::string in_seconds(double seconds);  // "1.25 s"

}  // namespace seaway::chaos
