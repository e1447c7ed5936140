// A master with a folder for its state, killed at any moment: the one after it knows what it knew.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

#include "base/random.h"
#include "e2e/cluster.h"
#include "support/temporary_folder.h"

namespace seaway::e2e {

namespace {

constexpr unsigned kWorld = 3;
constexpr unsigned kKills = 10;
constexpr double kPatience = 30;

bool all_over(const std::vector<Worker*>& workers, const std::string& contributors, double since) {
  return std::all_of(workers.begin(), workers.end(), [&](const Worker* worker) {
    return std::any_of(worker->ops.rbegin(), worker->ops.rend(),
                       [&](const Op& op) { return op.began > since && op.contributors == contributors; });
  });
}

}  // namespace

TEST_CASE(
    "a master with a state folder, killed again and again: nobody notices, and what happened meanwhile is resolved") {
  const support::TemporaryFolder folder;
  Cluster cluster(kWorld, {.mib = 4, .ops = 2, .state = folder.path()});
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.wait_for_ops(all, 4, kPatience);
  const Epoch formed = all[0]->ops.back().epoch;

  Random random(20261125);
  for (unsigned kill = 0; kill < kKills; ++kill) {
    cluster.listen_for(static_cast<double>(random.below(300)) / 1000);
    cluster.kill_master();
    cluster.listen_for(static_cast<double>(random.below(300)) / 1000);
    cluster.start_master();
    cluster.wait_for_ops(all, 2, kPatience);
  }
  std::size_t ops = 0;
  for (const Worker* worker : all) {
    ops += worker->ops.size();
    for (const Op& op : worker->ops) {
      REQUIRE(op.contributors == "012");
      REQUIRE(op.attempts == 1);
      REQUIRE(op.epoch == formed);  // the stored one, announced again and again
    }
  }
  std::printf("%u masters killed: %zu ops of 4 MiB committed, all at their first attempt and in the first epoch\n",
              kKills, ops);

  Process second(SEAWAY_PROGRAM, {"master", "--listen", "127.0.0.1:0", "--plaintext", "--state", folder.path()});
  const int status = second.wait();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) != 0);
  CHECK(second.errors().find("belongs to a master that runs") != std::string::npos);

  cluster.kill_master();
  cluster.kill_worker(*all[1]);
  const double killed = seconds_now();
  cluster.listen_for(1);
  cluster.start_master();
  const double resolved =
      cluster.wait_for("an op of the other two", kPatience, [&] { return all_over({all[0], all[2]}, "02", killed); });
  CHECK(all[0]->ops.back().epoch.number == formed.number + 1);
  Worker& newcomer = cluster.add_worker(1);
  cluster.wait_for("a newcomer's first op", kPatience,
                   [&] { return all_over({all[0], all[2], &newcomer}, "012", killed); });
  CHECK(newcomer.ops.back().epoch.number == formed.number + 2);
  std::printf("a member lost while there was no master: resolved %.3f s after the next one's start\n", resolved);
  for (const auto& worker : cluster.workers()) {
    CHECK(worker->lives.size() == 1);
    CHECK(worker->evictions.empty());
  }
  cluster.finish();
}

}  // namespace seaway::e2e
