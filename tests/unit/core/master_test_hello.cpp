// HELLO, what it is refused for, connections, and messages that mean nothing where they come.
#include "master_script.h"

namespace seaway::core::script {
namespace {

struct Formed : Script {
  Formed() : Script(true, 3) {
    start();
    arrive({a, b, c});
    REQUIRE(roster() == std::set<PeerId>{a, b, c});
    forget();
  }
};

TEST_CASE("what HELLO is refused for") {
  Formed run;
  run.connect(d);
  wire::Hello hello = run.hello_of(d);
  SUBCASE("version ranges that do not meet, both named") {
    hello.version_low = 7;
    hello.version_high = 9;
    run.say(d, hello);
    const std::string reason = run.last<wire::Refused>(d).reason;
    CHECK(reason.find("7 to 9") != std::string::npos);
    CHECK(reason.find("1 to 1") != std::string::npos);
  }
  SUBCASE("another run") {
    hello.run = Uuid{9, 9};
    run.say(d, hello);
    CHECK(run.heard<wire::Refused>(d));
  }
  SUBCASE("no incarnation") {
    hello.id = kNoPeer;
    run.say(d, hello);
    CHECK(run.heard<wire::Refused>(d));
  }
  SUBCASE("an incarnation of another uuid") {
    hello.id = a;
    run.say(d, hello);
    CHECK(run.heard<wire::Refused>(d));
    CHECK(run.actors.at(a).conn);
  }
  CHECK_FALSE(run.actors.at(d).conn);
}

TEST_CASE("whatever run the master has is good for a HELLO that names none") {
  Formed run;
  run.connect(d);
  wire::Hello hello = run.hello_of(d);
  hello.run = Uuid{};
  run.say(d, hello);
  CHECK_FALSE(run.heard<wire::Refused>(d));
}

TEST_CASE("a connection that does not begin with HELLO, or says it twice, is closed") {
  Formed run;
  run.connect(d);
  SUBCASE("another message first") {
    run.say(d, wire::Heartbeat{});
    CHECK(run.actors.at(d).closed.find("HEARTBEAT") != std::string::npos);
  }
  SUBCASE("twice") {
    run.say(d, run.hello_of(d));
    run.say(d, run.hello_of(d));
  }
  CHECK_FALSE(run.actors.at(d).conn);
}

TEST_CASE("a member's new connection ends the older one; nothing read from that counts; everything is said again") {
  Formed run;
  const ConnId older = *run.actors.at(a).conn;
  const Epoch epoch = run.store.epoch;
  run.actors.at(a).conn.reset();  // the master has not noticed
  run.hello(a);
  CHECK(run.heard<wire::EpochMessage>(a));
  run.step(Received{older, wire::Leave{}});
  run.step(Disconnected{older, true});
  run.pass(2 * kSecond);
  CHECK(run.store.epoch == epoch);
}

TEST_CASE("no sequence of messages of a stranger or a pending peer harms") {
  Formed run;
  run.silent_on_ask = {a};
  run.hello(d);
  const std::vector<wire::PeerMessage> anything = {
      wire::Report{},        wire::Promised{},  wire::Mismatch{k},
      wire::CancelOp{k, ""}, wire::Synced{1},   wire::Lost{a, wire::LostKind::closed},
      wire::Linked{{a, 99}}, wire::Heartbeat{}, wire::Leave{}};
  for (const auto& message : anything) {
    run.say(d, message);
  }
  run.say(d, run.join_of(d));
  for (const auto& message : anything) {
    run.say(d, message);
  }
  run.step(Received{999, wire::Leave{}});
  run.step(Disconnected{999, true});
  run.step(StoreReply{999, StoreOutcome::fenced});
  run.step(EvictRequest{999, "x"});
  CHECK(run.roster() == std::set<PeerId>{a, b, c});
  CHECK(run.store.resolved);
  CHECK_FALSE(run.store.stateful);
}

TEST_CASE("a connection on which nobody says HELLO and JOIN is closed after a while, one on which a peer does is not") {
  Formed run;
  run.connect(d);
  run.hello(e);
  run.actors.at(d).alive = run.actors.at(e).alive = false;  // no heartbeat
  run.pass(kStrangerPatience - 1);
  REQUIRE(run.actors.at(d).conn);
  REQUIRE(run.actors.at(e).conn);
  SUBCASE("too late") {
    run.pass(1);
    for (const PeerId id : {d, e}) {
      CHECK_FALSE(run.actors.at(id).conn);
      CHECK(run.actors.at(id).closed.find("in time") != std::string::npos);
    }
  }
  SUBCASE("in time") {
    run.say(e, run.join_of(e));
    run.pass(1);
    CHECK_FALSE(run.actors.at(d).conn);
    CHECK(run.actors.at(e).conn);
  }
  for (const PeerId id : {a, b, c}) {
    CHECK(run.actors.at(id).conn);
  }
}

TEST_CASE("of those who do not say who they are the newest stay; members are not among them") {
  Formed run;
  constexpr ConnId kFirst = 1000;
  std::vector<ConnId> closed;
  for (ConnId i = 0; i < kMaxStrangers + 5; ++i) {
    MasterEffects effects;
    run.master->step(run.now, Connected{kFirst + i, {}}, effects);
    for (const MasterEffect& effect : effects) {
      closed.push_back(std::get<CloseConnection>(effect).conn);
    }
  }
  CHECK(closed == std::vector<ConnId>{kFirst, kFirst + 1, kFirst + 2, kFirst + 3, kFirst + 4});
  CHECK(run.master->is_stranger(kFirst + 5));
  CHECK_FALSE(run.master->is_stranger(*run.actors.at(a).conn));
}

TEST_CASE("each heartbeat is answered with its stamp") {
  Formed run;
  wire::Heartbeat beat;
  beat.stamp = 77;
  run.say(a, beat);
  CHECK(run.last<wire::HeartbeatReply>(a).stamp == 77);
}

TEST_CASE("a run is stateful from the first sync, durably, and EPOCH says so") {
  Formed run;
  run.say(a, wire::Synced{3});
  CHECK(run.store.stateful);
  run.arrive(d);
  CHECK(run.last<wire::EpochMessage>(d).stateful);
}

}  // namespace
}  // namespace seaway::core::script
