#include "collective/engine.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "cluster.h"

namespace seaway::collective {
namespace {

Descriptor sum_of(std::uint64_t count) {
  Descriptor descriptor;
  descriptor.count = count;
  return descriptor;
}

std::vector<float> filled(std::size_t count, float value) { return std::vector<float>(count, value); }

TEST_CASE("an all-reduce over one-shot and over direct plans sums on every member, with one value") {
  for (const std::uint64_t one_shot_bytes : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    for (const std::size_t members : {1u, 2u, 3u, 5u}) {
      CAPTURE(one_shot_bytes);
      CAPTURE(members);
      Limits limits = Cluster::small_limits();
      limits.one_shot_bytes = one_shot_bytes;
      Cluster cluster(members, limits);
      std::vector<OpHandle> ops;
      float sum = 0;
      for (std::size_t i = 0; i < members; ++i) {
        ops.push_back(cluster.post(i, sum_of(300), filled(300, static_cast<float>(i + 1))));
        sum += static_cast<float>(i + 1);
      }
      cluster.run();
      for (std::size_t i = 0; i < members; ++i) {
        REQUIRE(cluster.ended(i).size() == 1);
        const Result& result = cluster.ended(i)[0].result;
        CHECK(result.outcome == Outcome::committed);
        CHECK(result.value == cluster.ended(0)[0].result.value);
        CHECK(result.contributors.size() == members);
        CHECK(result.attempts == 1);
        CHECK(cluster.output(i, ops[i]) == filled(300, sum));
        CHECK(cluster.input(i, ops[i]) == filled(300, static_cast<float>(i + 1)));
        cluster.engine(i).check_invariants();
        CHECK(cluster.engine(i).idle());
      }
    }
  }
}

TEST_CASE("in place, the result replaces the input at commit and not before") {
  Cluster cluster(3);
  Descriptor descriptor = sum_of(100);
  descriptor.in_place = true;
  cluster.hold_back(2, 0);
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < 3; ++i) {
    ops.push_back(cluster.post(i, descriptor, filled(100, 2)));
  }
  cluster.run();
  CHECK(cluster.ended(0).empty());
  CHECK(cluster.input(0, ops[0]) == filled(100, 2));
  cluster.let_go(2, 0);
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.input(i, ops[i]) == filled(100, 6));
  }
}

TEST_CASE("a weighted average divides once by the sum of the weights; no weight is no result") {
  for (const double weight : {3.0, 0.0}) {
    Cluster cluster(2);
    Descriptor descriptor = sum_of(40);
    descriptor.reduction = Reduction::avg;
    descriptor.weighted = true;
    descriptor.weight = weight;
    const OpHandle a = cluster.post(0, descriptor, filled(40, 8));
    descriptor.weight = 0;
    cluster.post(1, descriptor, filled(40, 100));
    cluster.run();
    REQUIRE(cluster.ended(0).size() == 1);
    const Result& result = cluster.ended(0)[0].result;
    CHECK(result.outcome == (weight > 0 ? Outcome::committed : Outcome::no_weight));
    CHECK(cluster.output(0, a) == filled(40, weight > 0 ? 8 : 0));
    CHECK(result.weight_sum == weight);
  }
}

TEST_CASE("broadcast sends the source's bytes, barrier waits for everyone") {
  Cluster cluster(4);
  Descriptor broadcast = sum_of(200);
  broadcast.kind = OpKind::broadcast;
  broadcast.root = Cluster::id(2);
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < 4; ++i) {
    ops.push_back(cluster.post(i, broadcast, filled(200, static_cast<float>(i))));
  }
  Descriptor barrier;
  barrier.kind = OpKind::barrier;
  barrier.tag = 7;
  for (std::size_t i = 0; i < 3; ++i) {
    cluster.post(i, barrier, {});
  }
  cluster.run();
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK((i == 2 ? cluster.input(i, ops[i]) : cluster.output(i, ops[i])) == filled(200, 2));
    CHECK(cluster.ended(i)[0].result.contributors == std::vector<Contributor>{{Cluster::id(2), 1}});
  }
  cluster.post(3, barrier, {});
  cluster.run();
  CHECK(cluster.ended(0).size() == 2);
  CHECK(cluster.ended(3).size() == 2);
}

TEST_CASE("members that have a broadcast's data share in sending it, and nothing is sent to them") {
  for (const std::uint64_t one_shot_bytes : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    Limits limits = Cluster::small_limits();
    limits.one_shot_bytes = one_shot_bytes;
    limits.eager_bytes = 0;  // until a member's READY is here nobody knows that it has the data
    Cluster cluster(4, limits);
    Descriptor broadcast = sum_of(320);  // 20 chunks
    broadcast.kind = OpKind::broadcast;
    broadcast.root = Cluster::id(0);
    std::vector<OpHandle> ops;
    for (std::size_t i = 0; i < 4; ++i) {
      broadcast.has_data = i < 3;
      ops.push_back(cluster.post(i, broadcast, filled(320, i < 3 ? 5.0F : 0.0F)));
    }
    cluster.run();
    for (std::size_t i = 0; i < 4; ++i) {
      REQUIRE(cluster.ended(i).size() == 1);
      const Result& result = cluster.ended(i)[0].result;
      CHECK(result.outcome == Outcome::committed);
      CHECK(result.value == cluster.ended(0)[0].result.value);
      CHECK(result.contributors == std::vector<Contributor>{{Cluster::id(0), 1}});
    }
    CHECK(cluster.output(2, ops[2]) == filled(320, 0));
    CHECK(cluster.output(3, ops[3]) == filled(320, 5));
    if (one_shot_bytes == 0) {  // chunks are dealt to all; those of the newcomer come from the root
      CHECK(cluster.ended(1)[0].result.bytes_sent == 320);
      CHECK(cluster.ended(0)[0].result.bytes_sent == 640);
    }
  }
}

TEST_CASE("descriptors that differ are refused on every member, with both in words") {
  Cluster cluster(3);
  cluster.post(0, sum_of(64), filled(64, 1));
  cluster.post(1, sum_of(65), filled(65, 1));
  cluster.post(2, sum_of(64), filled(64, 1));
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.ended(i)[0].result.outcome == Outcome::refused);
  }
  CHECK(cluster.ended(0)[0].result.reason.find("count 65") != std::string::npos);
  CHECK(cluster.ended(0)[0].result.reason.find("count 64") != std::string::npos);
}

TEST_CASE("arguments that are wrong by themselves are named, and use up nothing") {
  Cluster cluster(2);
  Descriptor descriptor = sum_of(8);
  descriptor.reduction = Reduction::avg;
  descriptor.dtype = DType::i32;
  const Posted posted = cluster.engine(0).post(descriptor, 0);
  CHECK(posted.error == PostError::invalid);
  CHECK(posted.text.find("avg") != std::string::npos);
  // Nobody else could read the READY of a weight that is no number.
  Descriptor weighted;
  weighted.kind = OpKind::barrier;
  weighted.weighted = true;
  weighted.weight = -1;
  CHECK(cluster.engine(0).post(weighted, 0).error == PostError::invalid);
  Descriptor unknown = sum_of(8);
  unknown.kind = static_cast<OpKind>(9);
  CHECK(cluster.engine(0).post(unknown, 0).error == PostError::invalid);
  cluster.post(0, sum_of(8), filled(8, 1));
  cluster.post(1, sum_of(8), filled(8, 1));
  cluster.run();
  CHECK(cluster.ended(0).size() == 1);
}

TEST_CASE("a member lost in the middle: the survivors resume and commit without it") {
  for (const std::uint64_t kept : {std::uint64_t{1} << 20, std::uint64_t{0}}) {
    CAPTURE(kept);
    Limits limits = Cluster::small_limits();
    limits.kept_bytes = kept;
    Cluster cluster(4, limits);
    cluster.hold_back(3, 1);  // member 1 lacks what 3 reduces, so nobody can commit
    std::vector<OpHandle> ops;
    for (std::size_t i = 0; i < 4; ++i) {
      ops.push_back(cluster.post(i, sum_of(256), filled(256, static_cast<float>(i + 1))));
    }
    cluster.run();
    const auto reports = cluster.lose(3);
    REQUIRE(reports[1].size() == 1);
    CHECK(reports[0][0].status == wire::OpStatus::running);
    CHECK(reports[1][0].roster_gone);
    cluster.resolve(all(reports[1], wire::Verdict::resume));
    cluster.run();
    for (std::size_t i = 0; i < 3; ++i) {
      REQUIRE(cluster.ended(i).size() == 1);
      const Result& result = cluster.ended(i)[0].result;
      CHECK(result.outcome == Outcome::committed);
      CHECK(result.value == cluster.ended(0)[0].result.value);
      CHECK(result.attempts == 2);
      CHECK(result.lost == std::vector<PeerId>{Cluster::id(3)});
      CHECK(cluster.output(i, ops[i]) == filled(256, 6));
      cluster.engine(i).check_invariants();
    }
  }
}

TEST_CASE("after a loss the heirs of its chunks get the first parts without having asked") {
  Cluster cluster(4);
  cluster.hold_back(3, 1);
  for (std::size_t i = 0; i < 4; ++i) {
    cluster.post(i, sum_of(256), filled(256, static_cast<float>(i + 1)));
  }
  cluster.run();
  cluster.resolve(all(cluster.lose(3)[1], wire::Verdict::resume));
  std::size_t parts = 0;
  std::vector<OutFrame> frames;
  while (cluster.engine(0).pull(Cluster::conn(0, 1), 4096, frames, cluster.now) > 0) {
    parts += static_cast<std::size_t>(std::ranges::count_if(
        frames, [](const OutFrame& frame) { return frame.header.type == wire::FrameType::part; }));
    frames.clear();
  }
  CHECK(parts == 2);  // of the lost one's four chunks; nobody else's have moved
}

TEST_CASE("the next attempt writes no result while a connection may still send or write one of the last") {
  Cluster cluster(4, Cluster::small_limits());
  cluster.hold_back(3, 1);
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < 4; ++i) {
    ops.push_back(cluster.post(i, sum_of(256), filled(256, static_cast<float>(i + 1))));
  }
  cluster.run();
  const auto reports = cluster.lose(3);
  const std::vector<float> before = cluster.output(0, ops[0]);
  cluster.hold_releases = true;
  cluster.resolve(all(reports[1], wire::Verdict::resume));
  cluster.run();
  CHECK(cluster.output(0, ops[0]) == before);
  CHECK(cluster.ended(0).empty());
  cluster.answer_releases();
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.output(i, ops[i]) == filled(256, 6));
  }
}

TEST_CASE("an op that all hold is committed by decision, although its HOLDs never met") {
  Cluster cluster(3);
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < 3; ++i) {
    ops.push_back(cluster.post(i, sum_of(8), filled(8, 1)));
  }
  // Member 2's HOLD reaches nobody: it is cut off as soon as it has given its results.
  for (int i = 0; i < 3; ++i) {
    cluster.now += kMillisecond;
  }
  cluster.run();
  CHECK(cluster.ended(0).size() == 1);
  const auto reports = cluster.lose(2);
  for (const auto& report : reports) {
    for (const wire::OpReport& op : report) {
      CHECK(op.status == wire::OpStatus::committed);
    }
  }
}

TEST_CASE("a decision about a generation that is over everywhere decides nothing any more") {
  Cluster cluster(2);
  cluster.post(0, sum_of(8), filled(8, 1));
  cluster.post(1, sum_of(8), filled(8, 2));
  cluster.run();
  REQUIRE(cluster.ended(0).size() == 1);
  const OpKey key = cluster.ended(0).front().result.op;
  cluster.leave_generation({{key, wire::Verdict::commit, "a master that was elsewhere decides late"}});
  const OpHandle next = cluster.post(0, sum_of(8), filled(8, 3));
  cluster.post(1, sum_of(8), filled(8, 4));
  cluster.run();
  REQUIRE(cluster.ended(0).size() == 2);
  CHECK(cluster.output(0, next) == filled(8, 7));
}

TEST_CASE("ABORT leaves the input as it was, and a later post of an aborted op returns at once") {
  Cluster cluster(3);
  Descriptor descriptor = sum_of(100);
  descriptor.in_place = true;
  const OpHandle a = cluster.post(0, descriptor, filled(100, 5));
  cluster.post(1, descriptor, filled(100, 6));
  cluster.run();
  const auto reports = cluster.cut();
  cluster.resolve(all(reports[0], wire::Verdict::abort));
  cluster.run();
  REQUIRE(cluster.ended(0).size() == 1);
  CHECK(cluster.ended(0)[0].result.outcome == Outcome::aborted);
  CHECK(cluster.input(0, a) == filled(100, 5));
  CHECK(cluster.ended(2).empty());
  cluster.post(2, descriptor, filled(100, 7));
  cluster.run();
  REQUIRE(cluster.ended(2).size() == 1);
  CHECK(cluster.ended(2)[0].result.outcome == Outcome::aborted);
  // The tag goes on with the next seq on all three.
  for (std::size_t i = 0; i < 3; ++i) {
    cluster.post(i, descriptor, filled(100, 1));
  }
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 2);
    CHECK(cluster.ended(i)[1].result.outcome == Outcome::committed);
  }
}

TEST_CASE("what has ended everywhere is forgotten") {
  Cluster cluster(3);
  for (int round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < 3; ++i) {
      cluster.post(i, sum_of(4), filled(4, 1));
    }
    cluster.run();
    cluster.now += kSecond;
    cluster.run();
  }
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(cluster.ended(i).size() == 50);
    CHECK(cluster.engine(i).report().empty());
  }
}

TEST_CASE("a deadline asks the master once, and again while the op runs") {
  Cluster cluster(2);
  Descriptor descriptor = sum_of(4);
  descriptor.deadline = kSecond;
  cluster.post(0, descriptor, filled(4, 1));
  CHECK(cluster.engine(0).deadline() <= kSecond);
  cluster.run();
  cluster.now = 2 * kSecond;
  cluster.run();
  const auto asked = [&] {
    return std::count_if(cluster.asked(0).begin(), cluster.asked(0).end(),
                         [](const EngineEffect& effect) { return std::holds_alternative<AskCancel>(effect); });
  };
  CHECK(asked() == 1);
  REQUIRE(cluster.engine(0).standing_requests().size() == 1);
}

TEST_CASE("a reason that is longer than a message may carry is cut between two characters") {
  Cluster cluster(2);
  const OpHandle op = cluster.post(0, sum_of(4), filled(4, 1));
  std::string reason(kMaxReasonBytes - 1, 'x');
  reason += "\u00e9";
  cluster.engine(0).cancel(op, reason, cluster.now);
  const auto asked = cluster.engine(0).standing_requests();
  REQUIRE(asked.size() == 1);
  CHECK(std::get<AskCancel>(asked[0]).reason == std::string(kMaxReasonBytes - 1, 'x'));
}

TEST_CASE("an op of a generation that a member has left is refused at its posters and keeps nothing open there") {
  Cluster cluster(2);
  cluster.engine(1).enter_generation(2, cluster.now);
  cluster.post(0, sum_of(40), filled(40, 1));
  cluster.run();
  REQUIRE(cluster.ended(0).size() == 1);
  CHECK(cluster.ended(0)[0].result.outcome == Outcome::refused);
  CHECK(cluster.engine(1).oldest_generation() == 2);
}

TEST_CASE("a connection that has come to want to send is named once") {
  Cluster cluster(2);
  std::vector<ConnId> conns;
  cluster.engine(0).take_stirred(conns);
  conns.clear();
  cluster.engine(0).take_stirred(conns);
  CHECK(conns.empty());
  cluster.post(0, sum_of(4), filled(4, 1));
  cluster.engine(0).take_stirred(conns);
  CHECK(conns == std::vector<ConnId>{Cluster::conn(0, 1)});
  CHECK(cluster.engine(0).wants_to_send(conns[0]));
}

TEST_CASE("what was sent without being asked for is credit again once the other end has posted") {
  Cluster cluster(2);
  const std::uint64_t credit = Cluster::small_limits().eager_bytes;
  for (std::uint64_t sent = 0; sent <= 2 * credit; sent += 100 * sizeof(float)) {
    cluster.post(0, sum_of(100), filled(100, 1));
    cluster.run();  // as much as the credit allows
    cluster.post(1, sum_of(100), filled(100, 1));
    cluster.run();
  }
  REQUIRE(cluster.ended(0).back().result.outcome == Outcome::committed);
  cluster.post(0, sum_of(100), filled(100, 1));
  std::vector<OutFrame> frames;
  cluster.engine(0).pull(Cluster::conn(0, 1), 1 << 20, frames, cluster.now);
  CHECK(std::any_of(frames.begin(), frames.end(),
                    [](const OutFrame& frame) { return frame.header.type == wire::FrameType::part; }));
}

TEST_CASE("a member that is lost and linked again owes no credit of before") {
  Cluster cluster(3);
  cluster.hold_back(2, 0);  // nobody hears that it has posted
  cluster.hold_back(2, 1);
  cluster.post(0, sum_of(256), filled(256, 1));
  cluster.run();
  const auto reports = cluster.lose(2);
  cluster.engine(0).attach(Cluster::id(2), 999, false, cluster.now);
  cluster.engine(0).check_invariants();
  cluster.resolve(all(reports[0], wire::Verdict::resume));
  cluster.engine(0).check_invariants();
}

TEST_CASE("who is leaving posts nothing any more") {
  Cluster cluster(2);
  cluster.engine(0).cancel_all("leaving", cluster.now);
  CHECK(cluster.engine(0).post(sum_of(4), cluster.now).error == PostError::not_member);
}

}  // namespace
}  // namespace seaway::collective
