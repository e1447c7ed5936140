// A peer that stops: SIGSTOP is what a suspended laptop, a swapping machine or a debugger looks like to the others.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "e2e/cluster.h"

namespace seaway::e2e {

namespace {

constexpr unsigned kWorld = 3;
constexpr unsigned kVictim = 1;
constexpr double kShortStop = 1;
constexpr double kLongStop = 20;
constexpr double kMostWithout = 5;  // seconds after the stop in which the others have to commit again
constexpr double kPatience = 30;

double longest_since(const Worker& worker, std::size_t from) {
  double longest = 0;
  for (std::size_t i = from; i < worker.ops.size(); ++i) {
    longest = std::max(longest, worker.ops[i].seconds);
  }
  return longest;
}

// The first op over exactly these contributors, after this time.
const Op* first_over(const Worker& worker, const std::string& contributors, double since) {
  const auto op = std::find_if(worker.ops.begin(), worker.ops.end(),
                               [&](const Op& o) { return o.time >= since && o.contributors == contributors; });
  return op == worker.ops.end() ? nullptr : &*op;
}

}  // namespace

TEST_CASE("a peer that stops for 1 s stays; one that stops for 20 s is evicted, learns it and comes back") {
  Cluster cluster(kWorld, {.mib = 1, .ops = 1});
  Worker& victim = cluster.worker(kVictim);
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.wait_for_ops(all, 20, kPatience);
  const Epoch formed = victim.ops.back().epoch;

  std::vector<std::size_t> before;
  for (const Worker* worker : all) {
    before.push_back(worker->ops.size());
  }
  victim.process().signal(SIGSTOP);
  cluster.listen_for(kShortStop);
  victim.process().signal(SIGCONT);
  cluster.wait_for_ops(all, 20, kPatience);
  double longest = 0;
  for (std::size_t w = 0; w < all.size(); ++w) {
    longest = std::max(longest, longest_since(*all[w], before[w]));
    for (std::size_t i = before[w]; i < all[w]->ops.size(); ++i) {
      const Op& op = all[w]->ops[i];
      REQUIRE(op.contributors == "012");
      REQUIRE(op.attempts == 1);
      REQUIRE(op.epoch == formed);
    }
    CHECK(all[w]->evictions.empty());
    CHECK(all[w]->lives.size() == 1);
  }
  CHECK(longest > kShortStop / 2);  // the stop fell into an op
  std::printf("stopped for 1 s: nobody evicted, epoch unchanged; the longest op took %.3f s, of %zu\n", longest,
              victim.ops.size() - before[kVictim]);

  // The others have the op that waits for the victim behind them when they commit one without it.
  const double stopped = seconds_now();
  victim.process().signal(SIGSTOP);
  cluster.wait_for("an op without the victim", kPatience, [&] {
    return first_over(cluster.worker(0), "02", stopped) != nullptr &&
           first_over(cluster.worker(2), "02", stopped) != nullptr;
  });
  const double without =
      std::max(first_over(cluster.worker(0), "02", stopped)->time, first_over(cluster.worker(2), "02", stopped)->time) -
      stopped;
  CHECK(without < kMostWithout);
  const std::size_t resumed_at = cluster.worker(0).ops.size();
  cluster.listen_for(stopped + kLongStop - seconds_now());
  const std::size_t went_on = cluster.worker(0).ops.size() - resumed_at;
  CHECK(went_on > 20);
  CHECK(victim.evictions.empty());

  const double continued = seconds_now();
  victim.process().signal(SIGCONT);
  cluster.wait_for("the victim to learn that it was evicted", kPatience, [&] { return !victim.evictions.empty(); });
  CHECK(victim.evictions.front().text.starts_with("SEAWAY_EVICTED"));
  CHECK(victim.evictions.front().text.find("silent for") != std::string::npos);
  cluster.wait_for("the victim to join again", kPatience, [&] { return victim.lives.size() == 2; });
  cluster.wait_for("an op of all", kPatience, [&] {
    return std::all_of(all.begin(), all.end(),
                       [&](const Worker* worker) { return first_over(*worker, "012", continued) != nullptr; });
  });
  CHECK(victim.evictions.size() == 1);
  CHECK(victim.lives[0].peer != victim.lives[1].peer);
  std::printf(
      "stopped for 20 s: the others committed without it %.3f s after the stop, and %zu ops until it was continued;\n"
      "  after SIGCONT it knew of its eviction in %.3f s, was a member in %.3f s, contributed in %.3f s\n"
      "  its error: %s\n",
      without, went_on, victim.evictions.front().time - continued, victim.lives[1].time - continued,
      first_over(victim, "012", continued)->time - continued, victim.evictions.front().text.c_str());
  cluster.finish();
}

}  // namespace seaway::e2e
