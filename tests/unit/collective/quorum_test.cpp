// Ops that do not wait for everybody: SET, what is held for stragglers, and what becomes of theirs.
#include <doctest/doctest.h>

#include <algorithm>
#include <variant>

#include "cluster.h"

namespace seaway::collective {
namespace {

Descriptor with_quorum(std::uint32_t quorum, Duration grace = 0) {
  Descriptor descriptor;
  descriptor.count = 300;
  descriptor.quorum = quorum;
  descriptor.grace = grace;
  return descriptor;
}

std::vector<float> filled(float value) { return std::vector<float>(300, value); }

std::vector<PeerId> contributors(const Result& result) {
  std::vector<PeerId> ids;
  for (const Contributor& contributor : result.contributors) {
    ids.push_back(contributor.id);
  }
  return ids;
}

TEST_CASE("a quorum suffices, whoever is late, and a straggler gets the same result and does not count") {
  for (const std::uint64_t one_shot_bytes : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    for (const bool in_place : {false, true}) {
      for (const std::size_t late : {0u, 1u, 2u}) {
        CAPTURE(one_shot_bytes);
        CAPTURE(in_place);
        CAPTURE(late);
        Limits limits = Cluster::small_limits();
        limits.one_shot_bytes = one_shot_bytes;
        Cluster cluster(3, limits);
        Descriptor descriptor = with_quorum(2);
        descriptor.in_place = in_place;
        std::vector<PeerId> in_time;
        for (std::size_t i = 0; i < 3; ++i) {
          if (i != late) {
            cluster.post(i, descriptor, filled(static_cast<float>(i + 1)));
            in_time.push_back(Cluster::id(i));
          }
        }
        cluster.run();
        CHECK(cluster.ended((late + 1) % 3).size() == 1);
        CHECK(cluster.engine(late).idle());
        const OpHandle op = cluster.post(late, descriptor, filled(100));
        cluster.run();
        for (std::size_t i = 0; i < 3; ++i) {
          REQUIRE(cluster.ended(i).size() == 1);
          const Result& result = cluster.ended(i)[0].result;
          CHECK(result.outcome == Outcome::committed);
          CHECK(result.value == cluster.ended(0)[0].result.value);
          CHECK(contributors(result) == in_time);
          cluster.engine(i).check_invariants();
        }
        const float sum = 6.0F - static_cast<float>(late + 1);
        CHECK((in_place ? cluster.input(late, op) : cluster.output(late, op)) == filled(sum));
      }
    }
  }
}

TEST_CASE("whoever posts within the grace contributes, and nobody waits for it longer") {
  for (const bool in_time : {true, false}) {
    Cluster cluster(3);
    const Descriptor descriptor = with_quorum(2, 50 * kMillisecond);
    cluster.post(0, descriptor, filled(1));
    cluster.post(1, descriptor, filled(2));
    cluster.run();
    CHECK(cluster.ended(0).empty());
    CHECK(cluster.engine(0).deadline() <= cluster.now + 50 * kMillisecond);
    if (!in_time) {
      cluster.now += 50 * kMillisecond;
      cluster.run();
      CHECK(cluster.ended(0).size() == 1);
    }
    const OpHandle op = cluster.post(2, descriptor, filled(4));
    cluster.run();
    REQUIRE(cluster.ended(2).size() == 1);
    CHECK(cluster.ended(2)[0].result.contributors.size() == (in_time ? 3 : 2));
    CHECK(cluster.output(2, op) == filled(in_time ? 7 : 3));
  }
}

TEST_CASE("a quorum above the world is everybody") {
  Cluster cluster(3);
  const Descriptor descriptor = with_quorum(9);
  cluster.post(0, descriptor, filled(1));
  cluster.post(1, descriptor, filled(2));
  cluster.run();
  CHECK(cluster.ended(0).empty());
  cluster.post(2, descriptor, filled(4));
  cluster.run();
  REQUIRE(cluster.ended(2).size() == 1);
  CHECK(cluster.ended(2)[0].result.contributors.size() == 3);
}

TEST_CASE("weights are those of the set alone") {
  Cluster cluster(3);
  Descriptor descriptor = with_quorum(2);
  descriptor.reduction = Reduction::avg;
  descriptor.weighted = true;
  descriptor.weight = 1;
  const OpHandle op = cluster.post(0, descriptor, filled(2));
  descriptor.weight = 3;
  cluster.post(2, descriptor, filled(6));
  cluster.run();
  descriptor.weight = 100;
  cluster.post(1, descriptor, filled(99));
  cluster.run();
  REQUIRE(cluster.ended(1).size() == 1);
  CHECK(cluster.ended(1)[0].result.weight_sum == 4);
  CHECK(cluster.output(0, op) == filled(5));
}

TEST_CASE("the block of a straggler is reduced for it") {
  Cluster cluster(3);
  Descriptor descriptor = with_quorum(2);
  descriptor.kind = OpKind::reduce_scatter;
  descriptor.count = 100;
  descriptor.blocks = 3;
  cluster.post(0, descriptor, filled(1));
  cluster.post(2, descriptor, filled(2));
  cluster.run();
  const OpHandle op = cluster.post(1, descriptor, filled(99));
  cluster.run();
  REQUIRE(cluster.ended(1).size() == 1);
  CHECK(cluster.output(1, op) == std::vector<float>(100, 3));
}

TEST_CASE("a straggler that differs is refused alone once the set is without it, and all are before") {
  for (const std::uint32_t quorum : {2u, 3u}) {
    Cluster cluster(3);
    Descriptor descriptor = with_quorum(quorum);
    cluster.post(0, descriptor, filled(1));
    cluster.post(1, descriptor, filled(2));
    cluster.run();
    descriptor.layout = 7;
    cluster.post(2, descriptor, filled(4));
    cluster.run();
    REQUIRE(cluster.ended(2).size() == 1);
    CHECK(cluster.ended(2)[0].result.outcome == Outcome::refused);
    REQUIRE(cluster.ended(0).size() == 1);
    CHECK(cluster.ended(0)[0].result.outcome == (quorum == 2 ? Outcome::committed : Outcome::refused));
    CHECK(cluster.engine(2).idle());
    cluster.engine(2).check_invariants();
  }
}

TEST_CASE("a loss before the commit: another member says SET, and who has posted meanwhile may count") {
  Cluster cluster(4);
  const Descriptor descriptor = with_quorum(2);
  cluster.hold_back(3, 2);  // 2 does not get what it is to reduce
  std::vector<OpHandle> ops(4);
  for (const std::size_t i : {0u, 2u, 3u}) {
    ops[i] = cluster.post(i, descriptor, filled(static_cast<float>(1 << i)));
  }
  cluster.run();
  ops[1] = cluster.post(1, descriptor, filled(2));
  cluster.run();
  CHECK(cluster.ended(2).empty());
  const auto reports = cluster.lose(0);
  cluster.let_go(3, 2);
  cluster.resolve(all(reports[0], wire::Verdict::resume));
  cluster.run();
  for (const std::size_t i : {1u, 2u, 3u}) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(contributors(cluster.ended(i)[0].result) ==
          std::vector<PeerId>{Cluster::id(1), Cluster::id(2), Cluster::id(3)});
    CHECK(cluster.output(i, ops[i]) == filled(14));
  }
}

TEST_CASE("without room the op waits for its caller") {
  Limits limits = Cluster::small_limits();
  limits.held_bytes = 300 * 4 - 1;
  Cluster cluster(3, limits);
  const Descriptor descriptor = with_quorum(2);
  cluster.post(0, descriptor, filled(1));
  cluster.post(1, descriptor, filled(2));
  cluster.run();
  CHECK(cluster.ended(0).empty());
  cluster.post(2, descriptor, filled(4));
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(cluster.ended(i).size() == 1);
  }
}

TEST_CASE("who differs and was not held, when the others have said HOLD already: they ask the master to decide") {
  Limits limits = Cluster::small_limits();
  limits.held_bytes = 0;
  limits.one_shot_bytes = 1 << 20;  // nobody needs a root that has not posted
  Cluster cluster(3, limits);
  const Descriptor descriptor = with_quorum(2);
  cluster.post(0, descriptor, filled(1));
  cluster.post(1, descriptor, filled(2));
  cluster.run();
  CHECK(cluster.asked(0).empty());
  Descriptor other = descriptor;
  other.reduction = Reduction::max;
  cluster.post(2, other, filled(4));
  cluster.run();
  for (const std::size_t i : {0u, 1u}) {
    CHECK(cluster.ended(i).empty());
    const auto& asked = cluster.asked(i);
    CHECK(std::any_of(asked.begin(), asked.end(),
                      [](const EngineEffect& effect) { return std::holds_alternative<AskCancel>(effect); }));
  }
}

TEST_CASE("what a quorum is not for") {
  Cluster cluster(2);
  const auto refused = [&](const Descriptor& descriptor) {
    return cluster.engine(0).post(descriptor, cluster.now).error == PostError::invalid;
  };
  Descriptor descriptor = with_quorum(2);
  descriptor.kind = OpKind::broadcast;
  descriptor.root = Cluster::id(0);
  CHECK(refused(descriptor));
  descriptor = with_quorum(0, kMillisecond);
  CHECK(refused(descriptor));
  descriptor = with_quorum(1, -kMillisecond);
  CHECK(refused(descriptor));
  descriptor = with_quorum(1, 1);
  CHECK(refused(descriptor));
}

}  // namespace
}  // namespace seaway::collective
