// Episodes of faults, one after another. An episode is one fault alone, by which its class is measured and judged exactly, or some of
// different classes that overlap; when the last is healed, every replica has to take part in an op of all again, within a bound that
// follows from the ladder.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chaos/allowed.h"
#include "chaos/options.h"
#include "chaos/run.h"
#include "chaos/stage.h"

namespace seaway::chaos {

class Campaign {
 public:
  Campaign(Lab& lab, Run& run, const Options& options);

  // Until the time is over, or a Violation is thrown.
  void run();
  void print_report() const;

 private:
  // A fault whose survivors have not all gone on yet.
  struct Open {
    std::string name;
    double began = 0;
    std::set<unsigned> survivors;
    bool is_alone = false;
  };

  void begin_run();
  void episode();
  bool begin_fault(const FaultClass& fault, bool is_alone);
  const FaultClass& draw_class();
  std::vector<const FaultClass*> draw_hand();
  void hear_strangers();
  void judge_strangers();
  bool is_whole(double since) const;
  void become_whole(double since);
  void listen(double until);
  void on_commit(const Trainer& trainer, double began, double ended);
  void print_progress();
  void say(const std::string& text) const;

  Lab& lab_;
  Run& run_;
  Options options_;
  Random random_;
  std::vector<const FaultClass*> classes_;
  std::vector<const FaultClass*> deck_;  // every class comes once before any comes twice; the last is the next
  Timeline timeline_;
  Allowed allowed_;
  std::set<unsigned> touched_;
  std::vector<std::unique_ptr<support::Process>> helpers_;
  std::vector<Open> open_;
  std::string now_;  // what this episode does
  unsigned faults_ = 0;
  std::map<std::string, unsigned> faults_by_class_;
  std::map<std::string, std::vector<double>> recovery_;  // by class, of faults that were alone
  std::map<std::string, std::vector<double>> recovery_beside_others_;
  std::vector<double> in_charge_;                // after the start of a master that alone had died
  std::vector<double> in_charge_beside_others_;  // or with something else, for which it had to wait
  std::vector<double> whole_;                    // from healed to whole
  std::map<std::string, unsigned> did_;
  std::map<std::string, unsigned> impostors_;  // by kind and outcome
  std::map<std::string, unsigned> impostors_now_;
  unsigned episodes_ = 0;
  double started_ = 0;
  double said_ = 0;
};

}  // namespace seaway::chaos
