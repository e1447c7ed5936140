// What is different where the plan is hierarchical: an all-reduce of members several of which share a site (sites.h).
//
//   a collector that is no root   contributions of its site, all here -> the site's sum; PARTIAL to the root, once that has asked
//   a root                        the sum of its own site, everybody else's sums and contributions -> the result
//   a gateway                     RESULT from the root -> the same bytes to the others of its site
//
// Contributions are kept over a resume as ever, where they were collected. A sum is of one attempt, whose contributors it has: it is
// made anew for the next, and asked for anew. Nothing in it has to say whom it is of: at one attempt all know the same
// contributors, and a PARTIAL of another attempt is not taken.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/mark.h"
#include "base/mutant.h"
#include "collective/engine.h"

namespace seaway::collective {

using wire::FrameHeader;

// None, too, where their weights sum to 0: an average of nothing is no number.
std::vector<Contributor> Engine::contributors_at(const Op& op, std::size_t site) const {
  std::vector<Contributor> here;
  double weight = 0;
  for (const Contributor& contributor : *op.contributors) {
    if (op.plan.sites.of(contributor.id) == site) {
      here.push_back(contributor);
      weight += contributor.weight;
    }
  }
  return weight > 0 ? here : std::vector<Contributor>{};
}

// What I ask for in this attempt.
void Engine::collect(Op& op) const {
  op.my_chunks = op.plan.chunks_of(config_.self);
  op.site_chunks.clear();
  op.asked = op.reduced = op.site_asked = op.site_summed = 0;
  if (op.plan.sites.empty()) {
    return;
  }
  std::vector<std::uint32_t> as_root;
  std::ranges::partition_copy(op.my_chunks, std::back_inserter(as_root), std::back_inserter(op.site_chunks),
                              [&](std::uint32_t chunk) { return op.plan.is_root(config_.self, chunk); });
  op.my_chunks = std::move(as_root);
}

// First what others wait for.
void Engine::ask_for_parts(Op& op, Time now) {
  if (MUTANT(gateways_wait_for_roots, true, op.asked == op.my_chunks.size())) {
    ask_for_parts(op, op.site_chunks, op.site_asked, op.site_summed, now);
  }
  ask_for_parts(op, op.my_chunks, op.asked, op.reduced, now);
}

Region Engine::partial_region(const Op& op, std::uint32_t chunk) const {
  return {Buffer::partial, op.handle, op.plan.coded_offset_of(op.descriptor.up, chunk), op.part_length(chunk)};
}

// Whether what my site contributes to the chunk is summed, or there is nothing to sum.
bool Engine::try_sum(Op& op, std::uint32_t chunk, Time now) {
  const Sites& sites = op.plan.sites;
  if (op.chunks[chunk].summed || !sites.sums(config_.self)) {
    return true;
  }
  const std::vector<Contributor> here = contributors_at(op, sites.of(config_.self));
  if (here.empty()) {
    SEAWAY_MARK("a site contributes nothing");
    sum_done(op, chunk, now);
    return true;
  }
  auto sources = parts_of(op, here, chunk);
  if (!sources) {
    return false;
  }
  Job job;
  job.sources = std::move(*sources);
  job.dst = partial_region(op, chunk);
  if (here.size() == 1) {
    SEAWAY_MARK("a site's only contribution is its sum");
    job.kind = JobKind::copy;
  } else {
    job.kind = JobKind::reduce;
    job.codec = op.descriptor.up;
    if (op.descriptor.up != Codec::none) {  // what it says is of no use here: the root decodes it
      job.coded_by = op.descriptor.up;
      job.coded = std::exchange(job.dst, result_region(op, chunk));
    }
  }
  queue_job(op, chunk, std::move(job), JobFor::sum);
  return false;
}

void Engine::sum_done(Op& op, std::uint32_t chunk, Time now) {
  op.chunks[chunk].summed = true;
  drop_used_parts(op, chunk, true);
  if (op.plan.is_root(config_.self, chunk)) {
    op.candidates.push_back(chunk);
    return;
  }
  ++op.site_summed;
  offer_sum(op, chunk);
  ask_for_parts(op, now);
}

// What the root of a chunk adds up: of each site its sum, or of one that never had two members the contribution.
std::optional<std::vector<JobSource>> Engine::sums_of(Op& op, std::uint32_t chunk) {
  const Sites& sites = op.plan.sites;
  std::vector<JobSource> sums;
  for (std::size_t site = 0; site < sites.list.size(); ++site) {
    const std::vector<Contributor> there = contributors_at(op, site);
    if (there.empty()) {
      continue;
    }
    const double weight = there.size() == 1 ? there.front().weight : 1;
    if (!sites.sums(there.front().id)) {
      const auto part = parts_of(op, there, chunk);
      if (!part) {
        return std::nullopt;
      }
      sums.push_back(part->front());
    } else if (site == sites.of(config_.self)) {
      sums.push_back({partial_region(op, chunk), weight});
    } else {
      const auto& parts = op.sides.at(sites.gateway(site, chunk, config_.self)).parts;
      const auto part = parts.find(chunk);
      if (part == parts.end() || part->second.state != Part::State::present) {
        return std::nullopt;
      }
      sums.push_back({{Buffer::slot, part->second.slot, 0, part->second.length}, weight});
    }
  }
  if (MUTANT(sites_added_in_wrong_order, false, true) && sums.size() > 2) {
    std::swap(sums[0], sums[2]);
  }
  return sums;
}

// A root that is at the next attempt already asks for what it will need there.
void Engine::want_sums(Op& op, PeerId peer, const wire::Want& want, Cut attempt) {
  if (attempt < op.attempt) {
    return;
  }
  if (op.attempt < attempt) {
    SEAWAY_MARK("a site's sum is asked for before its attempt begins here");
    if (MUTANT(early_want_of_sums_forgotten, false, true)) {
      return;
    }
  }
  for (const wire::ChunkRange& range : want.ranges) {
    for (std::uint64_t at = range.first; at < std::uint64_t{range.first} + range.count && at < op.plan.chunks; ++at) {
      const auto chunk = static_cast<std::uint32_t>(at);
      Cut& wanted = op.sides.at(peer).sums_wanted[chunk];
      wanted = std::max(wanted, attempt);  // frames of a link overtake one another
      offer_sum(op, chunk);
    }
  }
}

void Engine::offer_sum(Op& op, std::uint32_t chunk) {
  const PeerId root = op.plan.roots[chunk];
  if (!op.chunks[chunk].summed || !op.plan.sends_partials(config_.self, root) ||
      !op.plan.sends(config_.self, root, chunk)) {
    return;
  }
  Side& side = op.sides.at(root);
  const auto wanted = side.sums_wanted.find(chunk);
  if (wanted == side.sums_wanted.end() || wanted->second != op.attempt ||
      contributors_at(op, op.plan.sites.of(config_.self)).empty()) {
    return;
  }
  side.sums_wanted.erase(wanted);
  side.partials.push_back(chunk);
  offer(op, root);
}

// The result of a chunk is here: to those that have it from me.
void Engine::pass_on(Op& op, std::uint32_t chunk) {
  const bool is_gateway = !op.plan.is_root(config_.self, chunk);
  if (is_gateway && MUTANT(gateway_keeps_results, false, true)) {
    return;
  }
  for (const PeerId peer : op.roster) {
    if (peer == config_.self || !op.plan.has_result_from(peer, config_.self, chunk)) {
      continue;
    }
    Side& side = op.sides.at(peer);
    if (side.ready && side.ready->has_data) {
      continue;
    }
    if (is_gateway) {
      SEAWAY_MARK("a gateway passes a result on");
    }
    side.results.push_back(chunk);
    offer(op, peer);
  }
}

// Before the plan of the next attempt is made.
void Engine::forget_sums(Op& op) {
  for (const Site& site : op.plan.sites.list) {
    for (const PeerId peer : site.turns) {
      if (site.members.size() > 1 && std::ranges::find(op.roster, peer) == op.roster.end()) {
        SEAWAY_MARK("resume with a gateway dead");
      }
    }
  }
  for (auto& [peer, side] : op.sides) {
    side.partials.clear();
    if (!op.plan.sends_partials(peer, config_.self) || MUTANT(sums_kept_over_a_resume, false, true)) {
      continue;
    }
    for (auto& [chunk, part] : side.parts) {
      if (part.state == Part::State::present) {
        SEAWAY_MARK("a site's sum that had come goes with its attempt");
      }
      drop_part(part);
    }
    side.parts.clear();
  }
}

// --- What a link is to carry ----------------------------------------------------------------------------------------

std::vector<std::pair<PeerId, double>> Engine::traffic() const {
  if (bases_.empty()) {
    return {};
  }
  double bytes = 0;
  double direct = 0;
  for (const auto& [handle, key] : handles_) {
    const Op& op = ops_.at(key);
    const auto data = static_cast<double>(op.open() ? op.data_bytes() : 0);
    bytes += data;
    direct += sums_by_site(op.descriptor) ? 0 : data;
  }
  std::vector<PlanMember> base = base_of(bases_.back().generation);
  std::vector<std::pair<PeerId, double>> traffic = link_traffic(base, config_.self);
  if (direct > 0 && has_sites(base)) {
    std::ranges::for_each(base, [](PlanMember& member) { member.site = 0; });
    const std::vector<std::pair<PeerId, double>> past_sites = link_traffic(base, config_.self);
    for (std::size_t i = 0; i < traffic.size(); ++i) {
      traffic[i].second += direct / bytes * (past_sites[i].second - traffic[i].second);
    }
  }
  return traffic;
}

// --- PARTIAL --------------------------------------------------------------------------------------------------------

Landing Engine::land_partial(Connection& connection, const FrameHeader& header) {
  Op* op = find(header.op);
  if (op == nullptr || !op->open()) {
    return Sink{};
  }
  if (header.attempt < op->attempt && MUTANT(old_sum_taken, true, false)) {
    SEAWAY_MARK("a site's sum of an earlier attempt is sunk");
    return Sink{};
  }
  if (header.attempt > op->attempt) {
    return Refuse{"a site's sum of an attempt that I have not said to be at"};
  }
  const bool is_mine = header.chunk < op->plan.chunks && op->plan.sends_partials(connection.peer, config_.self) &&
                       op->plan.sends(connection.peer, config_.self, header.chunk) &&
                       header.length == op->part_length(header.chunk);
  if (!is_mine && MUTANT(old_sum_taken, true, header.attempt == op->attempt)) {
    return Refuse{"a site's sum from a peer that is not its gateway for me"};
  }
  Part& part = op->sides[connection.peer].parts[header.chunk];
  if (!is_mine || part.state != Part::State::absent) {
    return Sink{};
  }
  op->progress_at = now_;
  return land_in_slot(connection, part, header.length);
}

Landing Engine::land_in_slot(Connection& connection, Part& part, std::uint32_t length) {
  part.state = Part::State::landing;
  part.length = length;
  part.slot = take_slot(length);
  ++slots_.at(part.slot).pins;
  connection.incoming.kind = Incoming::Kind::part;
  connection.incoming.slot = part.slot;
  return Land{{Buffer::slot, part.slot, 0, length}};
}

}  // namespace seaway::collective
