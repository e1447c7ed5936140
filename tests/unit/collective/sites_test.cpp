// Ops with a hierarchical plan.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "cluster.h"
#include "support/encoded.h"

namespace seaway::collective {
namespace {

using support::as_encoded;
using wire::FrameType;

constexpr std::size_t kCount = 1024;  // 64 chunks of 64 bytes
const std::vector<std::uint16_t> kTwoByTwo{0, 0, 2, 2};

Descriptor sum_of(std::uint64_t count) {
  Descriptor descriptor;
  descriptor.count = count;
  return descriptor;
}

// Its sums depend on their order.
std::vector<float> numbers(std::size_t member, std::size_t count = kCount) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>((i * 7 + member * 13) % 1000) / 3.0F * (member % 2 == 0 ? 1.0F : 1e4F);
  }
  return x;
}

std::vector<float> plus(std::vector<float> x, const std::vector<float>& y) {
  std::transform(x.begin(), x.end(), y.begin(), x.begin(), std::plus<>());
  return x;
}

struct Op {
  Op(const std::vector<std::uint16_t>& sites, Descriptor descriptor, const std::vector<double>& weights = {})
      : cluster(sites.size(), Cluster::small_limits(), sites) {
    for (std::size_t i = 0; i < sites.size(); ++i) {
      descriptor.weight = weights.empty() ? 1 : weights[i];
      handles.push_back(cluster.post(i, descriptor, numbers(i, descriptor.count)));
    }
  }
  const Result& result(std::size_t i) const {
    REQUIRE(cluster.ended(i).size() == 1);
    return cluster.ended(i)[0].result;
  }
  void all_have(const std::vector<float>& sum, const std::vector<std::size_t>& members) {
    for (const std::size_t i : members) {
      CAPTURE(i);
      CHECK(result(i).outcome == Outcome::committed);
      CHECK(result(i).plan == PlanKind::hierarchical);
      CHECK(result(i).value == result(members[0]).value);
      CHECK(cluster.output(i, handles[i]) == sum);
      cluster.engine(i).check_invariants();
      CHECK(cluster.engine(i).idle());
    }
  }
  std::uint64_t sent(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to,
                     const std::vector<FrameType>& types) {
    std::uint64_t bytes = 0;
    for (const std::size_t i : from) {
      for (const std::size_t j : to) {
        for (const FrameType type : types) {
          bytes += cluster.sent(i, j, type);
        }
      }
    }
    return bytes;
  }
  Cluster cluster;
  std::vector<OpHandle> handles;
};

TEST_CASE("each site is summed, then the sites; the trunk carries the data once each way") {
  Op op(kTwoByTwo, sum_of(kCount));
  op.cluster.run();
  op.all_have(plus(plus(numbers(0), numbers(1)), plus(numbers(2), numbers(3))), {0, 1, 2, 3});
  const std::vector<std::size_t> west{0, 1};
  const std::vector<std::size_t> east{2, 3};
  for (const auto& [here, there] : {std::pair{west, east}, std::pair{east, west}}) {
    CHECK(op.sent(here, there, {FrameType::partial}) == kCount * sizeof(float) / 2);
    CHECK(op.sent(here, there, {FrameType::result}) == kCount * sizeof(float) / 2);
    CHECK(op.sent(here, there, {FrameType::part}) == 0);
  }
}

TEST_CASE("three sites, one of them of a single member, whose contribution goes to the root as it is") {
  Op op({0, 1, 0, 1, 4}, sum_of(kCount));
  op.cluster.run();
  op.all_have(plus(plus(plus(numbers(0), numbers(2)), plus(numbers(1), numbers(3))), numbers(4)), {0, 1, 2, 3, 4});
  CHECK(op.sent({4}, {0, 1, 2, 3}, {FrameType::partial}) == 0);
  CHECK(op.sent({4}, {0, 1, 2, 3}, {FrameType::part}) > 0);
}

TEST_CASE("what would be rounded twice has a direct plan") {
  Op op(kTwoByTwo, {.dtype = DType::bf16, .count = kCount});
  op.cluster.run();
  CHECK(op.result(0).plan == PlanKind::direct);
  CHECK(sums_by_site({.dtype = DType::f16, .reduction = Reduction::max, .count = 1}));
  CHECK_FALSE(sums_by_site({.dtype = DType::f16, .reduction = Reduction::prod, .count = 1}));
  CHECK_FALSE(sums_by_site({.kind = OpKind::reduce_scatter, .count = 1}));
}

TEST_CASE("an average is divided once, at the root; a site that weighs nothing is not in it") {
  Descriptor descriptor = sum_of(kCount);
  descriptor.reduction = Reduction::avg;
  descriptor.weighted = true;
  for (const std::vector<double>& weights : {std::vector<double>{1, 3, 2, 2}, {0, 0, 1, 3}, {1, 0, 0, 1}}) {
    Op op(kTwoByTwo, descriptor, weights);
    op.cluster.run();
    std::vector<float> expected(kCount);
    float sum = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      sum += static_cast<float>(weights[i]);
    }
    for (std::size_t at = 0; at < kCount; ++at) {
      const auto x = [&](std::size_t i) { return static_cast<float>(weights[i]) * numbers(i)[at]; };
      expected[at] = ((x(0) + x(1)) + (x(2) + x(3))) / sum;
    }
    op.all_have(expected, {0, 1, 2, 3});
  }
}

TEST_CASE(
    "with codecs a site's sum travels encoded as contributions do, and a gateway sends on what the root has encoded") {
  Descriptor descriptor = sum_of(1100);
  for (const Codec up : {Codec::none, Codec::q8}) {
    for (const Codec down : {Codec::none, Codec::q4}) {
      CAPTURE(name_of(up));
      CAPTURE(name_of(down));
      descriptor.up = up;
      descriptor.down = down;
      Op op(kTwoByTwo, descriptor);
      op.cluster.run();
      const auto sent = [&](std::size_t i) { return as_encoded(up, numbers(i, 1100)); };
      const std::vector<float> here = as_encoded(up, plus(sent(0), sent(1)));
      const std::vector<float> there = as_encoded(up, plus(sent(2), sent(3)));
      op.all_have(as_encoded(down, plus(here, there)), {0, 1, 2, 3});
    }
  }
}

TEST_CASE("whoever is lost in the middle, and whatever had come by then: the sums of the survivors, on all of them") {
  for (std::size_t victim = 0; victim < 4; ++victim) {
    for (std::size_t deaf = 0; deaf < 4; ++deaf) {
      if (deaf == victim) {
        continue;
      }
      CAPTURE(victim);
      CAPTURE(deaf);
      Op op(kTwoByTwo, sum_of(kCount));
      op.cluster.hold_back(victim, deaf);
      op.cluster.run();
      const auto reports = op.cluster.lose(victim);
      op.cluster.resolve(all(reports[0], wire::Verdict::resume));
      op.cluster.run();
      std::vector<float> site[2];
      std::vector<std::size_t> survivors;
      for (std::size_t i = 0; i < 4; ++i) {
        if (i != victim) {
          survivors.push_back(i);
          site[i / 2] = site[i / 2].empty() ? numbers(i) : plus(site[i / 2], numbers(i));
        }
      }
      op.all_have(plus(site[0], site[1]), survivors);
    }
  }
}

TEST_CASE("a site is lost as a whole") {
  Op op(kTwoByTwo, sum_of(kCount));
  op.cluster.hold_back(2, 0);
  op.cluster.hold_back(3, 1);
  op.cluster.run();
  op.cluster.lose(2);
  const auto reports = op.cluster.lose(3);
  op.cluster.resolve(all(reports[0], wire::Verdict::resume));
  op.cluster.run();
  op.all_have(plus(numbers(0), numbers(1)), {0, 1});
}

// Contributions that a loss does not concern are where they should be.
TEST_CASE("what a link is to carry is by the plans of the ops that are open; with a quorum they go past the sites") {
  Cluster cluster(4, Cluster::small_limits(), kTwoByTwo);
  const auto to = [&](std::size_t other) { return cluster.engine(0).traffic()[other - 1].second; };
  CHECK(to(1) == doctest::Approx(1));
  CHECK(to(2) == doctest::Approx(.25));
  Descriptor descriptor = sum_of(kCount);
  descriptor.quorum = 4;
  cluster.post(0, descriptor, numbers(0));
  CHECK(to(1) == doctest::Approx(.5));
  CHECK(to(2) == doctest::Approx(.5));
  descriptor.quorum = 0;
  descriptor.tag = 1;
  cluster.post(0, descriptor, numbers(0));
  CHECK(to(1) == doctest::Approx(.75));
  CHECK(to(2) == doctest::Approx(.375));
}

TEST_CASE("after a loss at one site nothing is contributed anew at the other") {
  Op op(kTwoByTwo, sum_of(kCount));
  op.cluster.hold_back(0, 1);
  op.cluster.run();
  CHECK(op.sent({2, 3}, {2, 3}, {FrameType::part}) > kCount * sizeof(float) / 2);
  op.cluster.resolve(all(op.cluster.lose(0)[0], wire::Verdict::resume));
  op.cluster.run();
  op.all_have(plus(numbers(1), plus(numbers(2), numbers(3))), {1, 2, 3});
  CHECK(op.sent({2, 3}, {2, 3}, {FrameType::part}) == kCount * sizeof(float));  // each chunk by one of them, once
}

}  // namespace
}  // namespace seaway::collective
