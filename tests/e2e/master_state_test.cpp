// A master with a folder for its state, killed at any moment: the one after it knows what it knew.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>

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

TEST_CASE("an older copy of the state is noticed by the first peer that knows more, and nobody restarts") {
  const support::TemporaryFolder folder;
  const std::string state = folder.path() + "/state";
  const std::string copy = folder.path() + "/copy";
  Cluster cluster(kWorld, {.mib = 1, .ops = 1, .state = state});
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.kill_master();
  std::filesystem::copy(state, copy);
  cluster.start_master();
  cluster.kill_worker(*all[2]);  // an epoch that the copy does not know
  const double killed = seconds_now();
  cluster.wait_for("an op of two", kPatience, [&] { return all_over({all[0], all[1]}, "01", killed); });

  cluster.kill_master();
  std::filesystem::remove_all(state);
  std::filesystem::rename(copy, state);
  cluster.start_master();
  cluster.let_master_end();
  cluster.wait_for("the master to notice", kPatience, [&] { return !cluster.master().is_open(); });
  const int status = cluster.master().wait();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));
  CHECK(cluster.master().errors().find("the state was older than the run") != std::string::npos);
  CHECK(cluster.master().errors().find("start again") != std::string::npos);

  cluster.start_master();
  Worker& newcomer = cluster.add_worker(2);
  cluster.wait_for("a newcomer's first op", kPatience,
                   [&] { return all_over({all[0], all[1], &newcomer}, "012", killed); });
  for (const Worker* worker : {all[0], all[1], static_cast<Worker*>(&newcomer)}) {
    CHECK(worker->lives.size() == 1);
    CHECK(worker->evictions.empty());
  }
  cluster.finish();
}

TEST_CASE("a master that is started again on a disk that takes no new file leaves its join strings as they are") {
  const support::TemporaryFolder folder;
  const std::string state = folder.path() + "/state";
  Cluster cluster(1, {.mib = 1, .ops = 1, .state = state, .encrypted = true});
  cluster.kill_master();
  const std::string join = cluster.way_in();
  // Stands for a full disk: neither can be replaced by the new version of its file.
  std::filesystem::create_directory(state + "/join.new");
  std::filesystem::create_directory(state + "/admin.new");
  cluster.start_master();
  CHECK(cluster.way_in() == join);
  cluster.wait_for_ops({cluster.workers()[0].get()}, 2, kPatience);
  CHECK(cluster.workers()[0]->lives.size() == 1);

  cluster.kill_master();
  std::filesystem::remove(state + "/join");
  const Process cannot(SEAWAY_PROGRAM, {"master", "--listen", "127.0.0.1:0", "--state", state});
  CHECK(const_cast<Process&>(cannot).wait() != 0);
  CHECK(cannot.errors().find("join.new") != std::string::npos);
  std::filesystem::remove(state + "/join.new");
  cluster.start_master();
  cluster.finish();
}

TEST_CASE("a service manager that asks is told when the master listens and when it stops") {
  const support::TemporaryFolder folder;
  const std::string path = folder.path() + "/notify";
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const auto hear = [&] {
    char text[256];
    const ssize_t length = ::recv(fd, text, sizeof text, 0);
    return std::string(text, length > 0 ? static_cast<std::size_t>(length) : 0);
  };
  Process master(SEAWAY_PROGRAM, {"master", "--listen", "127.0.0.1:0", "--plaintext"}, {{"NOTIFY_SOCKET", path}});
  CHECK(hear().starts_with("READY=1\nSTATUS=listening on 127.0.0.1:"));
  master.signal(SIGTERM);
  CHECK(hear() == "STOPPING=1");
  CHECK(master.wait() == 0);
  ::close(fd);
}

}  // namespace seaway::e2e
