// An encrypted run: who is let in, who is not and why, and that certificates outlive a master that cannot renew them.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

#include "e2e/cluster.h"
#include "support/temporary_folder.h"

namespace seaway::e2e {

namespace {

constexpr unsigned kWorld = 3;
constexpr double kPatience = 60;

bool all_over(const std::vector<Worker*>& workers, const std::string& contributors, double since) {
  return std::all_of(workers.begin(), workers.end(), [&](const Worker* worker) {
    return std::any_of(worker->ops.rbegin(), worker->ops.rend(),
                       [&](const Op& op) { return op.began > since && op.contributors == contributors; });
  });
}

// Everything that it says, until it ends.
std::string all_of(Process& process) {
  while (process.is_open()) {
    support::listen({&process}, seconds_now() + 1);
  }
  return process.output();
}

// What an operator's command says; it has to end well.
std::string ask(const std::vector<std::string>& words) {
  Process process(SEAWAY_PROGRAM, words);
  std::string text = all_of(process);
  const int status = process.wait();
  CHECK_MESSAGE((WIFEXITED(status) && WEXITSTATUS(status) == 0), words[0] << ": " << process.errors());
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

// What a worker says that is not let in.
std::string refusal_of(const std::string& join) {
  Process worker("/proc/self/exe", {"--worker", join, "7", "1", "1", "1", "0"});
  return all_of(worker);
}

bool says(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("an encrypted run outlives its master, its certificates and a member, and takes newcomers") {
  const support::TemporaryFolder folder;
  constexpr double kCertificates_s = 6;
  Cluster cluster(kWorld,
                  {.mib = 1, .ops = 2, .state = folder.path(), .encrypted = true, .certificate_s = kCertificates_s});
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.wait_for_ops(all, 10, kPatience);
  cluster.wait_for("everybody's certificate to be renewed", kPatience, [&] {
    return std::all_of(all.begin(), all.end(), [](const Worker* worker) {
      return std::any_of(worker->log.begin(), worker->log.end(),
                         [](const Event& event) { return says(event.text, "certificate was renewed"); });
    });
  });

  // Longer than a certificate lasts nobody can renew them.
  cluster.kill_master();
  cluster.listen_for(kCertificates_s + 2);
  cluster.wait_for_ops(all, 10, kPatience);
  cluster.start_master();
  const double back = seconds_now();
  cluster.kill_worker(*all[1]);
  const double killed = seconds_now();
  cluster.wait_for("an op of the other two", kPatience, [&] { return all_over({all[0], all[2]}, "02", killed); });
  Worker& newcomer = cluster.add_worker(1);
  cluster.wait_for("a newcomer's first op", kPatience,
                   [&] { return all_over({all[0], all[2], &newcomer}, "012", killed); });
  std::printf(
      "encrypted: with certificates that had expired the members were back, one of them was lost, and a newcomer was "
      "in\n"
      "  within %.3f s of the master's start\n",
      seconds_now() - back);
  for (const auto& worker : cluster.workers()) {
    CHECK(worker->lives.size() == 1);
    CHECK(worker->evictions.empty());
  }
  cluster.finish();
}

TEST_CASE("who is not let in hears why; an operator makes, lists and revokes tokens, evicts and denies") {
  const support::TemporaryFolder folder;
  const std::string state = "--state=" + folder.path();
  Cluster cluster(2, {.mib = 1, .ops = 1, .state = folder.path(), .encrypted = true});
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.wait_for_ops(all, 3, kPatience);
  const auto name_of = [](const std::string& join) {
    const std::size_t pin = join.rfind('/');
    return join.substr(join.rfind('/', pin - 1) + 1, 16);
  };

  const std::string once = ask({"token", "new", "--once", "--label", "for one", state});
  {
    Process one("/proc/self/exe", {"--worker", once, "5", "1", "1", "1", "0"});
    cluster.wait_for("the one-time peer to join", kPatience, [&] {
      support::listen({&one}, seconds_now() + 0.1);
      return says(one.output(), "joined");
    });
    CHECK(says(refusal_of(once), "has been used"));
    CHECK(says(ask({"token", "list", state}), "for one"));
    CHECK(says(ask({"token", "list", state}), "used by"));
    one.say("leave");
    cluster.wait_for("the one-time peer to leave", kPatience, [&] {
      support::listen({&one}, seconds_now() + 0.1);
      return !one.is_open();
    });
  }

  const std::string revoked = ask({"token", "new", state});
  CHECK(says(ask({"token", "revoke", name_of(revoked), state}), "revoked"));
  CHECK(says(refusal_of(revoked), "it was revoked"));

  const std::string expired = ask({"token", "new", "--hours", "0.0001", state});
  cluster.listen_for(2.5);
  CHECK(says(refusal_of(expired), "has expired"));

  CHECK(says(refusal_of(ask({"token", "new", "--admin-rights", state})), "lets nobody join"));
  std::string guessed = cluster.way_in();
  guessed[guessed.rfind('/') - 1] ^= 1;  // of the secret; still a hex digit or refused as none
  CHECK((says(refusal_of(guessed), "secret is wrong") || says(refusal_of(guessed), "hex digits")));

  const Process not_allowed(SEAWAY_PROGRAM, {"token", "list", "--admin", cluster.way_in()});
  CHECK(const_cast<Process&>(not_allowed).wait() != 0);
  CHECK(says(not_allowed.errors(), "needs an operator's"));

  const std::string status = ask({"status", state});
  CHECK(says(status, "has been used"));
  CHECK(says(status, "it was revoked"));
  CHECK(says(ask({"status", "--json", state}), "{"));

  Worker& victim = *all[1];
  victim.may_end = victim.may_fail = true;
  const std::string peer = victim.lives.back().peer;
  CHECK(says(ask({"evict", peer, "--reason", "a test wants it", "--deny", state}), "denied its uuid"));
  cluster.wait_for("the eviction to be heard", kPatience,
                   [&] { return !victim.evictions.empty() || !victim.process().is_open(); });
  cluster.wait_for("the denied peer to give up", kPatience, [&] { return !victim.process().is_open(); });
  CHECK(says(victim.process().output(), "denied"));
  cluster.wait_for("the other to go on", kPatience, [&] { return all_over({all[0]}, "0", seconds_now() - 60); });
  cluster.finish();
}

TEST_CASE("certificates of an own PKI let peers in; they outlive the master, and whoever has none of them hears why") {
  const support::TemporaryFolder folder;
  const support::TemporaryFolder pki_folder;
  const support::TemporaryFolder other_folder;
  support::OwnPki pki(pki_folder.path());
  const support::OwnPki other(other_folder.path());
  Cluster cluster(2, {.mib = 1, .ops = 1, .state = folder.path(), .encrypted = true, .pki = &pki});
  CHECK(says(cluster.master().output(), "certificates of --ca let peers join"));
  CHECK_FALSE(says(cluster.master().output(), "join string"));
  std::vector<Worker*> all;
  for (const auto& worker : cluster.workers()) {
    all.push_back(worker.get());
  }
  cluster.wait_for_ops(all, 3, kPatience);

  CHECK(says(refusal_of(cluster.way_in(other.certify("peer", "DNS:peer"))), "not good for the PKI"));
  auto strange = other.certify("strange", "DNS:strange");
  strange.authorities = pki_folder.path() + "/ca.pem";
  const std::string refused = refusal_of(cluster.way_in(strange));
  CHECK_MESSAGE(says(refused, "refused by the other end: unknown CA"), refused);
  CHECK(says(refusal_of(cluster.way_in({"/nowhere/ca.pem", strange.certificate, strange.key})), "/nowhere/ca.pem"));

  cluster.kill_master();
  cluster.start_master();
  const double back = seconds_now();
  Worker& newcomer = cluster.add_worker(2);
  cluster.wait_for("a newcomer's first op", kPatience,
                   [&] { return all_over({all[0], all[1], &newcomer}, "012", back); });
  cluster.finish();
}

}  // namespace seaway::e2e
