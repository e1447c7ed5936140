// Ops that commit together: when, and what becomes of them when they cannot.
#include <doctest/doctest.h>

#include <algorithm>
#include <variant>

#include "cluster.h"

namespace seaway::collective {
namespace {

Descriptor transaction(bool fail_on_loss = false) {
  Descriptor descriptor;
  descriptor.kind = OpKind::transaction;
  descriptor.fail_on_loss = fail_on_loss;
  return descriptor;
}

// Replicas of so many lanes: member i is lane i % lanes of replica i / lanes.
struct Lanes : Cluster {
  Lanes(std::size_t members, std::size_t lanes) : Cluster(members, small_limits(), {}, lanes) {}

  OpHandle open(std::size_t i, bool fail_on_loss = false) {
    return transactions[i] = post(i, transaction(fail_on_loss), {});
  }
  OpHandle add(std::size_t i, float value, Descriptor op = {}) {
    op.count = 40;
    op.transaction = transactions.at(i);
    return post(i, op, std::vector<float>(40, value));
  }
  void close(std::size_t i) { engine(i).close_transaction(transactions.at(i), now); }
  const Result* result_of(std::size_t i, OpHandle op) const {
    const auto it = std::ranges::find(ended(i), op, &Ended::op);
    return it == ended(i).end() ? nullptr : &it->result;
  }
  const Result* result(std::size_t i) const { return result_of(i, transactions.at(i)); }
  bool has_asked_to_abort(std::size_t i) const {
    return std::ranges::any_of(asked(i), [](const auto& e) { return std::holds_alternative<AskCancel>(e); });
  }

  std::map<std::size_t, OpHandle> transactions;
};

std::vector<float> all_of(float value) { return std::vector<float>(40, value); }

TEST_CASE("ops of a transaction commit when all lanes have closed it and hold, and land in their outputs then") {
  for (const bool in_place : {false, true}) {
    CAPTURE(in_place);
    Lanes cluster(4, 2);
    Descriptor op;
    op.in_place = in_place;
    std::map<std::size_t, OpHandle> ops;
    for (const std::size_t i : {0u, 2u}) {  // lane 0
      cluster.open(i);
      ops[i] = cluster.add(i, 1 + static_cast<float>(i), op);
      cluster.add(i, 7);
      cluster.close(i);
    }
    cluster.run();
    CHECK(cluster.ended(0).empty());
    CHECK((in_place ? cluster.input(0, ops[0]) : cluster.output(0, ops[0])) == all_of(in_place ? 1 : 0));
    cluster.open(1);
    cluster.open(3);
    cluster.close(3);
    cluster.run();
    CHECK(cluster.ended(0).empty());
    CHECK(cluster.engine(3).progress(cluster.transactions[3])->not_posted == std::vector{Cluster::id(1)});
    CHECK(cluster.engine(1).progress(cluster.transactions[1])->phase == "open");
    cluster.close(1);
    cluster.run();
    for (const std::size_t i : {0u, 1u, 2u, 3u}) {
      REQUIRE(cluster.result(i) != nullptr);
      CHECK(cluster.result(i)->outcome == Outcome::committed);
      CHECK(cluster.result(i)->contributors.size() == 2);
      CHECK(cluster.result(i)->value.contributors == cluster.result(0)->value.contributors);
      CHECK(cluster.engine(i).idle());
      cluster.engine(i).check_invariants();
    }
    CHECK(cluster.result(0)->value == cluster.result(2)->value);
    CHECK(cluster.result_of(2, ops[2])->outcome == Outcome::committed);
    CHECK((in_place ? cluster.input(2, ops[2]) : cluster.output(2, ops[2])) == all_of(4));
  }
}

TEST_CASE("an op in a transaction has no report of its own, and its transaction holds before its siblings do") {
  Lanes cluster(4, 2);
  for (const std::size_t i : {0u, 2u}) {
    cluster.open(i);
    cluster.add(i, 1);
    cluster.close(i);
  }
  cluster.open(1);
  cluster.run();
  const auto reports = cluster.cut();
  REQUIRE(reports[0].size() == 1);
  CHECK(reports[0][0].op.is_transaction());
  CHECK(reports[0][0].status == wire::OpStatus::holds);
  REQUIRE(reports[1].size() == 1);
  CHECK(reports[1][0].op == reports[0][0].op);  // one for all lanes
  CHECK(reports[1][0].status == wire::OpStatus::running);
  CHECK(reports[3].empty());
}

TEST_CASE("after a loss all ops of a transaction go on in the next attempt, also those posted before it was decided") {
  Lanes cluster(6, 2);
  std::map<std::size_t, OpHandle> ops;
  for (std::size_t i = 0; i < 6; ++i) {
    cluster.open(i);
    ops[i] = cluster.add(i, 1);
    if (i % 2 == 0) {
      cluster.close(i);
    }
  }
  cluster.run();
  const auto reports = cluster.lose({4, 5});
  for (const std::size_t i : {1u, 3u}) {
    cluster.add(i, 2);  // at the new cut, in a transaction that is frozen
    cluster.close(i);
  }
  cluster.run();
  CHECK(cluster.ended(0).empty());
  cluster.resolve(all(reports[0], wire::Verdict::resume));
  cluster.run();
  for (const std::size_t i : {0u, 1u, 2u, 3u}) {
    REQUIRE(cluster.result(i) != nullptr);
    CHECK(cluster.result(i)->outcome == Outcome::committed);
    CHECK(cluster.result(i)->attempts == 2);
    CHECK(cluster.result(i)->lost == std::vector{Cluster::id(4 + i % 2)});
    CHECK(cluster.output(i, ops[i]) == all_of(2));
    cluster.engine(i).check_invariants();
  }
}

TEST_CASE("an aborted transaction has touched nothing, and takes posts until it is closed") {
  Lanes cluster(2, 1);
  cluster.open(0);
  const OpHandle op = cluster.add(0, 1);
  const OpHandle other = cluster.post(1, Descriptor{.count = 4}, std::vector<float>(4, 1));  // has not opened it
  CHECK(other != 0);
  cluster.engine(0).cancel(op, "no", cluster.now);
  cluster.run();
  CHECK(cluster.has_asked_to_abort(0));
  const auto reports = cluster.cut();
  cluster.resolve(all(reports[0], wire::Verdict::abort));
  cluster.run();
  REQUIRE(cluster.result_of(0, op) != nullptr);
  CHECK(cluster.result_of(0, op)->outcome == Outcome::aborted);
  CHECK(cluster.output(0, op) == all_of(0));
  CHECK(cluster.result(0) == nullptr);
  const OpHandle late = cluster.add(0, 1);
  cluster.run();
  REQUIRE(cluster.result_of(0, late) != nullptr);
  CHECK(cluster.result_of(0, late)->outcome == Outcome::aborted);
  cluster.close(0);
  cluster.run();
  REQUIRE(cluster.result(0) != nullptr);
  CHECK(cluster.result(0)->reason == "a test decided so");
  cluster.open(1);  // a tombstone
  const OpHandle vain = cluster.add(1, 1);
  cluster.close(1);
  cluster.run();
  CHECK(cluster.result_of(1, vain)->outcome == Outcome::aborted);
  CHECK(cluster.result(1)->outcome == Outcome::aborted);
  // What comes after it is counted alike.
  for (const std::size_t i : {0u, 1u}) {
    cluster.open(i);
    cluster.add(i, 3);
    cluster.close(i);
  }
  cluster.run();
  CHECK(cluster.result(1)->outcome == Outcome::committed);
}

TEST_CASE("lists that differ are not held, and the master is asked to abort") {
  Lanes cluster(2, 1);
  for (const std::size_t i : {0u, 1u}) {
    cluster.open(i);
    cluster.add(i, 1);
  }
  cluster.add(1, 1);
  cluster.close(0);
  cluster.close(1);
  cluster.run();
  for (const std::size_t i : {0u, 1u}) {
    CHECK(cluster.has_asked_to_abort(i));
    CHECK(cluster.ended(i).empty());
  }
  const auto reports = cluster.cut();
  CHECK(reports[0][0].status == wire::OpStatus::running);
  CHECK(reports[1][0].status == wire::OpStatus::running);
}

TEST_CASE(
    "what comes for an op that is another here is no reason to close a connection, until the transaction is aborted") {
  Lanes cluster(3, 1);
  Descriptor broadcast;
  broadcast.kind = OpKind::broadcast;
  broadcast.root = Cluster::id(0);
  Descriptor gather;
  gather.kind = OpKind::all_gather;
  gather.blocks = 3;
  for (const std::size_t i : {0u, 1u, 2u}) {
    cluster.open(i);
    cluster.add(i, 1, i == 2 ? gather : broadcast);
    cluster.close(i);
  }
  CHECK_NOTHROW(cluster.run());
  CHECK(cluster.has_asked_to_abort(2));
}

TEST_CASE("lanes that count different replicas do not commit") {
  Lanes cluster(4, 2);
  cluster.engine(2).set_standing(Standing::unsynced);  // lane 0 of replica 1
  for (const std::size_t i : {0u, 1u, 2u, 3u}) {
    cluster.open(i);
    cluster.add(i, 1);
    cluster.close(i);
  }
  cluster.run();
  for (const std::size_t i : {0u, 1u, 2u, 3u}) {
    CHECK(cluster.ended(i).empty());
    CHECK(std::ranges::any_of(cluster.asked(i), [](const auto& e) { return std::holds_alternative<AskMismatch>(e); }));
  }
}

TEST_CASE("who goes on to the next generation without it says so, in its lane and to its siblings") {
  Lanes cluster(4, 2);
  for (const std::size_t i : {0u, 2u}) {
    cluster.open(i);
    cluster.close(i);
  }
  cluster.run();
  cluster.next_generation();
  cluster.run();
  CHECK(cluster.has_asked_to_abort(0));
  CHECK(cluster.has_asked_to_abort(2));
  const auto reports = cluster.cut();
  REQUIRE(reports[1].size() == 1);
  CHECK(reports[1][0].status == wire::OpStatus::aborted);
}

TEST_CASE("what cannot be in a transaction is said so at the post") {
  Lanes cluster(2, 1);
  Engine& engine = cluster.engine(0);
  const OpHandle open = cluster.open(0);
  const auto refusal = [&](Descriptor op) {
    const Posted posted = engine.post(op, cluster.now);
    CHECK(posted.error == PostError::invalid);
    return posted.text;
  };
  const auto in = [](OpHandle handle, OpKind kind = OpKind::all_reduce) {
    Descriptor op;
    op.kind = kind;
    op.count = kind == OpKind::all_reduce ? 4 : 0;
    op.transaction = handle;
    return op;
  };
  Descriptor op = in(open);
  op.quorum = 1;
  CHECK(refusal(op).find("quorum") != std::string::npos);
  op = in(open, OpKind::transfer);
  op.root = Cluster::id(0);
  op.target = Cluster::id(1);
  CHECK(refusal(op).find("two ends") != std::string::npos);
  CHECK(refusal(in(open, OpKind::transaction)).find("one cannot be in another") != std::string::npos);
  op = in(open);
  op.fail_on_loss = true;
  CHECK(refusal(op).find("on_loss") != std::string::npos);
  CHECK(refusal(in(4711)).find("it has ended") != std::string::npos);
  const OpHandle other = cluster.post(0, Descriptor{.count = 4}, std::vector<float>(4, 1));
  CHECK(refusal(in(other)).find("none of this member's") != std::string::npos);
  cluster.next_generation();
  CHECK(refusal(in(open)).find("last update") != std::string::npos);
  cluster.close(0);
  CHECK(refusal(in(open)).find("closed") != std::string::npos);
}

TEST_CASE("the deadline of an op is its transaction's, and asks once") {
  Lanes cluster(2, 1);
  cluster.open(0);
  Descriptor op;
  op.deadline = cluster.now + 50 * kMillisecond;
  cluster.add(0, 1, op);
  cluster.run();
  CHECK(cluster.engine(0).deadline() <= op.deadline);
  CHECK(!cluster.has_asked_to_abort(0));
  cluster.now = op.deadline;
  cluster.run();
  REQUIRE(cluster.asked(0).size() == 1);
  CHECK(std::get<AskCancel>(cluster.asked(0)[0]).op.is_transaction());
  CHECK(cluster.engine(0).deadline() > cluster.now);  // or its owner would spin
}

TEST_CASE("a fence ends a transaction that is open") {
  Lanes cluster(2, 1);
  cluster.open(0);
  const OpHandle op = cluster.add(0, 1);
  cluster.engine(0).fence(Outcome::evicted, "gone", cluster.now);
  cluster.run();
  CHECK(cluster.result_of(0, op)->outcome == Outcome::evicted);
  CHECK(cluster.result(0)->outcome == Outcome::evicted);
  CHECK(cluster.engine(0).idle());
}

}  // namespace
}  // namespace seaway::collective
