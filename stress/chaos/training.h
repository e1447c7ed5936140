// The trainer of trainer.h: training.cpp is its membership and the orders that it takes, training_step.cpp what it does in a step.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "chaos/program.h"
#include "chaos/trainer.h"
#include "seaway/seaway.h"

namespace seaway::chaos {

inline unsigned long long print_of(std::uint64_t number) { return number; }

class Training {
 public:
  explicit Training(const TrainerArguments& arguments)
      : arguments_(arguments), random_(arguments.seed ^ Random(arguments.replica + 1).next()) {}
  ~Training();
  int run();

 private:
  // An op of this step: what it is to be, and the memory that it has.
  struct Op {
    OpPlan plan;
    bool in_place = false;
    seaway_op* handle = nullptr;
    double began = 0;
    seaway_status not_started = SEAWAY_OK;
  };
  struct Memory {
    std::vector<float> in;
    std::vector<float> out;
  };

  bool create();
  bool join();
  void say_joined();
  bool update();
  void look_at(const seaway_view* view);
  bool obey();
  bool evicted(seaway_op* op);
  bool step();
  void start(Op& op, Memory& memory, std::size_t place, const std::string& order);
  bool wait(std::vector<Op>& ops);
  bool finish(const Op& op, const Memory& memory, std::size_t place, bool& is_evicted);
  bool is_right(const Op& op, const Memory& memory, std::size_t place, const seaway_result& result, std::string& names);
  void tell_events();
  std::string error_text(seaway_op* op) const;

  const TrainerArguments arguments_;
  Random random_;
  seaway_comm* comm_ = nullptr;
  std::map<std::uint64_t, unsigned> replica_of_;
  std::uint64_t step_ = 0;
  std::vector<Memory> memory_;
  std::string order_;   // for the next step
  std::string unread_;  // of stdin
  std::atomic<bool> over_ = false;
  std::thread events_;
};

}  // namespace seaway::chaos
