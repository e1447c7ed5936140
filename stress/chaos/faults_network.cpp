// What happens between hosts. TCP finds out late that packets pass again: it waits for twice as long after each that was lost. So the
// silence that a short cut makes is up to twice as long as it, and short means that this stays below what costs a member.
#include <algorithm>

#include "chaos/stage.h"

namespace seaway::chaos {

namespace {

using Edges = std::vector<Lab::Edge>;

void drop_for(Stage& stage, const Edges& edges, double seconds) {
  stage.lab.drop(edges);
  stage.after(seconds, [&lab = stage.lab, edges] { lab.let_pass(edges); });
}

// One way, the other, or both.
Edges draw_edges(Stage& stage, Host a, Host b, std::string& story) {
  switch (stage.random.below(3)) {
    case 0:
      story = name_of(a) + " to " + name_of(b);
      return {{a, b}};
    case 1:
      story = name_of(b) + " to " + name_of(a);
      return {{b, a}};
    default:
      story = name_of(a) + " and " + name_of(b);
      return {{a, b}, {b, a}};
  }
}

std::optional<Host> other_than(Stage& stage, unsigned replica) {
  std::vector<Host> others;
  for (unsigned other = 0; other < stage.run.config().world; ++other) {
    if (other != replica && stage.run.lives(other)) {
      others.push_back(other);
    }
  }
  return others.empty() ? std::nullopt : std::optional(others[stage.random.below(others.size())]);
}

}  // namespace

std::string cut_peers(Stage& stage) {
  const auto one = stage.victim();
  const auto other = one ? other_than(stage, *one) : std::nullopt;
  if (!other) {
    return "";
  }
  stage.victims.insert(*other);
  const bool is_long = stage.random.one_in(2);
  const double seconds = is_long ? stage.mostly_between(7, 9, 13) : stage.between(.2, 2);
  for (const unsigned end : {*one, *other}) {
    // An edge that stays stalled costs one of its ends, as the last resort.
    if (is_long) {
      stage.allowed.may_go(end);
    } else {
      stage.allowed.hinder(end);
    }
  }
  std::string who;
  drop_for(stage, draw_edges(stage, *one, *other, who), seconds);
  return "no packets: " + who + ", for " + in_seconds(seconds);
}

std::string cut_from_master(Stage& stage) {
  const auto replica = stage.victim();
  if (!replica) {
    return "";
  }
  const bool is_long = stage.random.one_in(2);
  const double seconds = is_long ? stage.mostly_between(4, 6, 10) : stage.between(.2, 1);
  if (is_long) {
    stage.allowed.may_go(*replica);
  } else {
    stage.allowed.hinder(*replica);
  }
  std::string who;
  drop_for(stage, draw_edges(stage, *replica, kMasterHost, who), seconds);
  return "no packets: " + who + ", for " + in_seconds(seconds);
}

std::string isolate_peer(Stage& stage) {
  const auto replica = stage.victim();
  if (!replica) {
    return "";
  }
  const double seconds = stage.mostly_between(4, 6, 9);
  stage.allowed.must_go(*replica);
  Edges edges;
  for (Host other = 0; other <= kMasterHost; ++other) {
    if (other != *replica) {
      edges.push_back({*replica, other});
      edges.push_back({other, *replica});
    }
  }
  drop_for(stage, edges, seconds);
  return "no packets: " + name_of(*replica) + " and everybody, for " + in_seconds(seconds);
}

// A reset is a fault of the network, of which nobody may die: both ends dial again.
std::string reset_connections(Stage& stage) {
  const auto replica = stage.anybody();
  if (!replica) {
    return "";
  }
  std::vector<Lab::Connection> connections = stage.lab.connections(*replica);
  if (connections.empty()) {
    return "";
  }
  const std::string drawn = connections[stage.random.below(connections.size())].remote;
  const std::string host = drawn.substr(0, drawn.find(':') + 1);
  const std::uint64_t kind = stage.random.below(10);
  std::erase_if(connections, [&](const Lab::Connection& connection) {
    return kind < 5 ? connection.remote != drawn : kind < 8 ? !connection.remote.starts_with(host) : false;
  });
  for (const Lab::Connection& connection : connections) {
    stage.lab.reset(*replica, connection);
  }
  stage.allowed.hinder(*replica);
  return std::to_string(connections.size()) + " connections of " + name_of(*replica) + " are reset" +
         (kind < 8 ? ", to " + drawn : ": all");
}

}  // namespace seaway::chaos
