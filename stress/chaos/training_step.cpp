#include <algorithm>
#include <cstdio>
#include <utility>

#include "chaos/training.h"
#include "support/process.h"

namespace seaway::chaos {

namespace {

using support::seconds_now;
using support::sleep_for;

constexpr double kNoProgress = 0.2;         // seconds
constexpr std::uint64_t kCancelledMs = 20;  // at most, after its start

}  // namespace

void Training::start(Op& op, Memory& memory, std::size_t place, const std::string& order) {
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.tag = place + 1;
  options.on_loss = op.plan.fails_on_loss ? SEAWAY_FAIL : SEAWAY_RESUME;
  seaway_buffer in{memory.in.data(), memory.in.size(), SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer out{memory.out.data(), memory.out.size(), SEAWAY_F32, SEAWAY_HOST};
  std::int32_t reduction = SEAWAY_SUM;
  if (order == "wrong") {
    switch (random_.below(3)) {
      case 0:
        reduction = SEAWAY_MAX;
        break;
      case 1:
        options.layout = 1;
        break;
      default:
        in.dtype = out.dtype = SEAWAY_I32;
    }
  } else if (order == "deadline") {
    options.deadline = static_cast<double>(random_.between(1, 50)) / 1000;
  } else if (order == "no-progress") {
    options.no_progress = kNoProgress;
  }
  if (!order.empty()) {
    std::printf("did %.6f %llu %zu %s\n", seconds_now(), print_of(step_), place + 1, order.c_str());
  }
  op.began = seconds_now();
  op.not_started = op.in_place ? seaway_all_reduce_start(comm_, &op.handle, nullptr, &in, 1, reduction, &options)
                               : seaway_all_reduce_start(comm_, &op.handle, &out, &in, 1, reduction, &options);
}

bool Training::wait(std::vector<Op>& ops) {
  std::vector<seaway_op*> handles;
  for (const Op& op : ops) {
    if (op.handle != nullptr) {
      handles.push_back(op.handle);
    }
  }
  const seaway_status status =
      handles.empty() ? SEAWAY_OK : seaway_wait(handles.data(), handles.size(), SEAWAY_ALL, arguments_.patience);
  if (status == SEAWAY_OK) {
    return true;
  }
  std::printf("%s step %llu: %s\n", status == SEAWAY_PENDING ? "hangs" : "failed", print_of(step_),
              error_text(handles.front()).c_str());
  for (seaway_op* handle : handles) {
    std::printf("log %.6f %s; %s\n", seconds_now(), seaway_status_string(seaway_test(handle, nullptr)),
                error_text(handle).c_str());
  }
  return false;
}

bool Training::is_right(const Op& op, const Memory& memory, std::size_t place, const seaway_result& result,
                        std::string& names) {
  std::vector<unsigned> replicas;
  for (std::size_t i = 0; i < result.contributor_count; ++i) {
    const auto replica = replica_of_.find(result.contributors[i].peer);
    if (replica == replica_of_.end()) {
      names = "?";
      return true;
    }
    replicas.push_back(replica->second);
    names += std::to_string(replica->second);
  }
  const std::vector<float>& sum = op.in_place ? memory.in : memory.out;
  const std::uint64_t i = support::first_wrong(op.plan.data, op.plan.data_seed, replicas, sum);
  if (i < sum.size()) {
    const float should = support::sum_of(op.plan.data, op.plan.data_seed, replicas, i);
    std::printf("wrong step %llu tag %zu over %s: element %llu is %.9g and should be %.9g", print_of(step_), place + 1,
                names.c_str(), print_of(i), static_cast<double>(sum[i]), static_cast<double>(should));
    if (op.plan.data == support::Data::digits) {
      std::printf(" (in base 8, replica 0 last: %llo, %llo)", static_cast<unsigned long long>(sum[i]),
                  static_cast<unsigned long long>(should));
    }
    std::printf("\n");
    return false;
  }
  return true;
}

// What became of a final op. False: a promise is broken.
bool Training::finish(const Op& op, const Memory& memory, std::size_t place, bool& is_evicted) {
  std::vector<seaway_contributor> contributors(kMostReplicas);
  seaway_result result;
  seaway_result_init(&result, sizeof result);
  result.contributors = contributors.data();
  result.contributor_capacity = contributors.size();
  const seaway_status status = op.handle == nullptr ? op.not_started : seaway_test(op.handle, &result);
  std::string names;
  if (status == SEAWAY_OK && !is_right(op, memory, place, result, names)) {
    return false;
  }
  if (status != SEAWAY_OK || !op.in_place) {
    const std::uint64_t i = support::first_changed(op.plan.data, op.plan.data_seed, arguments_.replica, memory.in);
    if (i < memory.in.size()) {
      std::printf("lost step %llu tag %zu, %s: element %llu of the input has changed\n", print_of(step_), place + 1,
                  seaway_status_string(status), print_of(i));
      return false;
    }
  }
  is_evicted = is_evicted || status == SEAWAY_EVICTED || status == SEAWAY_NOT_MEMBER;
  if (!is_evicted && status != SEAWAY_OK && status != SEAWAY_REFUSED && status != SEAWAY_ABORTED) {
    std::printf("failed step %llu tag %zu: %s\n", print_of(step_), place + 1, error_text(op.handle).c_str());
    return false;
  }
  std::printf("op %.6f %llu %zu %s %016llx %s %.6f %u %d\n", seconds_now(), print_of(step_), place + 1,
              seaway_status_string(status), print_of(status == SEAWAY_OK ? result.hash : 0),
              names.empty() ? "-" : names.c_str(), op.began, status == SEAWAY_OK ? result.attempts : 0,
              op.plan.fails_on_loss ? 1 : 0);
  if (status == SEAWAY_REFUSED || status == SEAWAY_ABORTED) {
    std::printf("log %.6f step %llu tag %zu: %s\n", seconds_now(), print_of(step_), place + 1,
                error_text(op.handle).c_str());
  }
  return true;
}

bool Training::step() {
  std::vector<OpPlan> plans = ops_of_step(arguments_.seed, step_, arguments_.bytes);
  if (arguments_.sites >
      0) {  // floats would show who is at a site with whom, lost ones included: a sum of digits is exact
    std::ranges::for_each(plans, [](OpPlan& plan) { plan.data = support::Data::digits; });
  }
  memory_.resize(std::max(memory_.size(), plans.size()));
  std::vector<Op> ops(plans.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    ops[i].plan = plans[i];
    ops[i].in_place = random_.one_in(2);  // members need not agree on that
    memory_[i].in.resize(plans[i].elements);
    memory_[i].out.resize(ops[i].in_place ? 0 : plans[i].elements);
    support::fill(plans[i].data, plans[i].data_seed, arguments_.replica, memory_[i].in);
  }
  const std::string order = std::exchange(order_, "");
  const bool cancels = order == "cancel";
  for (std::size_t i = 0; i < ops.size(); ++i) {
    start(ops[i], memory_[i], i, i == 0 ? order : "");
  }
  if (cancels && ops[0].handle != nullptr) {
    sleep_for(static_cast<double>(random_.below(kCancelledMs)) / 1000);
    seaway_cancel(ops[0].handle, "somebody wants it");
  }
  if (!wait(ops)) {
    return false;
  }
  bool is_evicted = false;
  bool is_good = true;
  seaway_op* witness = nullptr;
  for (std::size_t i = 0; i < ops.size() && is_good; ++i) {
    is_good = finish(ops[i], memory_[i], i, is_evicted);
    witness = is_evicted && witness == nullptr ? ops[i].handle : witness;
  }
  is_good = is_good && (!is_evicted || evicted(witness));
  for (const Op& op : ops) {
    seaway_free(op.handle);
  }
  return is_good;
}

}  // namespace seaway::chaos
