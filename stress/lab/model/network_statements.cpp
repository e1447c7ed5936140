// What statements do to a network.
#include <algorithm>
#include <cmath>

#include "lab/model/network.h"

namespace seaway::lab {

namespace {

std::string queue_problem(const LinkChange& change) {
  return change.queue && *change.queue < Link::kLeastQueue ? "a queue holds at least 3kb: two packets" : "";
}

void set(Time now, Link& link, std::optional<std::uint64_t> rate, std::optional<std::uint64_t> queue) {
  link.set(now, rate.value_or(link.rate()), queue.value_or(link.asked_queue()));
}

}  // namespace

std::optional<unsigned> Network::find(const std::string& name) const {
  const auto found = std::find_if(sites_.begin(), sites_.end(), [&](const Site& site) { return site.name == name; });
  return found == sites_.end() ? std::nullopt : std::optional(static_cast<unsigned>(found - sites_.begin()));
}

std::string Network::apply(Time now, const Statement& statement) {
  return std::visit([&](const auto& one) { return apply_one(now, one); }, statement);
}

std::string Network::apply_one(Time now, const SiteStatement& statement) {
  if (std::string problem = queue_problem(statement.link); !problem.empty()) {
    return problem;
  }
  std::optional<unsigned> at = find(statement.name);
  if (!at) {
    if (started_ || sites() == kMostSites) {
      return started_ ? "there is no site \"" + statement.name + "\", and none is made while the lab runs"
                      : "that is more than " + std::to_string(kMostSites) + " sites";
    }
    at = sites();
    sites_.push_back({statement.name, {}, {}, {}});
    for (unsigned other = 0; other < *at; ++other) {
      way(*at, other).random = random_.fork();
      way(other, *at).random = random_.fork();
    }
  }
  set(now, sites_[*at].up, statement.link.up, statement.link.queue);
  set(now, sites_[*at].down, statement.link.down, statement.link.queue);
  return "";
}

std::string Network::apply_one(Time now, const TrunkStatement& statement) {
  if (std::string problem = queue_problem(statement.link); !problem.empty()) {
    return problem;
  }
  const auto known =
      std::find_if(trunks_.begin(), trunks_.end(), [&](const Trunk& trunk) { return trunk.name == statement.name; });
  const auto at = static_cast<unsigned>(known - trunks_.begin());
  if (known == trunks_.end() && started_) {
    return "there is no trunk \"" + statement.name + "\", and none is made while the lab runs";
  }
  if (started_ && !statement.sites.empty()) {
    return "no site changes its trunk while the lab runs";
  }
  for (const std::string& name : statement.sites) {
    const std::optional<unsigned> site = find(name);
    if (!site) {
      return "there is no site \"" + name + "\" yet: sites come before what joins them";
    }
    if (sites_[*site].trunk && *sites_[*site].trunk != at) {
      return "site \"" + name + "\" is behind trunk \"" + trunks_[*sites_[*site].trunk].name + "\" already";
    }
  }
  if (known == trunks_.end()) {
    trunks_.push_back({statement.name, {}, {}});
  }
  for (const std::string& name : statement.sites) {
    sites_[*find(name)].trunk = at;
  }
  set(now, trunks_[at].out, statement.link.up, statement.link.queue);
  set(now, trunks_[at].in, statement.link.down, statement.link.queue);
  return "";
}

std::string Network::for_each_pair(const Pairs& pairs, const std::function<void(Pair&)>& change) {
  for (const std::string& name : {pairs.from, pairs.to}) {
    if (name != "*" && !find(name)) {
      return "there is no site \"" + name + "\"";
    }
  }
  const auto matches = [&](unsigned site, const std::string& name) { return name == "*" || sites_[site].name == name; };
  for (unsigned from = 0; from < sites(); ++from) {
    for (unsigned to = 0; to < sites(); ++to) {
      const bool forth = matches(from, pairs.from) && matches(to, pairs.to);
      const bool back = pairs.both_ways && matches(from, pairs.to) && matches(to, pairs.from);
      if (from != to && (forth || back)) {
        change(way(from, to));
      }
    }
  }
  return "";
}

std::string Network::apply_one(Time /*now*/, const PathStatement& statement) {
  return for_each_pair(statement.pairs, [&](Pair& pair) {
    pair.delay = statement.delay.value_or(pair.delay);
    if (statement.loss) {
      pair.loss = *statement.loss;
      pair.draw_loss();
    }
  });
}

std::string Network::apply_one(Time /*now*/, const CutStatement& statement) {
  return for_each_pair(statement.pairs, [&](Pair& pair) { pair.cut = statement.cut; });
}

// How many segments pass before one that is lost, each with the same chance: a geometric distribution, so that nothing is drawn
// for those that pass.
void Pair::draw_loss() {
  if (loss <= 0 || loss >= 1) {
    until_loss = loss <= 0 ? UINT64_MAX : 0;
    return;
  }
  const double uniform = (static_cast<double>(random.next() >> 11) + 1) / 0x1p53;  // in (0, 1]
  until_loss = static_cast<std::uint64_t>(std::min(std::log(uniform) / std::log1p(-loss), 1e18));
}

std::vector<Network::NamedLink> Network::links() const {
  std::vector<NamedLink> list;
  for (const Site& site : sites_) {
    list.push_back({"site " + site.name + " up", &site.up});
    list.push_back({"site " + site.name + " down", &site.down});
  }
  for (const Trunk& trunk : trunks_) {
    list.push_back({"trunk " + trunk.name + " out", &trunk.out});
    list.push_back({"trunk " + trunk.name + " in", &trunk.in});
  }
  return list;
}

}  // namespace seaway::lab
