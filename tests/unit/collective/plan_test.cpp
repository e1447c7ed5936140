#include "collective/plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

namespace seaway::collective {
namespace {

std::vector<PlanMember> members(std::initializer_list<std::uint32_t> rates) {
  std::vector<PlanMember> list;
  for (const std::uint32_t rate : rates) {
    list.push_back({list.size() + 1, rate});
  }
  return list;
}

std::vector<PeerId> ids(const std::vector<PlanMember>& list) {
  std::vector<PeerId> roster;
  for (const PlanMember& member : list) {
    roster.push_back(member.id);
  }
  return roster;
}

Limits small() {
  Limits limits;
  limits.chunk_bytes = 64;
  limits.one_shot_bytes = 100;
  return limits;
}

TEST_CASE("shares of equal members are equal; of two they are halves whatever their rates") {
  for (const double share : direct_shares(members({0, 0, 0, 0}))) {
    CHECK(share == doctest::Approx(0.25));
  }
  CHECK(direct_shares(members({10, 1000})) == std::vector<double>{0.5, 0.5});
}

TEST_CASE("a faster member is root of more, a slow one of nothing when that ends earlier") {
  // n = 3: w_i = clamp(t B_i - 1, 0, 1) with B = 2, 2, .5 (times the mean): t = .75, w = .5, .5, 0.
  const std::vector<double> shares = direct_shares(members({400, 400, 100}));
  CHECK(shares[0] == doctest::Approx(0.5));
  CHECK(shares[1] == doctest::Approx(0.5));
  CHECK(shares[2] == doctest::Approx(0));
}

TEST_CASE("a plan takes as long as its slowest member") {
  // n = 4, shares of a quarter: traffic 1.5 each, the last one at half the rate.
  CHECK(direct_time(members({0, 0, 0, 0}), members({10, 10, 10, 5})) == doctest::Approx(0.3));
  // By the true rates the slow one is root of nothing: 1 at half the rate.
  CHECK(direct_time(members({10, 10, 10, 5}), members({10, 10, 10, 5})) == doctest::Approx(0.2));
  // The last one is lost, its quarter dealt to three: w = 1/3, traffic 4/3.
  CHECK(direct_time(members({0, 0, 0, 0}), members({10, 10, 10})) == doctest::Approx(4.0 / 30));
}

TEST_CASE("small ops are one-shot, larger ones have one root per chunk") {
  const auto base = members({0, 0, 0});
  CHECK(make_plan(base, ids(base), 100, 4, small()).one_shot);
  const Plan plan = make_plan(base, ids(base), 1000, 4, small());
  CHECK_FALSE(plan.one_shot);
  CHECK(plan.chunks == 16);
  CHECK(plan.roots.size() == plan.chunks);
  CHECK(plan.length_of(15) == 1000 - 15 * 64);
  for (const PlanMember& member : base) {
    CHECK(plan.chunks_of(member.id).size() >= 5);
  }
}

TEST_CASE("chunks hold whole elements") {
  Limits limits = small();
  limits.chunk_bytes = 60;
  const auto base = members({0, 0, 0});
  CHECK(make_plan(base, ids(base), 800, 8, limits).chunk_bytes == 56);
  limits.chunk_bytes = 2;
  CHECK(make_plan(base, ids(base), 800, 8, limits).chunk_bytes == 8);
}

TEST_CASE("a lost root's chunks are dealt to the survivors; nobody else's move") {
  const auto base = members({0, 0, 0, 0});
  const Plan before = make_plan(base, ids(base), 4096, 4, small());
  for (PeerId lost = 1; lost <= 4; ++lost) {
    std::vector<PeerId> roster = ids(base);
    std::erase(roster, lost);
    const Plan after = make_plan(base, roster, 4096, 4, small());
    CHECK(after.chunks == before.chunks);
    for (std::uint32_t chunk = 0; chunk < before.chunks; ++chunk) {
      if (before.roots[chunk] != lost) {
        CHECK(after.roots[chunk] == before.roots[chunk]);
      } else {
        CHECK(std::find(roster.begin(), roster.end(), after.roots[chunk]) != roster.end());
      }
    }
    for (const PeerId survivor : roster) {
      CHECK(after.chunks_of(survivor).size() > before.chunks_of(survivor).size());
    }
  }
}

TEST_CASE("a plan of nothing has no chunks") {
  const auto base = members({0, 0});
  CHECK(make_plan(base, ids(base), 0, 4, small()).chunks == 0);
  Limits limits = small();
  limits.one_shot_bytes = 0;
  CHECK(make_plan(base, ids(base), 0, 4, limits).chunks == 0);
}

}  // namespace
}  // namespace seaway::collective
