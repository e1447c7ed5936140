// All-gather and reduce-scatter: ops of blocks.
#include <doctest/doctest.h>

#include <algorithm>

#include "cluster.h"

namespace seaway::collective {
namespace {

Descriptor blocks_of(OpKind kind, std::uint64_t count, std::uint64_t blocks) {
  Descriptor descriptor;
  descriptor.kind = kind;
  descriptor.count = count;
  descriptor.blocks = blocks;
  return descriptor;
}

// Block b holds value(b).
template <class Value>
std::vector<float> blocks(std::size_t count, std::size_t members, Value&& value) {
  std::vector<float> all;
  for (std::size_t b = 0; b < members; ++b) {
    all.insert(all.end(), count, static_cast<float>(value(b)));
  }
  return all;
}

TEST_CASE("an all-gather gives everyone everyone's block, in the order of the base") {
  for (const std::uint64_t one_shot_bytes : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    for (const std::size_t members : {1u, 2u, 3u, 5u}) {
      CAPTURE(one_shot_bytes);
      CAPTURE(members);
      Limits limits = Cluster::small_limits();
      limits.one_shot_bytes = one_shot_bytes;
      Cluster cluster(members, limits);
      std::vector<OpHandle> ops;
      for (std::size_t i = 0; i < members; ++i) {  // 75 floats: the last chunk of a block is shorter than the others
        const Descriptor gather = blocks_of(OpKind::all_gather, 75, members);
        ops.push_back(cluster.post(i, gather, std::vector<float>(75, static_cast<float>(i + 1))));
      }
      cluster.run();
      for (std::size_t i = 0; i < members; ++i) {
        REQUIRE(cluster.ended(i).size() == 1);
        const Result& result = cluster.ended(i)[0].result;
        CHECK(result.outcome == Outcome::committed);
        CHECK(result.value == cluster.ended(0)[0].result.value);
        CHECK(result.hash == result.value.bits);
        CHECK(cluster.output(i, ops[i]) == blocks(75, members, [](std::size_t b) { return b + 1; }));
        cluster.engine(i).check_invariants();
      }
    }
  }
}

TEST_CASE("a reduce-scatter gives each member the reduction of its block, with one value for all") {
  for (const std::uint64_t one_shot_bytes : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    for (const std::size_t members : {1u, 2u, 3u, 5u}) {
      CAPTURE(one_shot_bytes);
      CAPTURE(members);
      Limits limits = Cluster::small_limits();
      limits.one_shot_bytes = one_shot_bytes;
      Cluster cluster(members, limits);
      std::vector<OpHandle> ops;
      for (std::size_t i = 0; i < members; ++i) {
        const Descriptor scatter = blocks_of(OpKind::reduce_scatter, 75, members);
        ops.push_back(cluster.post(i, scatter, blocks(75, members, [&](std::size_t b) { return 10 * b + i; })));
      }
      cluster.run();
      std::size_t sum = 0;
      for (std::size_t i = 0; i < members; ++i) {
        sum += i;
      }
      for (std::size_t i = 0; i < members; ++i) {
        REQUIRE(cluster.ended(i).size() == 1);
        const Result& result = cluster.ended(i)[0].result;
        CHECK(result.outcome == Outcome::committed);
        CHECK(result.value == cluster.ended(0)[0].result.value);
        CHECK(result.hash != 0);
        CHECK((i == 0 || result.hash != cluster.ended(0)[0].result.hash));
        CHECK(cluster.output(i, ops[i]) == std::vector<float>(75, static_cast<float>(10 * i * members + sum)));
        cluster.engine(i).check_invariants();
      }
    }
  }
}

TEST_CASE("an all-gather goes on over a loss: blocks that came stay, the lost one's is zeros at everybody") {
  Cluster cluster(4);
  cluster.hold_back(3, 1);  // member 1 lacks 3's block, the others have it
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < 4; ++i) {
    const Descriptor gather = blocks_of(OpKind::all_gather, 64, 4);
    ops.push_back(cluster.post(i, gather, std::vector<float>(64, static_cast<float>(i + 1))));
  }
  cluster.run();
  cluster.resolve(all(cluster.lose(3)[1], wire::Verdict::resume));
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    const Result& result = cluster.ended(i)[0].result;
    CHECK(result.outcome == Outcome::committed);
    CHECK(result.attempts == 2);
    CHECK(result.contributors.size() == 3);
    CHECK(result.bytes_resent == 0);
    CHECK(cluster.output(i, ops[i]) == blocks(64, 4, [](std::size_t b) { return b < 3 ? b + 1 : 0; }));
  }
}

TEST_CASE("a reduce-scatter goes on over a loss: without the lost one's contribution, also where a block was whole") {
  Cluster cluster(4);
  cluster.hold_back(3, 1);
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < 4; ++i) {
    const Descriptor scatter = blocks_of(OpKind::reduce_scatter, 64, 4);
    ops.push_back(cluster.post(i, scatter, blocks(64, 4, [&](std::size_t b) { return 10 * b + i; })));
  }
  cluster.run();
  const auto reports = cluster.lose(3);
  CHECK(reports[0][0].status == wire::OpStatus::holds);
  CHECK(reports[1][0].status == wire::OpStatus::running);
  cluster.resolve(all(reports[1], wire::Verdict::resume));
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    const Result& result = cluster.ended(i)[0].result;
    CHECK(result.outcome == Outcome::committed);
    CHECK(result.value == cluster.ended(0)[0].result.value);
    CHECK(result.bytes_resent == 0);
    CHECK(cluster.output(i, ops[i]) == std::vector<float>(64, static_cast<float>(30 * i + 3)));
  }
}

TEST_CASE("blocks are those of the generation, whoever was lost since it began") {
  Cluster cluster(3);
  cluster.lose(0);
  cluster.resolve({});
  CHECK(cluster.engine(1).post(blocks_of(OpKind::all_gather, 8, 2), cluster.now).error == PostError::invalid);
  std::vector<OpHandle> ops{0};
  for (std::size_t i = 1; i < 3; ++i) {
    ops.push_back(cluster.post(i, blocks_of(OpKind::all_gather, 8, 3), std::vector<float>(8, static_cast<float>(i))));
  }
  cluster.run();
  for (std::size_t i = 1; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.ended(i)[0].result.attempts == 1);
    CHECK(cluster.output(i, ops[i]) == blocks(8, 3, [](std::size_t b) { return b; }));
  }
}

TEST_CASE("blocks of no elements are no data; in place is refused, as is more than an op may carry") {
  Cluster cluster(2);
  for (const OpKind kind : {OpKind::all_gather, OpKind::reduce_scatter}) {
    cluster.post(0, blocks_of(kind, 0, 0), {});
    cluster.post(1, blocks_of(kind, 0, 0), {});
    cluster.run();
    CHECK(cluster.ended(0).back().result.outcome == Outcome::committed);
    Descriptor wrong = blocks_of(kind, 8, 2);
    wrong.in_place = true;
    CHECK(cluster.engine(0).post(wrong, cluster.now).error == PostError::invalid);
    CHECK(cluster.engine(0).post(blocks_of(kind, std::uint64_t{1} << 48, 2), cluster.now).error == PostError::invalid);
  }
  CHECK(cluster.ended(0).size() == 2);
}

}  // namespace
}  // namespace seaway::collective
