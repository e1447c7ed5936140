// The network as a whole: times, losses, trunks and cuts, on packets made by hand and a time that is given.
#include "lab/model/network.h"

#include <doctest/doctest.h>

#include <map>

#include "lab/model/scenario.h"
#include "unit/lab/packets.h"

using namespace seaway;
using namespace seaway::lab;

namespace {

Network network_of(const std::string& text, std::uint64_t seed = 1) {
  Scenario scenario;
  std::string problem;
  REQUIRE_MESSAGE(parse_scenario(text, "test", scenario, problem), problem);
  return make_network(scenario, seed);
}

void say(Network& network, Time now, const std::string& text) {
  Line line;
  std::string problem;
  REQUIRE_MESSAGE(parse_line(text, line, problem), problem);
  REQUIRE(network.apply(now, *line.statement) == "");
}

std::vector<Network::Delivery> all_of(Network& network, Time until = kNever - 1) {
  std::vector<Network::Delivery> list;
  while (auto delivery = network.next(until)) {
    list.push_back(std::move(*delivery));
  }
  return list;
}

std::uint64_t segments_of(const std::vector<Network::Delivery>& list) {
  std::uint64_t sum = 0;
  for (const Network::Delivery& delivery : list) {
    sum += delivery.piece.count;
  }
  return sum;
}

}  // namespace

TEST_CASE("a packet is there after its delay, and after the time that each link on its way takes for it") {
  Network bare = network_of("site a\nsite b\npath a b delay 25ms");
  bare.send(0, 0, burst(1));
  CHECK(bare.deadline() == 25 * kMillisecond);
  CHECK_FALSE(bare.next(25 * kMillisecond - 1));
  const auto delivery = bare.next(25 * kMillisecond);
  REQUIRE(delivery);
  CHECK(delivery->site == 1);
  CHECK(delivery->due == 25 * kMillisecond);
  CHECK(bare.deadline() == kNever);

  Network rated = network_of("site a rate 12mbit\nsite b rate 6mbit\npath a b delay 25ms");
  rated.send(0, 0, burst(1));
  CHECK(all_of(rated).at(0).due == (1 + 25 + 2) * kMillisecond);
}

TEST_CASE("the ways of two directions are not the same") {
  Network network = network_of("site a\nsite b\npath a b delay 10ms\npath b -> a delay 40ms");
  network.send(0, 0, burst(1, 0, 1));
  network.send(0, 1, burst(1, 1, 0));
  const auto list = all_of(network);
  CHECK(list.at(0).site == 1);
  CHECK(list.at(0).due == 10 * kMillisecond);
  CHECK(list.at(1).due == 40 * kMillisecond);
}

TEST_CASE("a burst through two links takes its own length once, not twice") {
  Network network = network_of("site a rate 1gbit\nsite b rate 1gbit\npath a b delay 10ms");
  network.send(0, 0, burst(40));
  const auto list = all_of(network);
  REQUIRE(list.size() == 1);
  CHECK(list[0].due == 10 * kMillisecond + (40 + 1) * 12 * kMicrosecond);
}

TEST_CASE("a share of the segments is lost, the same ones for the same seed") {
  constexpr unsigned kBursts = 5000;
  const auto lost = [&](std::uint64_t seed, std::vector<Time>& dues) {
    Network network = network_of("site a\nsite b\npath a b delay 1ms loss 1%", seed);
    for (unsigned i = 0; i < kBursts; ++i) {
      network.send(i, 0, burst(40));
    }
    const auto list = all_of(network);
    for (const auto& delivery : list) {
      dues.push_back(delivery.due);
    }
    CHECK(segments_of(list) + network.pair(0, 1).lost == kBursts * 40);
    return network.pair(0, 1).lost;
  };
  std::vector<Time> first;
  std::vector<Time> again;
  std::vector<Time> other;
  const std::uint64_t count = lost(1, first);
  CHECK(count > 1800);  // of 200,000: 2000, give or take 45
  CHECK(count < 2200);
  CHECK(lost(1, again) == count);
  CHECK(first == again);
  lost(2, other);
  CHECK(first != other);
}

TEST_CASE("all and nothing can be lost") {
  Network network = network_of("site a\nsite b\npath a -> b loss 100%");
  network.send(0, 0, burst(40));
  CHECK(all_of(network).empty());
  CHECK(network.pair(0, 1).lost == 40);
  say(network, 0, "path a b loss 0%");
  network.send(0, 0, burst(40));
  CHECK(segments_of(all_of(network)) == 40);
}

TEST_CASE("sites behind a trunk share it on their way out and not among themselves") {
  Network network = network_of("site a\nsite b\nsite c\ntrunk t rate 12mbit queue 1mb sites a b\npath * * delay 5ms");
  network.send(0, 0, burst(1, 0, 2));
  network.send(0, 1, burst(1, 1, 2));
  network.send(0, 0, burst(1, 0, 1));
  network.send(0, 2, burst(1, 2, 0));
  const auto list = all_of(network);
  REQUIRE(list.size() == 4);
  CHECK(list[0].site == 1);
  CHECK(list[0].due == 5 * kMillisecond);
  CHECK(list[1].due == 6 * kMillisecond);  // in to a, out to c: two directions
  CHECK(list[2].due == 6 * kMillisecond);
  CHECK(list[3].site == 2);
  CHECK(list[3].due == 7 * kMillisecond);
}

TEST_CASE("three sources share a downlink, and what is too much is dropped there") {
  Network network = network_of(
      "site a rate 24mbit\nsite b rate 24mbit\nsite c rate 24mbit\nsite d rate 12mbit queue 30kb\npath * * delay 5ms");
  Random random(1);
  for (unsigned i = 0; i < 100; ++i) {
    for (unsigned from = 0; from < 3; ++from) {
      const auto moment = static_cast<Duration>(random.below(kMillisecond));
      network.send(i * kMillisecond + moment, from, burst(1, from, 3));
    }
  }
  const auto list = all_of(network);
  const Link::Counts& counts = network.links().at(7).link->counts();
  CHECK(network.links().at(7).name == "site d down");
  // Three at once do not fit. In 100 ms it passes 100, at its end 20 more wait.
  CHECK(segments_of(list) >= 118);
  CHECK(segments_of(list) <= 122);
  CHECK(counts.dropped == 300 - segments_of(list));
  for (unsigned from = 0; from < 3; ++from) {
    CHECK(network.pair(from, 3).segments > 20);
  }
}

TEST_CASE("a cut takes what is under way and what comes, one way when so said, until it is healed") {
  Network network = network_of("site a\nsite b\nsite c\npath * * delay 10ms");
  network.send(0, 0, burst(3));
  say(network, 5 * kMillisecond, "cut a -> b");
  network.send(6 * kMillisecond, 0, burst(4));
  network.send(6 * kMillisecond, 1, burst(5, 1, 0));
  CHECK(segments_of(all_of(network)) == 5);
  CHECK(network.pair(0, 1).taken_by_cut == 7);
  say(network, 30 * kMillisecond, "heal a b");
  network.send(30 * kMillisecond, 0, burst(2));
  CHECK(segments_of(all_of(network)) == 2);
  say(network, 50 * kMillisecond, "cut c *");
  network.send(50 * kMillisecond, 2, burst(1, 2, 0));
  network.send(50 * kMillisecond, 1, burst(1, 1, 2));
  network.send(50 * kMillisecond, 0, burst(1, 0, 1));
  const auto left = all_of(network);
  REQUIRE(left.size() == 1);
  CHECK(left[0].site == 1);
}

TEST_CASE("packets of a pair do not overtake one another when the delay shrinks") {
  Network network = network_of("site a\nsite b\npath a b delay 100ms");
  network.send(0, 0, burst(1));
  say(network, kMillisecond, "path a b delay 1ms");
  network.send(2 * kMillisecond, 0, burst(2));
  const auto list = all_of(network);
  CHECK(list.at(0).piece.count == 1);
  CHECK(list.at(0).due == 100 * kMillisecond);
  CHECK(list.at(1).piece.count == 2);
}

TEST_CASE("what is for nobody, or for its sender, goes nowhere") {
  Network network = network_of("site a\nsite b");
  network.send(0, 0, burst(1, 0, 7));
  network.send(0, 0, burst(1, 0, 0));
  CHECK(all_of(network).empty());
}

TEST_CASE("every segment is delivered, lost, cut or dropped, in its order, whatever is drawn") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Network network = network_of(
        "site a rate 100mbit queue 50kb\nsite b up 20mbit down 50mbit\nsite c\nsite d rate 1gbit\n"
        "trunk t rate 40mbit queue 60kb sites a d\npath * * delay 3ms loss 2%\npath a c delay 100us",
        seed);
    Random random(seed);
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::map<std::pair<std::uint32_t, unsigned>, Time> last;
    const auto check = [&](Time until) {
      for (const auto& delivery : all_of(network, until)) {
        delivered += delivery.piece.count;
        Time& before = last[{delivery.piece.packet->source(), delivery.site}];
        CHECK(delivery.due >= before);
        before = delivery.due;
      }
    };
    Time now = 0;
    for (int i = 0; i < 400; ++i) {
      now += static_cast<Duration>(random.below(kMillisecond));
      check(now);
      const auto from = static_cast<unsigned>(random.below(4));
      const auto to = static_cast<unsigned>((from + random.between(1, 3)) % 4);
      const auto packet = tcp(from, to, random.between(1, 44 * kMss));
      sent += packet->segments();
      network.send(now, from, packet);
      if (random.one_in(40)) {
        say(network, now, random.one_in(2) ? "cut b c" : "heal b c");
      }
    }
    check(kNever - 1);
    std::uint64_t gone = 0;
    for (const auto& named : network.links()) {
      gone += named.link->counts().dropped;
    }
    for (unsigned from = 0; from < 4; ++from) {
      for (unsigned to = 0; to < 4; ++to) {
        gone += network.pair(from, to).lost + network.pair(from, to).taken_by_cut;
      }
    }
    CHECK(delivered + gone == sent);
  }
}
