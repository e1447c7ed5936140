// | of        | holds                                                                                              |
// |-----------|----------------------------------------------------------------------------------------------------|
// | versions  | cut <= epoch, epoch.term <= term; there is a term and a number after them                          |
// | roster    | an incarnation once; a (replica, lane) once; by generation; a replica whole and its lanes together |
// | bases     | by generation, each once; each has every member of the roster that is not newer, with its lane;    |
// |           | a site is named by a member that is at it                                                          |
// | joins     | by generation, no point before an earlier one's (G16), none newer than the newest base             |
// | decisions | final, one for each op                                                                             |
#include "core/coherent.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace seaway::core {

namespace {

// Far beyond what any run counts, and far from where a counter ends: whoever goes on from here has room.
constexpr std::uint32_t kMostCounted = 1u << 31;

std::string in_words(Epoch epoch) { return std::to_string(epoch.term) + "." + std::to_string(epoch.number); }

std::string of_versions(const wire::EpochMessage& message) {
  if (message.epoch.term > message.term || message.cut > message.epoch) {
    return "epoch " + in_words(message.epoch) + ", cut " + in_words(message.cut) + " in term " +
           std::to_string(message.term);
  }
  // A master that has lost its memory counts on in the upper half (protocol 7).
  if (message.epoch.number > kMostCounted || message.term >> 32 > kMostCounted) {
    return "epoch " + in_words(message.epoch) + " of term " + std::to_string(message.term) + " leaves none after it";
  }
  return "";
}

std::string of_roster(const std::vector<wire::MemberInfo>& roster) {
  std::set<PeerId> ids{kNoPeer};
  std::map<std::uint32_t, std::set<std::uint16_t>> lanes;
  for (std::size_t i = 0; i < roster.size(); ++i) {
    const wire::MemberInfo& member = roster[i];
    if (!ids.insert(member.id).second) {
      return "a member twice or without a name";
    }
    if (member.generation == 0 || (i > 0 && member.generation < roster[i - 1].generation)) {
      return "members that are not in the order of their admission";
    }
    const bool goes_on = i > 0 && roster[i - 1].replica == member.replica;
    if ((lanes.contains(member.replica) && !goes_on) || !lanes[member.replica].insert(member.lane).second) {
      return "replica " + std::to_string(member.replica) + " twice";
    }
  }
  for (const auto& [replica, its] : lanes) {
    if (its.size() != lanes.begin()->second.size() || *its.rbegin() + 1u != its.size()) {
      return "replica " + std::to_string(replica) + " without all its lanes";
    }
  }
  return "";
}

std::string of_bases(const wire::EpochMessage& message) {
  if (message.bases.empty() != (message.epoch.number == 0)) {
    return "an epoch without the base of its newest generation";
  }
  std::uint32_t before = 0;
  for (const wire::Base& base : message.bases) {
    std::map<PeerId, std::uint16_t> lanes;
    for (const wire::BaseMember& member : base.members) {
      if (!lanes.emplace(member.id, member.lane).second) {
        return "a member twice in the base of generation " + std::to_string(base.generation);
      }
    }
    for (const wire::BaseMember& member : base.members) {
      if (member.site >= base.members.size() || base.members[member.site].site != member.site) {
        return "a member of no site in the base of generation " + std::to_string(base.generation);
      }
    }
    if (base.generation <= before || base.generation > kMostCounted) {
      return "the base of generation " + std::to_string(base.generation) + " after that of " + std::to_string(before);
    }
    before = base.generation;
    for (const wire::MemberInfo& member : message.roster) {
      const auto in_base = lanes.find(member.id);
      const bool is_in_base = in_base != lanes.end() && in_base->second == member.lane;
      if (member.generation <= base.generation && !is_in_base) {
        return "a base of generation " + std::to_string(base.generation) + " without a member that it had";
      }
    }
  }
  if (!message.roster.empty() && message.roster.back().generation > before) {
    return "a member of a generation without a base";
  }
  return "";
}

std::string of_joins(const wire::EpochMessage& message) {
  const std::uint32_t newest = message.bases.empty() ? 0 : message.bases.back().generation;
  const wire::JoinRecord* before = nullptr;
  for (const wire::JoinRecord& join : message.joins) {
    const bool in_order = before == nullptr || (before->generation < join.generation && before->point <= join.point);
    if (!in_order || join.generation == 0 || join.generation > newest) {
      return "a join of generation " + std::to_string(join.generation) + " out of place";
    }
    before = &join;
  }
  return "";
}

std::string of_decisions(const std::vector<wire::Decision>& decisions) {
  std::set<OpKey> decided;
  for (const wire::Decision& decision : decisions) {
    if (decision.verdict == wire::Verdict::resume || !decided.insert(decision.op).second) {
      return "a decision that is not the final one of its op";
    }
  }
  return "";
}

}  // namespace

std::string why_incoherent(const wire::EpochMessage& message) {
  for (std::string reason : {of_versions(message), of_roster(message.roster), of_bases(message), of_joins(message),
                             of_decisions(message.decisions)}) {
    if (!reason.empty()) {
      return reason;
    }
  }
  return "";
}

}  // namespace seaway::core
