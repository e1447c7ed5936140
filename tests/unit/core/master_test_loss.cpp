// Who is lost and when: silence, dead at once, leaving, new incarnations, lanes, stalled edges, operators.
#include "master_script.h"

namespace seaway::core::script {
namespace {

using wire::LostKind;

struct Formed : Script {
  Formed() : Script(true, 3) {
    start();
    arrive({a, b, c});
    REQUIRE(roster() == std::set<PeerId>{a, b, c});
    forget();
  }
};

TEST_CASE("silence for evict loses a member; less does not, and status shows it as suspect") {
  Formed run;
  run.actors.at(c).alive = false;
  run.pass(run.config.ladder.evict - 500 * kMillisecond);
  CHECK(run.roster().size() == 3);
  CHECK(run.master->status(run.now).stage.find("suspect: c") != std::string::npos);
  run.pass(kSecond);
  CHECK(run.roster() == std::set<PeerId>{a, b});
  CHECK(run.last<wire::Evicted>(c).reason.find("silent for") != std::string::npos);  // its connection was still open
  CHECK_FALSE(run.actors.at(c).conn);
}

TEST_CASE("any message is a sign of life") {
  Formed run;
  run.actors.at(c).alive = false;
  for (int i = 0; i < 6; ++i) {
    run.pass(run.config.ladder.evict - kSecond);
    run.say(c, wire::Linked{});
  }
  CHECK(run.roster().size() == 3);
}

TEST_CASE("a master that heard nobody for a while judges nobody: everyone gets a fresh grace") {
  Formed run;
  run.now += 100 * kSecond;  // it was paused
  run.heartbeat(a);
  CHECK(run.roster().size() == 3);
  run.actors.at(c).alive = false;
  run.pass(run.config.ladder.evict - 500 * kMillisecond);
  CHECK(run.roster().size() == 3);
  run.pass(kSecond);
  CHECK(run.roster() == std::set<PeerId>{a, b});
}

TEST_CASE("a master that hears strangers and nobody else judges nobody either") {
  Formed run;
  for (const PeerId member : {a, b, c}) {
    run.actors.at(member).alive = false;  // the network is down, the stranger is on the master's own machine
  }
  for (ConnId stranger = 1000; run.now < 100 * kSecond; ++stranger) {
    run.step(Connected{stranger, {}});
    wire::Hello hello;
    hello.uuid = Uuid{stranger, 1};
    hello.id = stranger;
    run.step(Received{stranger, hello});
    run.pass(kSecond);
    run.step(Disconnected{stranger});
  }
  CHECK(run.roster() == std::set<PeerId>{a, b, c});
  run.actors.at(a).alive = run.actors.at(b).alive = true;
  run.pass(run.config.ladder.evict - 500 * kMillisecond);
  CHECK(run.roster() == std::set<PeerId>{a, b, c});
  run.pass(kSecond);
  CHECK(run.roster() == std::set<PeerId>{a, b});
}

TEST_CASE("dead at once: FIN on its connection, LOST(closed) from everyone else, no HELLO within the grace") {
  Formed run;
  run.actors.at(c).alive = false;
  run.disconnect(c);
  run.say(a, wire::Lost{c, LostKind::closed});
  SUBCASE("everything of it") {
    run.say(b, wire::Lost{c, LostKind::closed});
    CHECK(run.roster().size() == 3);
    run.pass(run.config.ladder.dead_grace - kMillisecond);
    CHECK(run.roster().size() == 3);
    run.pass(kMillisecond);
    CHECK(run.roster() == std::set<PeerId>{a, b});
  }
  SUBCASE("b still has its link: the ladder decides") {
    run.pass(kSecond);
    CHECK(run.roster().size() == 3);
    run.pass(run.config.ladder.evict);
    CHECK(run.roster() == std::set<PeerId>{a, b});
  }
  SUBCASE("it says HELLO again") {
    run.say(b, wire::Lost{c, LostKind::closed});
    run.actors.at(c).alive = true;
    run.hello(c);
    run.pass(10 * kSecond);
    CHECK(run.roster().size() == 3);
  }
}

TEST_CASE("two that die together do not wait for one another's word") {
  Formed run;
  for (const PeerId dead : {b, c}) {
    run.actors.at(dead).alive = false;
    run.disconnect(dead);
  }
  SUBCASE("the third has lost both") {
    run.say(a, wire::Lost{b, LostKind::closed});
    run.say(a, wire::Lost{c, LostKind::closed});
    run.pass(run.config.ladder.dead_grace - kMillisecond);
    CHECK(run.roster().size() == 3);
    run.pass(kMillisecond);
    CHECK(run.roster() == std::set<PeerId>{a});
  }
  SUBCASE("the third has lost one: the other has `evict`, and may be back before") {
    run.say(a, wire::Lost{b, LostKind::closed});
    run.pass(kSecond);
    CHECK(run.roster() == std::set<PeerId>{a, c});
    run.actors.at(c).alive = true;
    run.hello(c);
    run.pass(10 * kSecond);
    CHECK(run.roster() == std::set<PeerId>{a, c});
  }
  SUBCASE("one comes back: its word is waited for") {
    run.say(a, wire::Lost{c, LostKind::closed});
    run.pass(run.config.ladder.dead_grace / 2);
    run.actors.at(b).alive = true;
    run.hello(b);
    run.pass(kSecond);
    CHECK(run.roster().size() == 3);
    run.say(b, wire::Lost{c, LostKind::closed});
    run.pass(kMillisecond);
    CHECK(run.roster() == std::set<PeerId>{a, b});
  }
}

TEST_CASE("a connection given up after silence is no death certificate") {
  Formed run;
  run.actors.at(c).alive = false;
  run.disconnect(c, false);
  run.say(a, wire::Lost{c, LostKind::closed});
  run.say(b, wire::Lost{c, LostKind::closed});
  run.pass(kSecond);
  CHECK(run.roster().size() == 3);
}

TEST_CASE("a link that broke long ago says nothing about a connection that breaks now") {
  Formed run;
  run.say(a, wire::Lost{c, LostKind::closed});
  run.say(b, wire::Lost{c, LostKind::closed});
  run.pass(2 * run.config.ladder.evict);
  run.actors.at(c).alive = false;
  run.disconnect(c);
  run.pass(kSecond);
  CHECK(run.roster().size() == 3);
}

TEST_CASE("nobody witnesses the death of the last member: it has `evict` to come back") {
  Formed run;
  run.lose(c);
  run.lose(b);
  REQUIRE(run.roster() == std::set<PeerId>{a});
  run.lose(a);
  CHECK(run.roster() == std::set<PeerId>{a});
  run.pass(run.config.ladder.evict);
  CHECK(run.roster().empty());
  CHECK(run.store.resolved);
  run.arrive(d);
  CHECK(run.roster() == std::set<PeerId>{d});
  CHECK(run.actors.at(d).taken->roster[0].generation == 2);
}

TEST_CASE("an evicted member that says HELLO is told EVICTED, whatever the terms, also by a new master") {
  Formed run;
  run.lose(c);
  run.hello(c);
  CHECK(run.heard<wire::Evicted>(c));
  CHECK_FALSE(run.actors.at(c).conn);
  run.restart_master();
  run.forget();
  run.hello(c);
  CHECK(run.heard<wire::Evicted>(c));
  CHECK(run.roster() == std::set<PeerId>{a, b});
}

TEST_CASE("EVICTED is said only once the roster without the peer is durable") {
  Formed run;
  run.hold_store = true;
  run.step(EvictRequest{c, "maintenance"});
  CHECK_FALSE(run.heard<wire::Evicted>(c));
  run.release_all();
  CHECK(run.last<wire::Evicted>(c).reason.find("maintenance") != std::string::npos);
}

TEST_CASE("leaving: a cut, marked LEFT in every base") {
  Formed run;
  run.say(c, wire::Leave{});
  CHECK(run.roster() == std::set<PeerId>{a, b});
  const auto epoch = run.last<wire::EpochMessage>(a);
  CHECK(epoch.cut == epoch.epoch);
  REQUIRE(epoch.bases.size() == 1);
  REQUIRE(epoch.bases[0].members.size() == 3);
  CHECK(epoch.bases[0].members[2].left);
  CHECK_FALSE(epoch.bases[0].members[0].left);
  CHECK(run.last<wire::Evicted>(c).reason == "it left");
}

TEST_CASE("a loss is not marked LEFT") {
  Formed run;
  run.lose(c);
  CHECK_FALSE(run.last<wire::EpochMessage>(a).bases[0].members[2].left);
}

TEST_CASE("the same uuid in another incarnation: the older one is lost at once, the newer waits") {
  Formed run;
  Actor& again = run.actor(d);
  again.uuid = run.actors.at(c).uuid;
  again.replica = run.actors.at(c).replica;
  run.mute = {a};
  run.arrive(d);
  CHECK(run.roster() == std::set<PeerId>{a, b});
  CHECK(run.last<wire::Evicted>(c).reason.find("new incarnation") != std::string::npos);
  CHECK_FALSE(run.heard<wire::EpochMessage>(d));
  run.report(a);
  CHECK(run.roster() == std::set<PeerId>{a, b, d});
}

struct TwoLanes : Script {
  TwoLanes() : Script(true, 3) {
    start();
    have_two_lanes({a, b, c});
    arrive({a, a + 16, b, b + 16, c});
    CHECK(store.epoch.number == 0);
    CHECK(last<wire::Waiting>(c).reason.find("waits for its lanes 1") != std::string::npos);
    arrive(c + 16);
    REQUIRE(roster().size() == 6);
    forget();
  }
};

TEST_CASE("who is started again at once, with another uuid, waits until its life before is lost") {
  Formed run;
  run.actor(d).replica = static_cast<std::uint32_t>(a);
  SUBCASE("that closed its connections") {
    run.actors.at(a).alive = false;
    run.disconnect(a);
    run.say(b, wire::Lost{a, wire::LostKind::closed});
    run.say(c, wire::Lost{a, wire::LostKind::closed});
    run.arrive(d);
    REQUIRE(run.roster() == std::set<PeerId>{a, b, c});
    run.pass(run.config.ladder.dead_grace);
  }
  SUBCASE("that is silent; the last that was heard of it comes after the JOIN") {
    run.arrive(d);
    run.actors.at(a).alive = false;
    run.pass(run.config.ladder.evict + run.config.ladder.heartbeat);
  }
  CHECK_FALSE(run.heard<wire::Refused>(d));
  CHECK(run.roster() == std::set<PeerId>{b, c, d});
}

TEST_CASE("of two newcomers with one place the first is admitted, and the other one refused") {
  Script run(true, 2);
  run.start();
  for (const PeerId id : {d, c, b}) {  // their ids are in another order
    run.actor(id).replica = id == b ? 11 : 10;
    run.arrive(id);
  }
  CHECK(run.roster() == std::set<PeerId>{b, d});
  run.pass(run.config.ladder.suspect + run.config.ladder.heartbeat);
  CHECK(run.last<wire::Refused>(c).reason.find("is taken by d") != std::string::npos);
  CHECK(run.roster() == std::set<PeerId>{b, d});
}

TEST_CASE("a replica is evicted with all its lanes when one is lost") {
  TwoLanes run;
  run.lose(c + 16);
  CHECK(run.roster() == std::set<PeerId>{a, a + 16, b, b + 16});
  CHECK(run.last<wire::Evicted>(c).reason.find("lane 1") != std::string::npos);
}

TEST_CASE("a replica leaves when all its lanes have said so") {
  TwoLanes run;
  run.say(c, wire::Leave{});
  CHECK(run.roster().size() == 6);
  run.say(c + 16, wire::Leave{});
  CHECK(run.roster().size() == 4);
  const auto epoch = run.last<wire::EpochMessage>(a);
  for (const wire::BaseMember& m : epoch.bases[0].members) {
    CHECK(m.left == (m.id == c || m.id == c + 16));
  }
}

TEST_CASE("a lane that left is LEFT, its sister that is lost is lost") {
  TwoLanes run;
  run.say(c, wire::Leave{});
  run.lose(c + 16);
  CHECK(run.roster().size() == 4);
  const auto epoch = run.last<wire::EpochMessage>(a);
  for (const wire::BaseMember& m : epoch.bases[0].members) {
    CHECK(m.left == (m.id == c));
  }
}

TEST_CASE("a stalled edge is noted; only when it lasts one end goes: the one with more such edges") {
  Formed run;
  const auto repeat = [&](std::initializer_list<std::pair<PeerId, PeerId>> edges, Duration duration) {
    for (Duration passed = 0; passed <= duration; passed += run.config.ladder.suspect) {
      for (const auto& [from, about] : edges) {
        run.say(from, wire::Lost{about, LostKind::stalled});
      }
      run.pass(run.config.ladder.suspect);
    }
  };
  SUBCASE("it recovers") {
    repeat({{a, b}}, run.config.ladder.evict - run.config.ladder.suspect);
    run.pass(10 * kSecond);
    repeat({{a, b}}, run.config.ladder.evict - run.config.ladder.suspect);
    CHECK(run.roster().size() == 3);
    CHECK(run.logged("moves no byte"));
  }
  SUBCASE("a has two of them") {
    repeat({{c, a}, {b, a}}, run.config.ladder.evict);
    CHECK(run.roster() == std::set<PeerId>{b, c});
  }
  SUBCASE("tie: the younger, and the reason names the edge") {
    repeat({{b, a}}, run.config.ladder.evict);
    CHECK(run.roster() == std::set<PeerId>{a, c});
    const std::string reason = run.last<wire::Evicted>(b).reason;
    CHECK(reason.find("a (replica 10)") != std::string::npos);
    CHECK(reason.find("b (replica 11)") != std::string::npos);
  }
}

}  // namespace
}  // namespace seaway::core::script
