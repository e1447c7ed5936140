// The hierarchical plan: which member is the root of which chunk, and who is a site's gateway for it. Every site has an equal share of
// the roots, and of a site every member: what several have behind one trunk is not what any of them measures as its rate.
// Then a trunk carries S (1 + (k-2)/k) each way for k sites, whatever their sizes: S for two.
#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "collective/plan.h"

namespace seaway::collective {

namespace {

Sites sites_of(std::span<const PlanMember> base, std::span<const PeerId> roster) {
  Sites sites;
  std::map<std::uint16_t, Site> by_number;
  for (const PlanMember& member : base) {
    by_number[member.site].members.push_back(member.id);
  }
  for (auto& [number, site] : by_number) {
    for (const PeerId member : site.members) {
      sites.site_of[member] = sites.list.size();
    }
    sites.list.push_back(std::move(site));
  }
  const auto is_here = [&](PeerId peer) { return std::ranges::find(roster, peer) != roster.end(); };
  for (Site& site : sites.list) {
    if (std::ranges::none_of(site.members, is_here)) {
      continue;
    }
    // The next that is left: so another's loss moves nothing of what this one has come to.
    for (std::size_t i = 0; i < site.members.size(); ++i) {
      std::size_t turn = i;
      while (!is_here(site.members[turn]) && MUTANT(gateway_not_replaced, true, false)) {
        turn = (turn + 1) % site.members.size();
      }
      site.turns.push_back(site.members[turn]);
    }
  }
  return sites;
}

std::vector<double> shares_of(const Sites& sites, std::span<const PlanMember> base) {
  std::vector<double> shares;
  for (const PlanMember& member : base) {
    const auto mates = static_cast<double>(sites.list[sites.of(member.id)].members.size());
    shares.push_back(1 / (static_cast<double>(sites.list.size()) * mates));
  }
  return shares;
}

// Who is root of a lost root's chunk: one of its site, or, when nobody of that is left, the gateway of another, which has the
// contributions of its own site already.
PeerId heir_of(const Sites& sites, PeerId lost, std::uint32_t chunk) {
  if (const std::vector<PeerId>& mates = sites.list[sites.of(lost)].turns; !mates.empty()) {
    return mates[chunk % mates.size()];
  }
  SEAWAY_MARK("nobody is left of a root's site");
  std::vector<const Site*> left;
  for (const Site& site : sites.list) {
    if (!site.turns.empty()) {
      left.push_back(&site);
    }
  }
  const std::vector<PeerId>& turns = left[chunk % left.size()]->turns;
  return turns[chunk % turns.size()];
}

}  // namespace

bool has_sites(std::span<const PlanMember> base) {
  std::set<std::uint16_t> sites;
  for (const PlanMember& member : base) {
    sites.insert(member.site);
  }
  return sites.size() > 1 && sites.size() < base.size();
}

void deal_by_sites(Plan& plan, std::span<const PlanMember> base, std::span<const PeerId> roster) {
  plan.sites = sites_of(base, roster);
  const std::vector<std::uint32_t> counts = apportion(shares_of(plan.sites, base), plan.chunks);
  for (std::size_t i = 0; i < base.size(); ++i) {
    const bool lost = std::ranges::find(roster, base[i].id) == roster.end();
    for (std::uint32_t n = 0; n < counts[i]; ++n) {
      const auto chunk = static_cast<std::uint32_t>(plan.roots.size());
      plan.roots.push_back(lost ? heir_of(plan.sites, base[i].id, chunk) : base[i].id);
    }
  }
}

// The n-th of each root, then the next of each, its own first: so that all trunks are used from the beginning, and a root's sums
// are made in the order in which it asks for them.
std::vector<std::uint32_t> Sites::chunks_of(PeerId peer, const std::vector<PeerId>& roots) const {
  std::map<PeerId, std::uint32_t> seen;
  std::vector<std::tuple<std::uint32_t, bool, std::uint32_t>> order;
  for (std::uint32_t chunk = 0; chunk < roots.size(); ++chunk) {
    const std::uint32_t position = seen[roots[chunk]]++;
    if (collector(peer, chunk, roots[chunk]) == peer) {
      order.emplace_back(position, roots[chunk] != peer, chunk);
    }
  }
  std::ranges::sort(order);
  std::vector<std::uint32_t> mine;
  mine.reserve(order.size());
  for (const auto& [position, is_others, chunk] : order) {
    mine.push_back(chunk);
  }
  return mine;
}

// Of the direct plan: my parts of what the other is root of, and the results of what I am. Of a hierarchical one the same within a site,
// with what a member is root of and what it is gateway for; between two sites each member's sums, or parts, for the other's
// chunks and the results of its own, as often as it is the other's turn.
std::vector<std::pair<PeerId, double>> link_traffic(std::span<const PlanMember> base, PeerId self) {
  std::vector<std::pair<PeerId, double>> traffic;
  const auto me = std::ranges::find(base, self, &PlanMember::id);
  if (me == base.end()) {
    return traffic;
  }
  std::vector<PeerId> everybody;
  for (const PlanMember& member : base) {
    everybody.push_back(member.id);
  }
  const bool is_by_sites = has_sites(base);
  const Sites sites = is_by_sites ? sites_of(base, everybody) : Sites{};
  const std::vector<double> shares = is_by_sites ? shares_of(sites, base) : direct_shares(base);
  const auto mates = [&](PeerId id) { return static_cast<double>(sites.list[sites.of(id)].members.size()); };
  const auto collects = [&](PeerId id, double share) {
    return share + (1 - 1 / static_cast<double>(sites.list.size())) / mates(id);
  };
  const double mine = shares[static_cast<std::size_t>(me - base.begin())];
  for (std::size_t i = 0; i < base.size(); ++i) {
    const PeerId id = base[i].id;
    if (id == self) {
      continue;
    }
    double both = mine + shares[i];
    if (is_by_sites) {
      both = sites.together(id, self) ? collects(self, mine) + collects(id, shares[i])
                                      : mine / mates(id) + shares[i] / mates(self);
    }
    traffic.emplace_back(id, both);
  }
  return traffic;
}

}  // namespace seaway::collective
