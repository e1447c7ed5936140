#include "topology/pacing.h"

#include <algorithm>

#include "base/limits.h"

namespace seaway::topology {

namespace {

constexpr double kOfCapacity = 0.95;  // what a pace leaves free: ACKs, headers, others
constexpr double kHeavyLoss = 0.02;
constexpr double kLongestStep = 0.05;
constexpr double kStepsGrow = 1.4;
constexpr double kAllOfIt = 1 / kOfCapacity;
constexpr double kSearching = 1.15;
constexpr int kSearchFor = 5;  // samples
constexpr int kShortRest = 5;
constexpr int kLongRest = 80;
constexpr double kRises = 1.01;
constexpr double kStepDown = 0.85;
constexpr double kLeastFactor = 0.5;
constexpr std::uint64_t kFewBytes = 64ull * 1024;  // less than that in a sample is no traffic
constexpr int kStaysFor = 5;                       // samples
constexpr Duration kNear = kMillisecond;           // below it a path is a LAN or the loopback, which needs no pace
constexpr Duration kQueue = 10 * kMillisecond;     // this much, and half of the least round trip, above that
constexpr std::uint32_t kDoubledUpTo = 8;
constexpr int kHoldsFor = 30;      // samples
constexpr double kNearRate = 0.9;  // what paces leave free, and a little
constexpr int kHeldFor = 3;        // samples
constexpr double kPays = 1.03;     // connections that were added bring at least that
constexpr double kRisen = 1.05;
constexpr int kSteadyFor = 50;  // samples: paces find what the line has in steps, and seconds pass between two

double seconds(Duration duration) { return static_cast<double>(duration) / kSecond; }
double rate_of(std::uint64_t bytes, Duration since) { return static_cast<double>(bytes) / seconds(since); }
bool is_near(const LinkSample& link) { return link.least_rtt < kNear; }

bool meets_queue(const LinkSample& link) { return link.rtt > link.least_rtt + kQueue + link.least_rtt / 2; }

}  // namespace

void Pacing::Capacity::see(double now, bool lossy) {
  const double fresh = (now + last) / 2;
  const double sure = std::min(fresh, mean);
  rate = std::max(rate, sure);
  mean = fresh;
  last = now;
  peak = std::max(peak, sure);
  losses = losses || lossy;
  samples += now > 0 ? 1 : 0;
  if (now > 0) {
    learn_known();
  }
  if (samples < kHoldsFor) {
    return;
  }
  if (losses && peak < kNearRate * rate) {
    rate = peak / kNearRate;
  }
  peak = 0;
  samples = 0;
  losses = false;
}

void Pacing::Capacity::learn_known() {
  if (rate > kRisen * from) {
    from = rate;
    steady = 0;
  }
  if (++steady >= kSteadyFor) {
    known = rate;
    from = rate;
  }
}

void Pacing::sample(std::span<const LinkSample> links, Duration since) {
  if (since <= 0) {
    return;
  }
  std::erase_if(links_, [&](const auto& entry) {
    return std::ranges::none_of(links, [&](const LinkSample& link) { return link.peer == entry.first; });
  });
  double delivered = 0;
  double received = 0;
  for (const LinkSample& link : links) {
    delivered += is_near(link) || link.delivered < kFewBytes ? 0 : rate_of(link.delivered, since);
    received += is_near(link) || link.received < kFewBytes ? 0 : rate_of(link.received, since);
  }
  up_.see(delivered, std::ranges::any_of(links, [](const LinkSample& link) { return link.resent > 0; }));
  down_.see(received, std::ranges::any_of(links, [](const LinkSample& link) { return link.out_of_order > 0; }));
  divide(links, &Link::out, &LinkSample::delivered);
  divide(links, &Link::in, &LinkSample::received);
  for (const LinkSample& sample : links) {
    Link& link = links_[sample.peer];
    if (is_near(sample)) {
      link.pace = 0;
      continue;
    }
    double most = up_.rate * link.out.share;
    if (sample.offered > 0) {
      most = std::min(most, sample.offered);
    }
    if (most > kRises * link.most) {
      link.search = kSearchFor;
      link.rest = kShortRest;
    }
    link.most = most;
    learn_factor(link, sample, since);
    learn_connections(link, sample, since);
    link.pace = link.factor < kUnpaced ? kOfCapacity * most * link.factor : 0;
  }
}

// One direction's capacity among the links that use it, by what the plan sends on each. When nothing is sent at all it stays as
// it was: the next op will be like the last one.
void Pacing::divide(std::span<const LinkSample> links, Way Link::* way, std::uint64_t LinkSample::* bytes) {
  const auto carries = [&](const LinkSample& link) { return !is_near(link) && link.*bytes > kFewBytes; };
  if (std::ranges::none_of(links, carries)) {
    return;
  }
  double traffic = 0;
  for (const LinkSample& sample : links) {
    Way& one = links_[sample.peer].*way;
    one.idle = carries(sample) ? 0 : one.idle + 1;
    one.shares = one.idle == 0 || (one.shares && one.idle < kStaysFor);
    traffic += one.shares ? sample.traffic : 0;
  }
  for (const LinkSample& sample : links) {
    Way& one = links_[sample.peer].*way;
    const double with_it = traffic + (one.shares ? 0 : sample.traffic);
    one.share = with_it > 0 ? sample.traffic / with_it : 1;
  }
}

void Pacing::learn_factor(Link& link, const LinkSample& sample, Duration since) {
  if (sample.sent < kFewBytes) {
    return;
  }
  const double lost = static_cast<double>(sample.resent) / static_cast<double>(sample.sent);
  link.steady = std::max(link.steady - 1, 0);
  if (lost > kHeavyLoss && link.steady == 0) {
    link.factor = link.factor > 1 ? 1 : std::max(link.factor * kStepDown, kLeastFactor);
    link.steady = static_cast<int>(2 * sample.rtt / since) + 2;
    link.step = kFirstStep;
    link.search = std::min(link.search, 0);
    return;
  }
  const bool was_used = link.pace > 0 && rate_of(sample.delivered, since) > 0.8 * link.pace;
  if (lost > kHeavyLoss || !was_used) {
    return;
  }
  if (--link.search < -link.rest) {
    link.search = kSearchFor;
    link.rest = std::min(2 * link.rest, kLongRest);
  }
  link.step = meets_queue(sample) ? kFirstStep : std::min(link.step * kStepsGrow, kLongestStep);
  link.factor = std::min(link.factor * (1 + link.step), link.search > 0 ? kSearching : kAllOfIt);
}

void Pacing::learn_connections(Link& link, const LinkSample& sample, Duration since) {
  link.connections = std::max(link.connections, sample.connections);
  const bool waits = sample.delivered > kFewBytes && sample.held * 5 > sample.busy;
  link.held = waits ? link.held + 1 : 0;
  if (link.enough || link.held < kHeldFor || sample.connections < link.connections) {
    return;
  }
  // Those that were added had their time, and here are the samples with them.
  const double rate = rate_of(sample.delivered, since);
  if (link.rate_before > 0 && rate < kPays * link.rate_before) {
    link.enough = true;
    return;
  }
  link.rate_before = rate;
  const std::uint32_t more = link.connections < kDoubledUpTo ? link.connections : 2;
  link.connections = std::min(link.connections + more, kMaxDataConnections);
  link.held = -static_cast<int>(4 * sample.rtt / since) - kHeldFor;  // they have to start first
}

double Pacing::pace(PeerId peer) const {
  const auto it = links_.find(peer);
  return it == links_.end() ? 0 : it->second.pace;
}

double Pacing::offer(PeerId peer) const {
  const auto it = links_.find(peer);
  return it == links_.end() ? 0 : down_.rate * it->second.in.share;
}

std::uint32_t Pacing::connections(PeerId peer) const {
  const auto it = links_.find(peer);
  return it == links_.end() ? 1 : it->second.connections;
}

}  // namespace seaway::topology
