#include "runtime/paces.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace seaway::runtime {

namespace {

constexpr double kKib = 1024;
constexpr double kMega = 1e6;
constexpr double kBits = 8;
constexpr double kWorthIt = 0.01;  // a pace that is nearer than that to the one before is not set

void add(topology::LinkSample& sum, const net::PathFigures& now, const net::PathFigures& before) {
  sum.delivered += std::uint64_t{now.delivered - before.delivered} * now.segment;
  sum.received += now.received - before.received;
  sum.sent += now.sent - before.sent;
  sum.resent += now.resent - before.resent;
  sum.out_of_order += now.out_of_order - before.out_of_order;
  sum.busy += now.busy - before.busy;
  sum.held += now.held - before.held;
  sum.rtt = std::max(sum.rtt, now.rtt);
  sum.least_rtt = sum.least_rtt == 0 ? now.least_rtt : std::min(sum.least_rtt, now.least_rtt);
}

}  // namespace

// What has happened on each link to a member since the last call.
std::vector<topology::LinkSample> Paces::take(const Links& links, const core::Peer& peer) {
  std::map<PeerId, topology::LinkSample> sums;
  for (const auto& [id, traffic] : peer.engine().traffic()) {
    sums[id] = {
        .peer = id, .traffic = traffic, .offered = kKib * peer.engine().offered_by(id).kib_per_s, .connections = 0};
  }
  std::map<ConnId, Seen> seen;
  for (const auto& [conn, link] : links) {
    const auto sum = sums.find(link->peer());
    if (sum == sums.end()) {
      continue;
    }
    Seen one = seen_[conn];
    const net::PathFigures figures = link->path();
    add(sum->second, figures, one.figures);
    sum->second.connections += link->control() ? 0 : 1;
    one.figures = figures;
    seen.emplace(conn, one);
  }
  seen_ = std::move(seen);
  std::vector<topology::LinkSample> samples;
  for (const auto& [id, sample] : sums) {
    if (sample.connections > 0) {
      samples.push_back(sample);
    }
  }
  return samples;
}

void Paces::sample(const Links& links, core::Peer& peer, Time now) {
  const std::vector<topology::LinkSample> samples = take(links, peer);
  const Duration since = now - std::exchange(sampled_at_, now);
  if (since > 3 * kInterval) {
    return;  // nobody has looked meanwhile: what the sums are over was not one time of work
  }
  pacing_.sample(samples, since);
  peer.measured(static_cast<std::uint32_t>(std::lround(kBits * pacing_.line() / kMega)));
  for (const topology::LinkSample& sample : samples) {
    const double offer = std::min(pacing_.offer(sample.peer) / kKib, double{std::numeric_limits<std::uint32_t>::max()});
    const std::uint32_t connections = pacing_.connections(sample.peer);
    peer.engine().set_offer(sample.peer, {static_cast<std::uint32_t>(offer), static_cast<std::uint16_t>(connections)});
    peer.want_connections(sample.peer, connections, now);
    const auto pace = static_cast<std::uint64_t>(pacing_.pace(sample.peer) / sample.connections);
    for (const auto& [conn, link] : links) {
      if (link->peer() != sample.peer || link->control()) {
        continue;
      }
      std::uint64_t& set = seen_[conn].pace;
      const double change = std::abs(static_cast<double>(pace) - static_cast<double>(set));
      if (pace != set && (pace == 0 || set == 0 || change > kWorthIt * static_cast<double>(set))) {
        set = pace;
        link->set_pace(pace);
      }
    }
  }
}

}  // namespace seaway::runtime
