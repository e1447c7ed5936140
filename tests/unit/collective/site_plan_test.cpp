// The hierarchical plan: who is whose root and gateway, and what that sends over the trunks.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "collective/plan.h"

namespace seaway::collective {
namespace {

// Member i + 1 at the site of this number.
std::vector<PlanMember> at(std::initializer_list<std::uint16_t> sites) {
  std::vector<PlanMember> list;
  for (const std::uint16_t site : sites) {
    list.push_back({list.size() + 1, 0, site});
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

Plan plan_over(const std::vector<PlanMember>& base, const std::vector<PeerId>& roster) {
  Limits limits;
  limits.chunk_bytes = 64;
  limits.one_shot_bytes = 0;
  return make_plan(base, roster, 64 * 64, 4, limits);
}

// Chunks that leave a site, or come into it, whoever sends them.
struct Crossings {
  std::map<std::uint16_t, std::uint32_t> out, in;
};
Crossings crossings(const Plan& plan, const std::vector<PlanMember>& base) {
  Crossings all;
  for (std::uint32_t chunk = 0; chunk < plan.chunks; ++chunk) {
    for (const PlanMember& from : base) {
      for (const PlanMember& to : base) {
        if (from.site == to.site) {
          continue;
        }
        const bool contributes = plan.collects(to.id, chunk) && plan.sends(from.id, to.id, chunk);
        const bool has_result = to.id != plan.roots[chunk] && plan.has_result_from(to.id, from.id, chunk);
        const std::uint32_t frames = (contributes ? 1u : 0u) + (has_result ? 1u : 0u);
        all.out[from.site] += frames;
        all.in[to.site] += frames;
      }
    }
  }
  return all;
}

TEST_CASE("a plan is hierarchical where there are several sites, and several members at one of them") {
  CHECK(has_sites(at({0, 0, 2, 2})));
  CHECK(has_sites(at({0, 1, 1})));
  CHECK_FALSE(has_sites(at({0, 1, 2, 3})));
  CHECK_FALSE(has_sites(at({0, 0, 0})));
  CHECK_FALSE(has_sites(at({0})));
  const auto base = at({0, 0, 2, 2});
  CHECK(plan_over(base, ids(base)).kind() == PlanKind::hierarchical);
  CHECK(make_plan(base, ids(base), 64, 4, Limits{}).kind() == PlanKind::one_shot);
  CHECK(plan_over(at({0, 1, 2}), ids(at({0, 1, 2}))).kind() == PlanKind::direct);
}

TEST_CASE("two sites of two: each trunk carries the data once each way, where a direct plan carries it twice") {
  const auto base = at({0, 0, 2, 2});
  const Plan plan = plan_over(base, ids(base));
  REQUIRE(plan.chunks == 64);
  const Crossings trunk = crossings(plan, base);
  for (const std::uint16_t site : {std::uint16_t{0}, std::uint16_t{2}}) {
    CHECK(trunk.out.at(site) == 64);
    CHECK(trunk.in.at(site) == 64);
  }
  const auto apart = at({0, 1, 2, 3});
  const Plan direct = plan_over(apart, ids(apart));
  std::uint32_t crossing = 0;
  for (std::uint32_t chunk = 0; chunk < direct.chunks; ++chunk) {
    crossing += direct.roots[chunk] <= 2 ? 2 : 2;  // two results out, or two contributions
  }
  CHECK(crossing == 128);
}

TEST_CASE("the work is spread: roots over sites and members, gateways over the members of a site") {
  const auto base = at({0, 0, 2, 2, 2});
  const Plan plan = plan_over(base, ids(base));
  std::map<PeerId, int> roots;
  for (const PeerId root : plan.roots) {
    ++roots[root];
  }
  CHECK(roots == std::map<PeerId, int>{{1, 16}, {2, 16}, {3, 11}, {4, 10}, {5, 11}});
  std::map<PeerId, int> gateways;
  for (const PlanMember& member : base) {
    gateways[member.id] = static_cast<int>(plan.chunks_of(member.id).size()) - roots[member.id];
  }
  CHECK(gateways == std::map<PeerId, int>{{1, 16}, {2, 16}, {3, 11}, {4, 11}, {5, 10}});
}

TEST_CASE("who collects, for whom, and from whom a result comes") {
  const auto base = at({0, 0, 2, 2, 4});
  const Plan plan = plan_over(base, ids(base));
  for (std::uint32_t chunk = 0; chunk < plan.chunks; ++chunk) {
    const PeerId root = plan.roots[chunk];
    CHECK(plan.collects(root, chunk));
    for (const PlanMember& member : base) {
      const PeerId collector = plan.collector_for(member.id, chunk);
      CHECK(plan.collects(collector, chunk));
      // Alone at its site, a member's contribution goes straight to the root, as in a direct plan.
      CHECK((collector == root || plan.sites.together(collector, member.id)));
      CHECK((member.id == 5 ? collector == root : true));
      if (collector != root) {
        CHECK(plan.sends_partials(collector, root));
        CHECK(plan.sends(collector, root, chunk));
        CHECK(plan.has_result_from(collector, root, chunk));
        CHECK((member.id == collector || plan.has_result_from(member.id, collector, chunk)));
      }
    }
  }
  CHECK_FALSE(plan.sends_partials(5, 1));
  CHECK_FALSE(plan.sends_partials(1, 2));
  CHECK_FALSE(plan.sends_partials(77, 1));  // somebody who is not in the base
}

TEST_CASE("a chunk is asked for in turn with those of the other roots") {
  const auto base = at({0, 0, 2, 2});
  const Plan plan = plan_over(base, ids(base));  // 16 chunks for each root, one after the other
  const std::vector<std::uint32_t> mine = plan.chunks_of(1);
  REQUIRE(mine.size() == 32);
  CHECK(std::vector<std::uint32_t>(mine.begin(), mine.begin() + 6) == std::vector<std::uint32_t>{0, 32, 48, 1, 2, 34});
}

TEST_CASE("a loss moves what the lost one was root and gateway of, and nothing else") {
  const auto base = at({0, 0, 0, 3, 3, 5});
  const Plan before = plan_over(base, ids(base));
  for (PeerId lost = 1; lost <= 6; ++lost) {
    CAPTURE(lost);
    std::vector<PeerId> roster = ids(base);
    std::erase(roster, lost);
    const Plan after = plan_over(base, roster);
    CHECK(after.chunks == before.chunks);
    for (std::uint32_t chunk = 0; chunk < before.chunks; ++chunk) {
      const PeerId root = after.roots[chunk];
      CHECK(std::ranges::find(roster, root) != roster.end());
      if (before.roots[chunk] != lost) {
        CHECK(root == before.roots[chunk]);
      } else if (lost != 6) {
        CHECK(after.sites.together(root, lost));  // then the gateways of other sites stay
      }
      for (const PeerId member : roster) {
        const PeerId collector = after.collector_for(member, chunk);
        CHECK(std::ranges::find(roster, collector) != roster.end());
        const PeerId earlier = before.collector_for(member, chunk);
        const bool stays = earlier != lost && before.roots[chunk] != lost;
        CHECK((!stays || collector == earlier));
      }
    }
  }
}

TEST_CASE(
    "of a site that is lost as a whole the gateways of the others become roots: they have what their sites "
    "contribute") {
  const auto base = at({0, 0, 2, 2, 4, 4});
  const Plan before = plan_over(base, ids(base));
  const Plan after = plan_over(base, {1, 2, 5, 6});
  for (std::uint32_t chunk = 0; chunk < before.chunks; ++chunk) {
    const PeerId was = before.roots[chunk];
    if (was == 3 || was == 4) {
      CHECK(before.collects(after.roots[chunk], chunk));
    } else {
      CHECK(after.roots[chunk] == was);
    }
  }
  const Plan last = plan_over(base, {6});
  CHECK(std::ranges::all_of(last.roots, [](PeerId root) { return root == 6; }));
}

TEST_CASE("how much each link carries") {
  // Of a direct plan of four: a quarter of everybody's parts and of everybody's results.
  for (const auto& [peer, share] : link_traffic(at({0, 1, 2, 3}), 1)) {
    CHECK(share == doctest::Approx(0.5));
  }
  // Two sites of two: over the trunk a member has half the turns for the other's quarter, and sends it half of its own; at home
  // it collects for half of the chunks, and so does the other.
  const std::vector<std::pair<PeerId, double>> traffic = link_traffic(at({0, 0, 2, 2}), 1);
  REQUIRE(traffic.size() == 3);
  CHECK(traffic[0].second == doctest::Approx(1));
  CHECK(traffic[1].second == doctest::Approx(0.25));
  CHECK(traffic[2].second == doctest::Approx(0.25));
  CHECK(link_traffic(at({0, 0}), 9).empty());
}

}  // namespace
}  // namespace seaway::collective
