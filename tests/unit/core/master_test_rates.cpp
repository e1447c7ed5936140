// New rates: when they are asked for, what an ask without joiners does beside losses, newcomers and restarts.
#include "master_script.h"

namespace seaway::core::script {
namespace {

struct Measuring : Script {
  explicit Measuring(bool with_store = true) : Script(with_store, 4) {
    config.between_rates = 20 * kSecond;
    master = std::make_unique<Master>(config, Random(42));
    start();
    arrive({a, b, c, d});
    REQUIRE(roster() == std::set<PeerId>{a, b, c, d});
    forget();
  }
  void measure(std::map<PeerId, std::uint32_t> rates) {
    for (const auto& [id, rate] : rates) {
      actor(id).measured_mbps = rate;
    }
    pass(2 * config.ladder.heartbeat);
  }
  std::vector<std::uint32_t> rates() {
    std::vector<std::uint32_t> list;
    for (const wire::BaseMember& member : store.bases.back().members) {
      list.push_back(member.rate_mbps);
    }
    return list;
  }
  void everyone_updates() {
    for (auto& [id, actor] : actors) {
      ++actor.update_count;
      actor.oldest_generation = store.bases.back().generation;
    }
    heartbeats();
  }
};

const std::map<PeerId, std::uint32_t> kOneSlow{{a, 500}, {b, 500}, {c, 500}, {d, 250}};

TEST_CASE("rates that everybody knows and that pay come with a join point of their own") {
  Measuring run;
  run.actors.at(b).update_count = 7;
  run.measure(kOneSlow);
  const auto asked = run.last<wire::Ask>(a);
  CHECK(asked.joiners.empty());
  const auto epoch = run.last<wire::EpochMessage>(d);
  CHECK(epoch.cut == Cut{});
  CHECK(epoch.joins.back() == wire::JoinRecord{2, 8, {}});
  CHECK(epoch.bases.back().generation == 2);
  CHECK(run.rates() == std::vector<std::uint32_t>{500, 500, 500, 250});
  CHECK(epoch.roster.back().generation == 1);
  CHECK_FALSE(run.actors.at(a).promise);
}

TEST_CASE("rates that are not worth a stop are not asked for") {
  Measuring run;
  SUBCASE("somebody does not know its own") { run.measure({{a, 500}, {b, 500}, {c, 500}}); }
  SUBCASE("they are nearly equal") { run.measure({{a, 500}, {b, 500}, {c, 480}, {d, 460}}); }
  SUBCASE("they are of two") {
    run.lose(c);
    run.lose(d);
    run.forget();
    run.measure({{a, 500}, {b, 100}});
  }
  SUBCASE("a member is not connected") {
    run.disconnect(d, false);
    run.measure(kOneSlow);
  }
  CHECK_FALSE(run.heard<wire::Ask>(a));
}

TEST_CASE("who measures nearly as much as the fastest counts as fast: it had less to send, and could not show more") {
  Measuring run;
  SUBCASE("all do") {
    run.measure({{a, 500}, {b, 380}, {c, 500}, {d, 430}});
    CHECK_FALSE(run.heard<wire::Ask>(a));
  }
  SUBCASE("one does not") {
    run.measure({{a, 490}, {b, 380}, {c, 500}, {d, 250}});
    CHECK(run.rates() == std::vector<std::uint32_t>{500, 500, 500, 250});
  }
}

TEST_CASE("where members share a site no rates are asked for: a hierarchical plan does not deal by them") {
  Script run(true, 4);
  run.start();
  run.actor(a).site = run.actor(c).site = "west";
  run.actor(d).site = "east";
  run.arrive({a, b, c, d});
  // Of a label a base has where it stands first. Who states none is alone, and so is who is alone with its label.
  std::vector<std::uint16_t> sites;
  for (const wire::BaseMember& member : run.store.bases.back().members) {
    sites.push_back(member.site);
  }
  CHECK(sites == std::vector<std::uint16_t>{0, 1, 0, 3});
  CHECK(run.store.roster[2].site == "west");
  CHECK(run.store.roster[1].site == "");
  for (const PeerId id : {a, b, c, d}) {
    run.actor(id).measured_mbps = id == c ? 10 : 500;
  }
  run.pass(5 * kSecond);
  CHECK_FALSE(run.heard<wire::Ask>(a));
}

TEST_CASE("a rate that was stated stands, whatever was measured") {
  Script run(true, 3);
  run.start();
  for (const PeerId id : {a, b, c}) {
    run.actor(id).rate_mbps = 100;
  }
  run.arrive({a, b, c});
  for (const PeerId id : {a, b, c}) {
    run.actor(id).measured_mbps = id == c ? 10 : 90;
  }
  run.pass(5 * kSecond);
  CHECK_FALSE(run.heard<wire::Ask>(a));
  CHECK(run.store.bases.back().members.back().rate_mbps == 100);
}

TEST_CASE(
    "rates are asked for again after a while, once everybody has passed the last join point, and if that pays again") {
  Measuring run;
  run.measure(kOneSlow);
  REQUIRE(run.store.bases.back().generation == 2);
  const std::map<PeerId, std::uint32_t> other{{a, 250}, {b, 500}, {c, 500}, {d, 500}};
  run.pass(run.config.between_rates);
  run.everyone_updates();
  run.pass(5 * kSecond);
  CHECK(run.store.bases.back().generation == 2);  // nothing has changed
  run.measure(other);
  CHECK(run.store.bases.back().generation == 3);
  run.measure(kOneSlow);
  run.everyone_updates();
  run.pass(run.config.between_rates / 2);
  CHECK(run.store.bases.back().generation == 3);  // too soon
  run.pass(run.config.between_rates / 2);
  CHECK(run.store.bases.back().generation == 4);
  run.measure(other);
  run.pass(2 * run.config.between_rates);
  CHECK(run.store.bases.back().generation == 4);  // a join point is ahead
  run.everyone_updates();
  run.pass(kSecond);
  CHECK(run.store.bases.back().generation == 5);
}

TEST_CASE("a newcomer brings what was measured by then; itself it counts as much as the mean until it knows") {
  Measuring run;
  run.arrive(e);
  CHECK(run.rates() == std::vector<std::uint32_t>{0, 0, 0, 0, 0});
  run.measure(kOneSlow);
  CHECK(run.store.bases.back().generation == 2);  // e does not know its own
  run.arrive(0xf);
  CHECK(run.rates() == std::vector<std::uint32_t>{500, 500, 500, 250, 0, 0});
}

TEST_CASE("who comes while new rates are asked for is admitted by the next ask") {
  Measuring run;
  run.silent_on_ask = {b};
  run.measure(kOneSlow);
  const auto asked = run.last<wire::Ask>(b);
  run.arrive(e);
  CHECK(run.last<wire::Waiting>(e).reason.starts_with("new rates come first; "));
  CHECK(run.master->status(run.now).stage.starts_with("new rates: "));
  run.silent_on_ask.clear();
  run.promise(b, asked);
  CHECK(run.roster().contains(e));
  CHECK(run.store.bases.size() == 3);
  CHECK(run.store.joins.front().joiners.empty());
  CHECK(run.store.joins.back().joiners == std::vector<PeerId>{e});
  CHECK(run.last<wire::Ask>(b).epoch > asked.epoch);
}

TEST_CASE("a loss does not end an ask for new rates: the promises of the rest stand") {
  Measuring run;
  run.silent_on_ask = {b};
  run.measure(kOneSlow);
  const auto asked = run.last<wire::Ask>(b);
  run.lose(c);
  CHECK_FALSE(run.heard<wire::CancelAsk>(a));
  CHECK(run.actors.at(a).promise);
  run.promise(b, asked);
  CHECK(run.store.joins.back().joiners.empty());
  CHECK(run.rates() == std::vector<std::uint32_t>{500, 500, 250});
  CHECK_FALSE(run.actors.at(a).promise);
}

TEST_CASE("an ask for new rates ends with its last member, and whoever comes then is admitted") {
  Measuring run;
  run.silent_on_ask = {a, b, c, d};
  run.measure(kOneSlow);
  for (const PeerId id : {a, b, c, d}) {
    run.say(id, wire::Leave{});
  }
  run.arrive(e);
  CHECK(run.roster() == std::set<PeerId>{e});
}

TEST_CASE("a new master cancels promises to an ask for new rates, and asks anew") {
  for (const bool with_store : {true, false}) {
    CAPTURE(with_store);
    Measuring run(with_store);
    run.silent_on_ask = {b};
    run.measure(kOneSlow);
    REQUIRE(run.actors.at(a).promise);
    const std::uint64_t before = run.last<wire::Ask>(a).term;
    run.restart_master();
    run.forget();
    for (const PeerId id : {a, b, c, d}) {
      run.hello(id);
    }
    CHECK(run.heard<wire::CancelAsk>(a));
    run.silent_on_ask.clear();
    run.pass(2 * kSecond);
    CHECK(run.last<wire::Ask>(a).term > before);
    CHECK(run.rates() == std::vector<std::uint32_t>{500, 500, 500, 250});
  }
}

TEST_CASE("new rates take no more than half of the generations that may be open") {
  Measuring run;
  for (std::uint32_t i = 0; i < 2 * kMaxOpenGenerations; ++i) {
    run.measure({{a, 500}, {b, 500}, {c, i % 2 == 0 ? 500 : 250}, {d, i % 2 == 0 ? 250 : 500}});
    for (auto& [id, actor] : run.actors) {
      ++actor.update_count;
      actor.oldest_generation = 1;  // an op of the first generation is open
    }
    run.pass(run.config.between_rates + kSecond);
  }
  CHECK(run.store.bases.size() == kMaxOpenGenerations / 2);
  run.everyone_updates();
  run.measure({{a, 100}, {b, 500}, {c, 500}, {d, 500}});
  run.pass(run.config.between_rates + kSecond);
  CHECK(run.store.bases.size() <= 3);
  CHECK(run.rates().front() == 100);
}

}  // namespace
}  // namespace seaway::core::script
