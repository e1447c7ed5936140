// The master dies. It keeps nothing on disk: the one that is started on its address has the run from its members.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>

#include "e2e/cluster.h"

namespace seaway::e2e {

namespace {

constexpr unsigned kWorld = 3;
const Load kLoad{.mib = 16, .ops = 2};  // long enough that a moment is found in which everyone is in an op
constexpr double kPatience = 30;
constexpr double kResolved = 10;  // seconds: a new master waits `evict`, 3 s, for members that do not come

std::uint64_t last_started(const Worker& worker) {
  return worker.starts.empty() ? 0 : std::stoull(worker.starts.back().text);
}

// Everyone has started the same step and has not ended it.
bool all_are_in_one_step(const std::vector<Worker*>& workers) {
  return std::all_of(workers.begin(), workers.end(), [&](const Worker* worker) {
    return worker->is_in_op() && last_started(*worker) == last_started(*workers.front());
  });
}

// The ops that were in flight then, of all workers.
std::vector<const Op*> in_flight_at(const std::vector<Worker*>& workers, double time) {
  std::vector<const Op*> list;
  for (const Worker* worker : workers) {
    for (const Op& op : worker->ops) {
      if (op.began < time && op.began + op.seconds > time) {
        list.push_back(&op);
      }
    }
  }
  return list;
}

bool all_have(const std::vector<Worker*>& workers, const std::function<bool(const Op&)>& what) {
  return std::all_of(workers.begin(), workers.end(),
                     [&](const Worker* worker) { return std::any_of(worker->ops.rbegin(), worker->ops.rend(), what); });
}

}  // namespace

TEST_CASE(
    "a master is killed with ops in flight and started again: they finish, nobody restarts, losses are resolved") {
  Cluster cluster(kWorld, kLoad);
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.wait_for_ops(all, 4, kPatience);
  const Epoch formed = all[0]->ops.back().epoch;

  // The master alone.
  cluster.wait_for("everyone to be in one step", kPatience, [&] { return all_are_in_one_step(all); });
  const double killed = seconds_now();
  cluster.kill_master();
  cluster.wait_for_ops(all, 3 * kLoad.ops, kPatience);
  const std::vector<const Op*> in_flight = in_flight_at(all, killed);
  CHECK(in_flight.size() >= kWorld);
  for (const Op* op : in_flight) {
    CHECK(op->contributors == "012");
    CHECK(op->attempts == 1);  // the master has no part in them
    CHECK(op->epoch == formed);
  }
  const double started = seconds_now();
  cluster.start_master();
  cluster.wait_for("ops under the new master", kPatience,
                   [&] { return all_have(all, [&](const Op& op) { return op.epoch.term > formed.term; }); });
  const Epoch second = all[0]->ops.back().epoch;
  double adopted = 0;
  std::size_t without_master = 0;
  for (const Worker* worker : all) {
    const auto first =
        std::find_if(worker->ops.begin(), worker->ops.end(), [&](const Op& op) { return op.epoch.term > formed.term; });
    adopted = std::max(adopted, first->time - started);
    CHECK(first->contributors == "012");
    CHECK(first->epoch.number == formed.number + 1);
    without_master += std::count_if(worker->ops.begin(), worker->ops.end(),
                                    [&](const Op& op) { return op.began > killed && op.time < started; });
  }
  std::printf(
      "master killed with %zu ops in flight: all finished undisturbed, and %zu more began and ended without a master;\n"
      "  %.3f s after its restart all were in epoch %u of a new term (before: %u)\n",
      in_flight.size(), without_master, adopted, second.number, formed.number);

  // The master, and then a member: in the middle of an op, which cannot end before a master says without whom.
  cluster.wait_for("everyone to be in one step", kPatience, [&] { return all_are_in_one_step(all); });
  cluster.kill_master();
  cluster.wait_for_ops(all, kLoad.ops, kPatience);
  cluster.wait_for("everyone to be in one step", kPatience, [&] { return all_are_in_one_step(all); });
  Worker& victim = *all[1];
  const std::vector<Worker*> survivors{all[0], all[2]};
  const double lost = seconds_now();
  cluster.kill_worker(victim);
  cluster.wait_for("the survivors to wait in one op", kPatience, [&] {
    return all_are_in_one_step(survivors) &&
           std::all_of(survivors.begin(), survivors.end(), [&](const Worker* survivor) {
             return std::any_of(survivor->log.begin(), survivor->log.end(), [&](const Event& event) {
               return event.time > lost &&
                      event.text.starts_with("a connection to peer " + victim.lives.back().peer + " ended");
             });
           });
  });
  // Longer than a master needs to resolve a loss: without one they wait.
  cluster.listen_for(1);
  REQUIRE(all_are_in_one_step(survivors));
  const std::uint64_t open_step = last_started(*survivors[0]);
  const double restarted = seconds_now();
  cluster.start_master();
  const double resolved = cluster.wait_for("the loss to be resolved", kResolved, [&] {
    return all_have(survivors, [&](const Op& op) { return op.step == open_step; });
  });
  cluster.wait_for_ops(survivors, 4 * kLoad.ops, kPatience);
  unsigned over_two = 0;
  for (const Worker* survivor : survivors) {
    for (const Op& op : survivor->ops) {
      if (op.step == open_step && op.contributors == "02") {
        ++over_two;
        CHECK(op.epoch.term > second.term);
        CHECK(op.attempts > 1);
      }
    }
    CHECK(survivor->ops.back().contributors == "02");
  }
  const Epoch third = survivors[0]->ops.back().epoch;
  CHECK(third.term > second.term);
  CHECK(third.number > second.number);
  std::printf(
      "killed the master, then a member in an op: the survivors waited %.3f s for a master, and committed step %llu\n"
      "  %.3f s after it was there (%u of %u results over the two); epoch %u of a third term\n",
      restarted - lost, static_cast<unsigned long long>(open_step), resolved, over_two, 2 * kLoad.ops, third.number);
  CHECK(over_two > 0);

  // Joins go on too.
  Worker& newcomer = cluster.add_worker(1);
  cluster.wait_for("a newcomer's first op", kPatience, [&] {
    return all_have({all[0], all[2], &newcomer},
                    [&](const Op& op) { return op.contributors == "012" && op.time > restarted; });
  });
  std::printf("a newcomer contributes after both restarts, in epoch %u\n", newcomer.ops.back().epoch.number);
  for (const auto& worker : cluster.workers()) {
    CHECK(worker->lives.size() == 1);
    CHECK(worker->evictions.empty());
  }
  cluster.finish();
}

}  // namespace seaway::e2e
