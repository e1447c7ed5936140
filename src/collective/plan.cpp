#include "collective/plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/assert.h"
#include "base/mutant.h"

namespace seaway::collective {

namespace {

constexpr std::uint32_t kSmallestChunk = 16 * 1024;  // below it a frame costs more than its payload is worth
constexpr std::uint32_t kChunksPerRoot = 4;          // so that sending, reducing and sending back overlap
constexpr int kBisections = 100;                     // more than the bits of a double: the same t on every machine

// Below this size one delay less is worth sending everything to everyone. The bound is bandwidth times one-way delay,
// divided by what one-shot sends more than direct does (DESIGN 5).
bool is_small(std::uint64_t bytes, std::uint64_t members, const Limits& limits) {
  if (members <= 2) {
    return bytes * 3 / 2 < limits.one_shot_bytes;
  }
  return bytes * (members - 1) * (members - 2) / members < limits.one_shot_bytes;
}

}  // namespace

std::vector<std::uint32_t> apportion(std::span<const double> shares, std::uint32_t total) {
  std::vector<std::uint32_t> counts(shares.size());
  double sum = 0;
  std::uint32_t given = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    sum += shares[i];
    const bool last = i + 1 == shares.size();
    const auto upto = last ? total : std::min(total, static_cast<std::uint32_t>(std::lround(sum * total)));
    counts[i] = std::max(upto, given) - given;
    given += counts[i];
  }
  return counts;
}

std::uint32_t chunk_size(std::uint64_t bytes, std::size_t members, std::uint32_t grain, const Limits& limits) {
  const std::uint32_t smallest = std::min(kSmallestChunk, limits.chunk_bytes);
  const std::uint64_t wanted = bytes / (members * kChunksPerRoot);
  const auto size = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wanted, smallest, limits.chunk_bytes));
  return std::max(size / grain, 1u) * grain;
}

std::uint64_t Plan::coded_offset_of(Codec codec, std::uint32_t chunk) const {
  if (codec == Codec::none) {
    return offset_of(chunk);
  }
  const std::uint64_t before = blocks == Blocks::none ? 0 : chunk / block_chunks;
  const std::uint64_t within = offset_of(chunk) - before * block_bytes;
  return before * encoded_bytes(codec, block_bytes / sizeof(float)) + encoded_bytes(codec, within / sizeof(float));
}

std::vector<std::uint32_t> Plan::chunks_of(PeerId peer) const {
  if (is_from_owner()) {
    return chunks_in_turn(peer);
  }
  if (!sites.empty()) {
    return sites.chunks_of(peer, roots);
  }
  std::vector<std::uint32_t> mine;
  for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
    if (is_root(peer, chunk)) {
      mine.push_back(chunk);
    }
  }
  return mine;
}

std::vector<double> direct_shares(std::span<const PlanMember> members) {
  const std::size_t n = members.size();
  if (n <= 2) {
    return std::vector<double>(n, 1.0 / static_cast<double>(n));
  }
  double known = 0;
  double sum = 0;
  for (const PlanMember& member : members) {
    known += member.rate_mbps > 0 ? 1 : 0;
    sum += member.rate_mbps;
  }
  const double mean = known > 0 ? sum / known : 1;
  std::vector<double> rates;
  for (const PlanMember& member : members) {
    rates.push_back((member.rate_mbps > 0 ? member.rate_mbps : mean) / mean);
  }
  const auto share_at = [&](std::size_t i, double t) {
    return std::clamp((t * rates[i] - 1) / static_cast<double>(n - 2), 0.0, 1.0);
  };
  // The sum of the shares grows with t, so the t for which it is 1 is found by halving.
  double low = 0;
  double high = static_cast<double>(n) / *std::min_element(rates.begin(), rates.end());
  for (int i = 0; i < kBisections; ++i) {
    const double middle = (low + high) / 2;
    double total = 0;
    for (std::size_t member = 0; member < n; ++member) {
      total += share_at(member, middle);
    }
    (total < 1 ? low : high) = middle;
  }
  std::vector<double> shares;
  shares.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    shares.push_back(share_at(i, high));
  }
  return shares;
}

double direct_time(std::span<const PlanMember> base, std::span<const PlanMember> present) {
  const std::vector<double> planned = direct_shares(base);
  std::vector<PlanMember> heirs;  // as the plan knows them
  std::vector<double> shares;
  double lost = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    if (std::ranges::find(present, base[i].id, &PlanMember::id) == present.end()) {
      lost += planned[i];
    } else {
      heirs.push_back(base[i]);
      shares.push_back(planned[i]);
    }
  }
  SEAWAY_ASSERT(heirs.size() == present.size(), "who is present is in the base");
  const std::vector<double> dealt = direct_shares(heirs);
  const double others = static_cast<double>(present.size()) - 2;
  double last = 0;
  for (std::size_t i = 0; i < heirs.size(); ++i) {
    const double share = shares[i] + lost * dealt[i];
    const auto self = std::ranges::find(present, heirs[i].id, &PlanMember::id);
    last = std::max(last, (1 + others * share) / self->rate_mbps);
  }
  return last;
}

Plan make_plan(std::span<const PlanMember> base, std::span<const PeerId> roster, std::uint64_t bytes,
               std::uint32_t grain, const Limits& limits) {
  SEAWAY_ASSERT(!roster.empty() && !base.empty(), "a plan is made for somebody");
  Plan plan;
  plan.bytes = bytes;
  plan.chunk_bytes = chunk_size(bytes, base.size(), grain, limits);
  plan.chunks = static_cast<std::uint32_t>((bytes + plan.chunk_bytes - 1) / plan.chunk_bytes);
  plan.ready_asks = is_small(bytes, base.size(), limits);
  plan.one_shot = plan.ready_asks || (base.size() == 2 && limits.one_shot_bytes > 0);
  if (plan.one_shot) {
    return plan;
  }
  if (has_sites(base)) {
    deal_by_sites(plan, base, roster);
    return plan;
  }
  const std::vector<std::uint32_t> counts = apportion(direct_shares(base), plan.chunks);
  std::vector<PlanMember> present;
  for (const PlanMember& member : base) {
    if (std::find(roster.begin(), roster.end(), member.id) != roster.end()) {
      present.push_back(member);
    }
  }
  SEAWAY_ASSERT(present.size() == roster.size(), "an attempt's roster is a part of its base");
  const std::vector<double> present_shares = direct_shares(present);
  for (std::size_t i = 0; i < base.size(); ++i) {
    const bool lost = std::find(roster.begin(), roster.end(), base[i].id) == roster.end();
    if (!lost || MUTANT(m17_no_rerooting, false, true)) {
      plan.roots.insert(plan.roots.end(), counts[i], base[i].id);
      continue;
    }
    const std::vector<std::uint32_t> dealt = apportion(present_shares, counts[i]);
    for (std::size_t heir = 0; heir < present.size(); ++heir) {
      plan.roots.insert(plan.roots.end(), dealt[heir], present[heir].id);
    }
  }
  return plan;
}

}  // namespace seaway::collective
