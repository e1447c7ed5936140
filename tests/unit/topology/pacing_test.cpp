#include "topology/pacing.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace seaway::topology {

namespace {

constexpr Duration kStep = 100 * kMillisecond;
constexpr Duration kPath = 50 * kMillisecond;
constexpr double kQueueBytes = 2e6;

LinkSample quiet(PeerId peer) {
  LinkSample sample;
  sample.peer = peer;
  sample.rtt = kPath;
  sample.least_rtt = kPath;
  return sample;
}

// Sites that all send to one another as fast as their paces let them. What a site's downlink cannot take waits in its queue, and
// what does not fit into that is lost and sent again. Who is not paced sends all that its uplink takes, and all of them most of it to
// one site, and then to another.
class Sites {
 public:
  explicit Sites(std::vector<double> rates) : rates_(rates), queues_(rates.size()), pacing_(rates.size()) {}

  void step() {
    ++step_;
    const std::size_t n = rates_.size();
    std::vector<std::vector<double>> sent(n, std::vector<double>(n));
    for (std::size_t from = 0; from < n; ++from) {
      double all = 0;
      for (std::size_t to = 0; to < n; ++to) {
        if (to != from) {
          const double pace = pacing_[from].pace(to);
          const double wish = rates_[from] * (to == step_ % n ? 3 : 1);
          sent[from][to] = pace > 0 ? pace : wish;
          all += sent[from][to];
        }
      }
      for (double& one : sent[from]) {
        one *= std::min(1.0, rates_[from] / all);
      }
    }
    std::vector<std::vector<LinkSample>> samples(n);
    total_.assign(n, 0);
    lost_ = 0;
    for (std::size_t to = 0; to < n; ++to) {
      double coming = 0;
      for (std::size_t from = 0; from < n; ++from) {
        coming += sent[from][to] * 0.1;
      }
      const double before = queues_[to];
      const double out = std::min(before + coming, rates_[to] * 0.1);
      const double lost = std::max(0.0, before + coming - out - kQueueBytes);
      queues_[to] = before + coming - out - lost;
      total_[to] = out / 0.1;
      lost_ = std::max(lost_, coming > 0 ? lost / coming : 0);
      for (std::size_t from = 0; from < n; ++from) {
        if (from == to) {
          continue;
        }
        const double share = sent[from][to] * 0.1 / coming;
        LinkSample sample = quiet(to);
        sample.sent = static_cast<std::uint64_t>(sent[from][to] * 0.1);
        sample.resent = static_cast<std::uint64_t>(lost * share);
        sample.delivered = static_cast<std::uint64_t>(out * share);
        sample.rtt += static_cast<Duration>(queues_[to] / rates_[to] * kSecond);
        sample.offered = pacing_[to].offer(from);
        samples[from].push_back(sample);
        received_.resize(n, std::vector<double>(n));
        received_[to][from] = out * share;
        late_.resize(n);
        late_[to] = lost > 0;
      }
    }
    for (std::size_t me = 0; me < n; ++me) {
      for (LinkSample& sample : samples[me]) {
        sample.received = static_cast<std::uint64_t>(received_[me][sample.peer]);
        sample.out_of_order = late_[me] ? 100 : 0;
      }
      pacing_[me].sample(samples[me], kStep);
    }
  }

  double total(std::size_t site) const { return total_[site]; }
  double lost() const { return lost_; }
  double line(std::size_t site) const { return pacing_[site].line(); }
  double pace(std::size_t from, std::size_t to) const { return pacing_[from].pace(to); }
  void set_rate(std::size_t site, double rate) { rates_[site] = rate; }

 private:
  std::vector<double> rates_;
  std::vector<double> queues_;
  std::vector<Pacing> pacing_;
  std::vector<std::vector<double>> received_;
  std::vector<double> total_;
  std::vector<bool> late_;
  double lost_ = 0;
  std::size_t step_ = 0;
};

// Means over `steps`, of one site and of the worst moment of loss.
struct Means {
  double total = 0;
  double lost = 0;
};
Means run(Sites& sites, int steps, std::size_t site = 0) {
  Means means;
  for (int i = 0; i < steps; ++i) {
    sites.step();
    means.total += sites.total(site) / steps;
    means.lost += sites.lost() / steps;
  }
  return means;
}

}  // namespace

TEST_CASE("four sites that send to one another fill their lines and lose little") {
  constexpr double kRate = 60e6;
  Sites sites({kRate, kRate, kRate, kRate});
  run(sites, 60);
  const Means means = run(sites, 100);
  CHECK(means.total > 0.93 * kRate);
  CHECK(means.lost < 0.005);
  for (std::size_t to = 1; to < 4; ++to) {
    CHECK(sites.pace(0, to) == doctest::Approx(kRate / 3).epsilon(0.1));
  }
}

TEST_CASE("what a slow site can take is divided among those who send to it") {
  Sites sites({60e6, 60e6, 60e6, 30e6});
  run(sites, 100);
  const Means slow = run(sites, 100, 3);
  CHECK(slow.total > 0.9 * 30e6);
  CHECK(slow.lost < 0.01);
  CHECK(sites.pace(0, 3) == doctest::Approx(10e6).epsilon(0.2));
}

TEST_CASE("a line that becomes half as fast is not overrun for long, and one that becomes faster is found") {
  Sites sites({60e6, 60e6, 60e6, 60e6});
  run(sites, 60);
  sites.set_rate(1, 30e6);
  run(sites, 60);
  const Means slower = run(sites, 100, 1);
  CHECK(slower.total > 0.9 * 30e6);
  CHECK(slower.lost < 0.05);
  for (std::size_t site = 0; site < 4; ++site) {
    sites.set_rate(site, 90e6);
  }
  run(sites, 300);
  CHECK(run(sites, 100, 0).total > 0.9 * 90e6);
}

TEST_CASE("a line is known once its rate has not risen for a while: the least of both directions") {
  Pacing pacing;
  const auto carry = [&](std::uint64_t out, std::uint64_t in, int samples) {
    for (int i = 0; i < samples; ++i) {
      LinkSample sample = quiet(1);
      sample.sent = sample.delivered = out;
      sample.received = in;
      pacing.sample({{sample}}, kStep);
    }
  };
  for (std::uint64_t rising = 1; rising <= 6; ++rising) {
    carry(rising * 1'000'000, rising * 900'000, 3);
    CHECK(pacing.line() == 0);
  }
  carry(6'000'000, 0, 55);
  CHECK(pacing.line() == 0);  // nothing comes in
  carry(6'000'000, 5'400'000, 55);
  CHECK(pacing.line() == doctest::Approx(54e6));
  carry(1'000'000, 1'000'000, 55);
  CHECK(pacing.line() == doctest::Approx(54e6));  // it was less that was to be sent
}

TEST_CASE("of sites that send to one another each knows its line") {
  Sites sites({60e6, 60e6, 60e6, 30e6});
  run(sites, 100);
  CHECK(sites.line(3) == doctest::Approx(30e6).epsilon(0.1));
  for (const std::size_t fast : {0u, 1u, 2u}) {
    CHECK(sites.line(fast) > 35e6);  // the slow one holds them up, and they do not send to it alone
    CHECK(sites.line(fast) < 63e6);
  }
}

TEST_CASE("what never fills a line is never paced") {
  Pacing pacing;
  for (int i = 0; i < 100; ++i) {
    LinkSample sample = quiet(1);
    sample.sent = sample.delivered = sample.received = 1'000'000;
    pacing.sample({{sample}}, kStep);
    CHECK(pacing.pace(1) == 0);
  }
  CHECK(pacing.offer(1) == doctest::Approx(10e6));
  CHECK(pacing.pace(2) == 0);  // of nobody that was sampled
  CHECK(pacing.offer(2) == 0);
}

TEST_CASE("a path within a house is not paced, whatever is lost on it") {
  Pacing pacing;
  LinkSample sample = quiet(1);
  sample.least_rtt = sample.rtt = kMillisecond / 10;
  sample.sent = sample.delivered = 10'000'000;
  sample.resent = 1'000'000;
  for (int i = 0; i < 10; ++i) {
    pacing.sample({{sample}}, kStep);
    CHECK(pacing.pace(1) == 0);
  }
}

TEST_CASE("what a pause of the machine held back and then brought at once is not taken for the line's rate") {
  Pacing pacing;
  for (int i = 0; i < 50; ++i) {
    LinkSample sample = quiet(1);
    sample.received = i == 20 ? 0 : i == 21 ? 12'000'000 : 6'000'000;
    pacing.sample({{sample}}, kStep);
  }
  CHECK(pacing.offer(1) == doctest::Approx(60e6));
}

TEST_CASE("a downlink is divided by what the plan sends, among those who send") {
  Pacing pacing;
  LinkSample much = quiet(1);
  LinkSample little = quiet(2);
  LinkSample nothing = quiet(3);
  much.traffic = 2;
  much.received = 4'000'000;
  little.received = 2'000'000;
  for (int i = 0; i < 10; ++i) {
    pacing.sample({{much, little, nothing}}, kStep);
  }
  CHECK(pacing.offer(1) == doctest::Approx(40e6));
  CHECK(pacing.offer(2) == doctest::Approx(20e6));
  CHECK(pacing.offer(3) == doctest::Approx(15e6));  // should it begin
  // Silence changes nothing: the next op will be like the last one. Who is silent while others are not gives its share up.
  much.received = little.received = 0;
  for (int i = 0; i < 10; ++i) {
    pacing.sample({{much, little, nothing}}, kStep);
  }
  CHECK(pacing.offer(2) == doctest::Approx(20e6));
  little.received = 2'000'000;
  for (int i = 0; i < 10; ++i) {
    pacing.sample({{much, little, nothing}}, kStep);
  }
  CHECK(pacing.offer(2) == doctest::Approx(60e6));
}

TEST_CASE("a link that waits for buffers gets more connections, while that pays") {
  Pacing pacing;
  LinkSample sample = quiet(1);
  std::vector<std::uint32_t> seen;
  for (int i = 0; i < 200; ++i) {
    sample.connections = pacing.connections(1);
    const std::uint32_t useful = std::min<std::uint32_t>(sample.connections, 5);
    sample.sent = sample.delivered = 2'500'000ull * useful;
    sample.busy = kStep * sample.connections;
    sample.held = kStep * sample.connections / 2;
    pacing.sample({{sample}}, kStep);
    seen.push_back(pacing.connections(1));
  }
  CHECK(seen.front() == 1);
  CHECK(std::ranges::is_sorted(seen));
  CHECK(seen.back() == 10);  // 1, 2, 4, 8 pay, 10 do not any more
}

TEST_CASE("a link that is not held up by buffers keeps its one connection") {
  Pacing pacing;
  LinkSample sample = quiet(1);
  sample.sent = sample.delivered = 2'500'000;
  sample.busy = kStep;
  sample.held = kStep / 10;
  for (int i = 0; i < 50; ++i) {
    pacing.sample({{sample}}, kStep);
  }
  CHECK(pacing.connections(1) == 1);
  CHECK(pacing.connections(7) == 1);
}

}  // namespace seaway::topology
