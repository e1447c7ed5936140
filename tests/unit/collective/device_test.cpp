// Ops whose buffers are on a device at some of the members: jobs copy what travels.
#include <doctest/doctest.h>

#include <vector>

#include "base/random.h"
#include "cluster.h"
#include "support/encoded.h"

namespace seaway::collective {
namespace {

using support::as_encoded;

constexpr std::size_t kCount = 100;  // chunks of 16
constexpr std::size_t kMembers = 3;

std::vector<float> numbers(std::size_t member, std::size_t count = kCount) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>(i * 3 + member * 100);
  }
  return x;
}

std::vector<float> sum_of(std::initializer_list<std::size_t> members, Codec up = Codec::none) {
  std::vector<float> sum(kCount);
  bool is_first = true;
  for (const std::size_t member : members) {
    const std::vector<float> x = as_encoded(up, numbers(member));
    for (std::size_t i = 0; i < kCount; ++i) {
      sum[i] = is_first ? x[i] : sum[i] + x[i];
    }
    is_first = false;
  }
  return sum;
}

// Members 0 and 2 have a device, member 1 has none.
Descriptor of_member(Descriptor descriptor, std::size_t member) {
  descriptor.on_device = member != 1;
  return descriptor;
}

std::vector<OpHandle> post(Cluster& cluster, const Descriptor& descriptor, std::size_t count = kCount) {
  std::vector<OpHandle> ops;
  for (std::size_t i = 0; i < kMembers; ++i) {
    ops.push_back(cluster.post(i, of_member(descriptor, i), numbers(i, count)));
  }
  return ops;
}

// Member 1, and what is decided of the ops that were under way.
std::vector<wire::Decision> lose_one(Cluster& cluster, wire::Verdict verdict) {
  const auto reports = cluster.lose(1);
  std::vector<wire::Decision> decisions;
  for (const wire::OpReport& report : reports[0]) {
    decisions.push_back({report.op, verdict, "for a test"});
  }
  return decisions;
}

bool is_committed(const Cluster& cluster, std::size_t member) {
  return cluster.ended(member).size() == 1 && cluster.ended(member)[0].result.outcome == Outcome::committed;
}

TEST_CASE("an all-reduce between devices and hosts has the bits of one between hosts") {
  for (const std::uint64_t one_shot_bytes : {std::uint64_t{0}, std::uint64_t{1} << 20}) {
    for (const bool in_place : {false, true}) {
      for (const Codec codec : {Codec::none, Codec::q8}) {
        CAPTURE(one_shot_bytes);
        CAPTURE(in_place);
        CAPTURE(name_of(codec));
        Limits limits = Cluster::small_limits();
        limits.one_shot_bytes = one_shot_bytes;
        Cluster cluster(kMembers, limits);
        Descriptor descriptor;
        descriptor.count = kCount;
        descriptor.in_place = in_place;
        descriptor.up = codec;
        descriptor.down = codec;
        const std::vector<OpHandle> ops = post(cluster, descriptor);
        cluster.run();
        const std::vector<float> plain = sum_of({0, 1, 2}, codec);
        const std::vector<float> sum = one_shot_bytes == 0 ? as_encoded(codec, plain) : plain;
        for (std::size_t i = 0; i < kMembers; ++i) {
          REQUIRE(is_committed(cluster, i));
          CHECK((in_place ? cluster.input(i, ops[i]) : cluster.output(i, ops[i])) == sum);
          CHECK(cluster.ended(i)[0].result.value == cluster.ended(1)[0].result.value);
          cluster.engine(i).check_invariants();
        }
      }
    }
  }
}

TEST_CASE("a loss in the middle: what was copied from a device counts in the next attempt, too") {
  Cluster cluster(kMembers, Cluster::small_limits());
  Descriptor descriptor;
  descriptor.count = kCount;
  descriptor.in_place = true;
  const std::vector<OpHandle> ops = post(cluster, descriptor);
  cluster.hold_back(1, 0);
  cluster.hold_back(1, 2);
  cluster.run();
  cluster.resolve(lose_one(cluster, wire::Verdict::resume));
  cluster.run();
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
    REQUIRE(is_committed(cluster, i));
    CHECK(cluster.input(i, ops[i]) == sum_of({0, 2}));
  }
}

// A chunk that its root has inherited goes to another heir at the next loss: what had stayed on the first one's device travels.
TEST_CASE("two losses, one after the other, of five members with devices and a codec each way") {
  constexpr std::size_t kFive = 5;
  constexpr std::size_t kMany = 256 * 256;  // more chunks to a root than are encoded ahead of being asked for
  Random random(5);
  std::size_t committed = 0;
  for (int round = 0; round < 150; ++round) {
    CAPTURE(round);
    Limits limits = Cluster::small_limits();
    limits.chunk_bytes = 1024;
    limits.eager_bytes = random.one_in(2) ? 256 : 4096;
    Cluster cluster(kFive, limits);
    Descriptor descriptor;
    descriptor.count = kMany;
    descriptor.up = Codec::q8;
    descriptor.down = Codec::q8;
    descriptor.on_device = true;
    std::vector<OpHandle> ops;
    for (std::size_t i = 0; i < kFive; ++i) {
      ops.push_back(cluster.post(i, descriptor, numbers(i, kMany)));
    }
    std::vector<std::size_t> alive{0, 1, 2, 3, 4};
    const std::size_t victims[] = {random.below(kFive), (random.below(kFive - 1))};
    const std::size_t second = victims[1] >= victims[0] ? victims[1] + 1 : victims[1];
    std::erase(alive, victims[0]);
    std::erase(alive, second);
    cluster.hold_back(alive[0], alive[1]);  // so that it does not commit before
    for (const std::size_t victim : {victims[0], second}) {
      for (int held = 0; held < 3; ++held) {
        cluster.hold_back(random.below(kFive), random.below(kFive));
      }
      cluster.run();
      const auto reports = cluster.lose(victim);
      for (std::size_t from = 0; from < kFive; ++from) {
        for (std::size_t to = 0; to < kFive; ++to) {
          if (victim == second || (random.one_in(2) && (from != alive[0] || to != alive[1]))) cluster.let_go(from, to);
        }
      }
      cluster.resolve(all(reports[0], wire::Verdict::resume));
    }
    cluster.run();
    for (const std::size_t i : alive) {
      REQUIRE(cluster.ended(i).size() == 1);
      const Result& result = cluster.ended(i)[0].result;
      REQUIRE(result.outcome == Outcome::committed);
      std::vector<float> sum(kMany);
      bool is_first = true;
      for (const Contributor& contributor : result.contributors) {
        const std::vector<float> x = as_encoded(Codec::q8, numbers(contributor.id - Cluster::id(0), kMany));
        for (std::size_t at = 0; at < kMany; ++at) sum[at] = is_first ? x[at] : sum[at] + x[at];
        is_first = false;
      }
      CHECK(cluster.output(i, ops[i]) == as_encoded(Codec::q8, sum));
      ++committed;
    }
  }
  CHECK(committed == 450);
}

TEST_CASE("an op that is aborted has not touched a device") {
  Cluster cluster(kMembers, Cluster::small_limits());
  Descriptor descriptor;
  descriptor.count = kCount;
  descriptor.in_place = true;
  descriptor.fail_on_loss = true;
  const std::vector<OpHandle> ops = post(cluster, descriptor);
  cluster.hold_back(1, 0);
  cluster.run();
  cluster.resolve(lose_one(cluster, wire::Verdict::abort));
  cluster.run();
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.ended(i)[0].result.outcome == Outcome::aborted);
    CHECK(cluster.input(i, ops[i]) == numbers(i));
  }
}

TEST_CASE("broadcasts, gathers and scatters from and to devices") {
  SUBCASE("a broadcast, from a device and from a host") {
    for (const std::size_t root : {std::size_t{0}, std::size_t{1}}) {
      Cluster cluster(kMembers, Cluster::small_limits());
      Descriptor descriptor;
      descriptor.kind = OpKind::broadcast;
      descriptor.count = kCount;
      descriptor.root = Cluster::id(root);
      const std::vector<OpHandle> ops = post(cluster, descriptor);
      cluster.run();
      for (std::size_t i = 0; i < kMembers; ++i) {
        REQUIRE(is_committed(cluster, i));
        CHECK(cluster.input(i, ops[i]) == numbers(i));
        CHECK(cluster.output(i, ops[i]) == (i == root ? std::vector<float>(kCount) : numbers(root)));
      }
    }
  }
  SUBCASE("an all-gather") {
    for (const Codec codec : {Codec::none, Codec::q4}) {
      Cluster cluster(kMembers, Cluster::small_limits());
      Descriptor descriptor;
      descriptor.kind = OpKind::all_gather;
      descriptor.count = kCount;
      descriptor.blocks = kMembers;
      descriptor.up = codec;
      const std::vector<OpHandle> ops = post(cluster, descriptor);
      cluster.run();
      std::vector<float> all;
      for (std::size_t i = 0; i < kMembers; ++i) {
        const std::vector<float> block = as_encoded(codec, numbers(i));
        all.insert(all.end(), block.begin(), block.end());
      }
      for (std::size_t i = 0; i < kMembers; ++i) {
        REQUIRE(is_committed(cluster, i));
        CHECK(cluster.output(i, ops[i]) == all);
      }
    }
  }
  SUBCASE("a reduce-scatter") {
    Cluster cluster(kMembers, Cluster::small_limits());
    Descriptor descriptor;
    descriptor.kind = OpKind::reduce_scatter;
    descriptor.count = kCount;
    descriptor.blocks = kMembers;
    const std::vector<OpHandle> ops = post(cluster, descriptor, kCount * kMembers);
    cluster.run();
    for (std::size_t i = 0; i < kMembers; ++i) {
      REQUIRE(is_committed(cluster, i));
      const std::vector<float>& block = cluster.output(i, ops[i]);
      for (std::size_t at = 0; at < kCount; ++at) {
        CHECK(block[at] == static_cast<float>((i * kCount + at) * 9 + 300));
      }
    }
  }
}

// Member s gives 50 elements to each, itself included: those of its numbers from 50 r on to member r.
TEST_CASE("an exchange between devices and hosts, of which a host is lost") {
  constexpr std::size_t kEach = 50;
  for (const bool loses : {false, true}) {
    CAPTURE(loses);
    Cluster cluster(kMembers, Cluster::small_limits());
    if (loses) {
      cluster.hold_back(1, 0);
    }
    Descriptor descriptor;
    descriptor.kind = OpKind::exchange;
    for (std::size_t i = 0; i < kMembers; ++i) {
      descriptor.sends.push_back({Cluster::id(i), kEach});
      descriptor.receives.push_back({Cluster::id(i), kEach});
    }
    const std::vector<OpHandle> ops = post(cluster, descriptor, kMembers * kEach);
    cluster.run();
    if (loses) {
      cluster.resolve(lose_one(cluster, wire::Verdict::resume));
      cluster.run();
    }
    for (std::size_t i = 0; i < kMembers; ++i) {
      if (loses && i == 1) {
        continue;
      }
      CAPTURE(i);
      REQUIRE(is_committed(cluster, i));
      for (std::size_t from = 0; from < kMembers; ++from) {
        for (std::size_t at = 0; at < kEach; ++at) {
          const float right = numbers(from, kMembers * kEach)[i * kEach + at];
          CHECK(cluster.output(i, ops[i])[from * kEach + at] == (loses && from == 1 ? 0 : right));
        }
      }
    }
  }
}

}  // namespace
}  // namespace seaway::collective
