// Pending peers: introduced, linked, asked for, admitted, refused; what becomes of promises.
#include "master_script.h"

namespace seaway::core::script {
namespace {

struct Formed : Script {
  explicit Formed(bool with_store = true) : Script(with_store, 2) {
    start();
    arrive({a, b});
    REQUIRE(roster() == std::set<PeerId>{a, b});
    forget();
  }
};

TEST_CASE("the lanes of a replica are introduced to one another, and admitted when they are linked") {
  Script run(true, 1);
  run.start();
  for (const std::uint16_t lane : {std::uint16_t{0}, std::uint16_t{1}}) {
    Actor& actor = run.actor(a + 16 * lane);
    actor.replica = 1;
    actor.lane = lane;
    actor.lanes = 2;
  }
  run.actor(a).unreachable = {a + 16};
  run.arrive({a, a + 16});
  REQUIRE(run.heard<wire::Introduce>(a));
  CHECK(run.last<wire::Introduce>(a).peers[0].id == a + 16);
  CHECK(run.roster().empty());
  CHECK(run.last<wire::Waiting>(a).reason.find("connecting to") != std::string::npos);
  run.actor(a).unreachable.clear();
  run.say(a, wire::Linked{{a + 16}});
  CHECK(run.roster().empty());
  run.say(a + 16, wire::Linked{{a}});
  CHECK(run.roster() == std::set<PeerId>{a, a + 16});
}

TEST_CASE("a newcomer is introduced to the members of its lane and they to it; linked, it is asked for and admitted") {
  Formed run;
  run.actors.at(a).update_count = 4;
  run.actors.at(b).update_count = 6;
  const Cut cut = run.store.cut;
  run.arrive(c);
  CHECK(run.last<wire::Introduce>(c).peers.size() == 2);
  REQUIRE(run.last<wire::Introduce>(a).peers.size() == 1);
  CHECK(run.last<wire::Introduce>(a).peers[0].id == c);
  CHECK(run.last<wire::Introduce>(a).peers[0].addresses.size() == 1);
  CHECK(run.last<wire::Ask>(a).joiners == std::vector<PeerId>{c});
  const auto epoch = run.last<wire::EpochMessage>(c);
  CHECK(epoch.cut == cut);
  CHECK(epoch.epoch.number == 2);
  CHECK(epoch.roster.back().id == c);
  CHECK(epoch.roster.back().generation == 2);
  CHECK(epoch.joins.back() == wire::JoinRecord{2, 7, {c}});  // M24: the largest promise
  CHECK(epoch.bases.back().generation == 2);
  CHECK(epoch.bases.back().members.size() == 3);
  CHECK(run.actors.at(c).update_count == 7);
  CHECK(run.store.resolved);
}

TEST_CASE("M23: the answer to a join is durable before anybody hears of it") {
  Formed run;
  run.silent_on_ask = {b};
  run.arrive(c);
  run.hold_store = true;
  run.promise(b, run.last<wire::Ask>(b));
  run.forget();
  CHECK(run.writes.size() == 1);
  CHECK_FALSE(run.heard<wire::EpochMessage>(c));
  run.release_all();
  CHECK(run.heard<wire::EpochMessage>(c));
}

TEST_CASE("a newcomer hears what it waits for") {
  Formed run;
  run.silent_on_ask = {a, b};
  run.arrive(c);
  CHECK(run.last<wire::Waiting>(c).reason.find("have not said at which update they admit others: a (replica 10), b") !=
        std::string::npos);
  run.promise(a, run.last<wire::Ask>(a));
  CHECK(run.last<wire::Waiting>(c).reason.find("others: b") != std::string::npos);
  run.arrive(d);
  CHECK(run.last<wire::Waiting>(d).reason.find("another join comes first") == 0);
}

TEST_CASE("pending replicas that are linked to each other are admitted together") {
  Formed run;
  run.mute = {a};
  run.arrive(e);
  run.lose(e);  // joins wait for the cut
  run.arrive({c, d});
  CHECK(run.roster() == std::set<PeerId>{a, b});
  CHECK(run.last<wire::Waiting>(c).reason.find("resolved first") != std::string::npos);
  run.mute = {};
  run.report(a);
  CHECK(run.actors.at(c).taken->joins.back().joiners == std::vector<PeerId>{c, d});
}

TEST_CASE("pending peers get no EPOCH, and a joiner that waits hears nothing of cuts") {
  Formed run;
  run.silent_on_ask = {a};
  run.arrive({c, d});
  run.forget();
  run.lose(b);
  CHECK_FALSE(run.heard<wire::EpochMessage>(c));
}

TEST_CASE("not linked after forming: refused, with names and addresses; members are not touched") {
  Formed run;
  run.actor(c).unreachable = {b};
  run.arrive(c);
  const Epoch epoch = run.store.epoch;
  run.pass(run.config.ladder.forming - kMillisecond);
  CHECK_FALSE(run.heard<wire::Refused>(c));
  CHECK(run.last<wire::Waiting>(c).reason.find("connecting to b") == 0);
  run.pass(kSecond);
  const std::string reason = run.last<wire::Refused>(c).reason;
  CHECK(reason.find("b (replica 11) at 10.0.0.11:9000") != std::string::npos);
  CHECK(reason.find("a (replica 10)") == std::string::npos);
  CHECK(run.store.epoch == epoch);
  CHECK_FALSE(run.actors.at(c).conn);
}

TEST_CASE("nobody is refused for having been introduced to someone who died") {
  Formed run;
  run.actor(c).unreachable = {b};
  run.arrive(c);
  run.pass(run.config.ladder.forming - 2 * kSecond);
  run.actors.at(b).alive = false;  // silent from here: evicted after c's clock would have run out
  run.pass(run.config.ladder.evict - 500 * kMillisecond);
  REQUIRE(run.roster() == std::set<PeerId>{a, b});
  CHECK_FALSE(run.heard<wire::Refused>(c));
  run.pass(kSecond);
  CHECK(run.roster() == std::set<PeerId>{a, c});
}

TEST_CASE("of two newcomers that do not reach each other the one with fewer links is refused") {
  Script run(true, 3);
  run.start();
  run.actor(a).unreachable = {b, c, d};
  run.arrive({a, b, c, d});
  CHECK(run.roster() == std::set<PeerId>{b, c, d});  // epoch 1 does not wait for a
  run.pass(run.config.ladder.forming + kSecond);
  CHECK(run.heard<wire::Refused>(a));
  CHECK(run.roster() == std::set<PeerId>{b, c, d});
}

TEST_CASE("before epoch 1 the younger of two that do not reach each other is refused") {
  Script run(true, 2);
  run.start();
  run.actor(b).unreachable = {a};
  run.arrive({a, b});
  run.pass(run.config.ladder.forming);
  CHECK(run.heard<wire::Refused>(b));
  CHECK_FALSE(run.heard<wire::Refused>(a));
  run.arrive(c);
  CHECK(run.roster() == std::set<PeerId>{a, c});
}

TEST_CASE("what JOIN is refused for") {
  Formed run;
  Actor& newcomer = run.actor(c);
  SUBCASE("its replica and lane are taken, by one that lives on") {
    newcomer.replica = static_cast<std::uint32_t>(a);
    run.arrive(c);
    CHECK(run.last<wire::Waiting>(c).reason.find("an earlier incarnation of this replica") == 0);
    run.pass(run.config.ladder.suspect - kMillisecond);
    CHECK_FALSE(run.heard<wire::Refused>(c));
    run.pass(run.config.ladder.heartbeat + kMillisecond);
    CHECK(run.last<wire::Refused>(c).reason.find("is taken by a") != std::string::npos);
  }
  SUBCASE("another number of lanes") {
    newcomer.lanes = 2;
    run.arrive(c);
    CHECK(run.last<wire::Refused>(c).reason.find("has 1 lanes, this one says 2") != std::string::npos);
  }
  SUBCASE("a lane out of range") {
    newcomer.lane = 1;
    run.arrive(c);
    CHECK(run.heard<wire::Refused>(c));
  }
  CHECK(run.roster() == std::set<PeerId>{a, b});
  CHECK_FALSE(run.actors.at(c).conn);
}

// --- The ask --------------------------------------------------------------------------------------------------------

TEST_CASE("G16: the point is never before a stored one") {
  Formed run;
  run.actors.at(a).update_count = 5;  // promises 6
  run.arrive(c);
  REQUIRE(run.store.joins.back().point == 6);
  run.lose(a);
  run.lose(c);
  REQUIRE(run.roster() == std::set<PeerId>{b});  // b is at update 0: promises 1
  run.arrive(d);
  CHECK(run.actors.at(d).taken->joins.back().point == 6);
}

TEST_CASE("a join is kept until every member has passed its point, lost joiners included") {
  Formed run;
  run.arrive(c);
  run.lose(c);
  CHECK(run.last<wire::EpochMessage>(a).joins.size() >= 1);
  CHECK(run.last<wire::EpochMessage>(a).joins.back().generation == 2);
  run.actors.at(a).update_count = 1;
  run.actors.at(b).update_count = 1;
  run.heartbeats();
  run.arrive(d);
  CHECK(run.last<wire::EpochMessage>(a).joins.size() == 1);
  CHECK(run.last<wire::EpochMessage>(a).joins.back().generation == 3);
}

TEST_CASE("bases are kept while a member has ops of their generation, the newest always") {
  Formed run;
  run.actors.at(a).oldest_generation = 1;
  run.arrive(c);
  run.actors.at(b).oldest_generation = 2;
  run.heartbeats();
  run.arrive(d);
  CHECK(run.store.bases.size() == 3);
  run.actors.at(a).oldest_generation = 2;
  run.heartbeats();
  run.lose(d);
  CHECK(run.store.bases.size() == 2);
  CHECK(run.store.bases.front().generation == 2);
}

TEST_CASE("a loss between ask and answer: promises of the rest stay valid, the cut is resolved first") {
  Formed run;
  run.arrive(c);
  run.actors.at(a).update_count = 9;
  run.silent_on_ask = {b};
  run.arrive(d);  // a and c have promised
  run.forget();
  run.mute = {a};
  run.lose(b);
  CHECK(run.roster() == std::set<PeerId>{a, c});
  CHECK_FALSE(run.heard<wire::EpochMessage>(d));
  run.mute = {};
  run.report(a);
  CHECK_FALSE(run.heard<wire::Ask>(a));
  CHECK(run.actors.at(d).taken->joins.back() == wire::JoinRecord{3, 10, {d}});
}

TEST_CASE("a joiner lost between ask and answer is left out") {
  Formed run;
  run.silent_on_ask = {a};
  run.mute = {a};
  run.arrive(e);
  run.mute = {};
  run.disconnect(e);
  run.pass(kSecond);  // dropped before anyone was asked for more
  run.forget();
  run.arrive({c});
  REQUIRE(run.last<wire::Ask>(a).joiners == std::vector<PeerId>{c});
  run.promise(a, run.last<wire::Ask>(a));
  CHECK(run.roster() == std::set<PeerId>{a, b, c});
}

TEST_CASE("of two joiners the one lost between ask and answer is left out") {
  Formed run;
  run.arrive(e);
  run.mute = {a};
  run.lose(e);
  run.arrive({c, d});
  run.silent_on_ask = {a};
  run.mute = {};
  run.report(a);
  const wire::Ask ask = run.last<wire::Ask>(a);
  REQUIRE(ask.joiners == std::vector<PeerId>{c, d});
  run.disconnect(c);
  run.pass(kSecond);
  CHECK_FALSE(run.heard<wire::CancelAsk>(a));
  run.promise(a, ask);
  CHECK(run.roster() == std::set<PeerId>{a, b, d});
  CHECK(run.store.joins.back().joiners == std::vector<PeerId>{d});
}

TEST_CASE("no joiner left: CANCEL, and a promise that comes late counts for nothing") {
  Formed run;
  run.silent_on_ask = {a};
  run.arrive(c);
  const wire::Ask ask = run.last<wire::Ask>(a);
  run.disconnect(c);
  run.pass(kSecond);
  CHECK(run.heard<wire::CancelAsk>(a));
  CHECK(run.heard<wire::CancelAsk>(b));
  run.say(a, wire::Promised{{ask.epoch, ask.term, 1, ask.joiners}});
  run.forget();
  run.arrive(d);
  CHECK(run.roster() == std::set<PeerId>{a, b});  // a has not answered this one
  run.hello(c);
  CHECK(run.heard<wire::Evicted>(c));  // a named joiner is over: no two asks name the same
}

// Found by the simulator: the others had forgotten how many frames they had sent it, and it dropped those of its new life.
TEST_CASE("an incarnation is a member once, also when it never heard of it and the master has restarted") {
  Formed run;
  run.arrive(c);
  run.actors.at(c).alive = false;
  run.pass(run.config.ladder.evict + kSecond);
  REQUIRE(run.roster() == std::set<PeerId>{a, b});
  run.restart_master();
  run.hello(a);
  run.hello(b);
  run.actors.at(c).taken.reset();
  run.forget();
  SUBCASE("frames had reached it") {
    run.actors.at(c).was_addressed = true;
    run.arrive(c);
    CHECK(run.heard<wire::Evicted>(c));
    CHECK(run.roster() == std::set<PeerId>{a, b});
  }
  SUBCASE("none had: it is as good as new") {
    run.arrive(c);
    CHECK(run.roster() == std::set<PeerId>{a, b, c});
  }
}

// Found by the simulator: its update waited for ever.
TEST_CASE("no joiner left: CANCEL also to a member that has reconnected and shown its promise") {
  Formed run;
  run.silent_on_ask = {a, b};
  run.arrive(c);
  const wire::Ask ask = run.last<wire::Ask>(a);
  run.actors.at(a).promise = wire::Promise{ask.epoch, ask.term, 3, ask.joiners};
  run.disconnect(a);
  run.hello(a);
  run.forget();
  run.disconnect(c);
  run.pass(kSecond);
  CHECK(run.heard<wire::CancelAsk>(a));
}

TEST_CASE("a member that reconnects is asked again, unless its HELLO shows the promise") {
  Formed run;
  run.silent_on_ask = {a, b};
  run.arrive(c);
  SUBCASE("asked again") {
    run.forget();
    run.disconnect(a);
    run.hello(a);
    CHECK(run.heard<wire::Ask>(a));
  }
  SUBCASE("HELLO shows it") {
    const wire::Ask ask = run.last<wire::Ask>(a);
    run.actors.at(a).promise = wire::Promise{ask.epoch, ask.term, 3, ask.joiners};
    run.forget();
    run.disconnect(a);
    run.hello(a);
    CHECK_FALSE(run.heard<wire::Ask>(a));
    CHECK_FALSE(run.heard<wire::CancelAsk>(a));
    run.promise(b, ask);
    CHECK(run.actors.at(c).taken->joins.back().point == 3);
  }
}

// Found by the simulator: the promise was cancelled, and its member walked past the join point.
TEST_CASE("a member that reconnects while the answer is being written keeps the promise that the answer counts on") {
  Formed run;
  run.hold_store = true;
  run.arrive(c);
  REQUIRE(run.writes.size() == 1);
  REQUIRE(run.actors.at(a).promise);
  run.forget();
  run.disconnect(a);
  run.hello(a);
  CHECK_FALSE(run.heard<wire::CancelAsk>(a));
  run.release_all();
  CHECK(run.last<wire::EpochMessage>(a).joins.back().joiners == std::vector<PeerId>{c});
}

// Found by the simulator: CANCEL came after the ASK, and its member walked past the join point.
TEST_CASE("while something is written, neither is a promise cancelled nor another one asked for; then in this order") {
  Formed run;
  run.silent_on_ask = {b};
  run.arrive(c);
  REQUIRE(run.actors.at(a).promise);
  run.restart_master();
  run.hello(b);
  run.arrive(c);
  REQUIRE(run.heard<wire::Ask>(b));
  run.hold_store = true;
  run.say(b, wire::Synced{1});
  REQUIRE(run.writes.size() == 1);
  run.forget();
  run.hello(a);
  CHECK_FALSE(run.heard<wire::CancelAsk>(a));
  CHECK_FALSE(run.heard<wire::Ask>(a));
  run.release_all();
  std::vector<bool> heard;  // true: ASK
  for (const auto& message : run.actors.at(a).heard) {
    if (std::holds_alternative<wire::CancelAsk>(message) || std::holds_alternative<wire::Ask>(message)) {
      heard.push_back(std::holds_alternative<wire::Ask>(message));
    }
  }
  CHECK(heard == std::vector<bool>{false, true});
}

TEST_CASE("G15: a new master cancels every promise that it did not ask for, with a store and without") {
  for (const bool with_store : {true, false}) {
    CAPTURE(with_store);
    Formed run(with_store);
    run.silent_on_ask = {b};
    run.arrive(c);
    REQUIRE(run.actors.at(a).promise);
    run.actors.at(c).alive = false;
    run.restart_master();
    run.forget();
    run.hello(a);
    run.hello(b);
    const auto& heard = run.actors.at(a).heard;
    REQUIRE(run.heard<wire::CancelAsk>(a));
    CHECK(std::holds_alternative<wire::EpochMessage>(heard.front()));
    CHECK(run.last<wire::CancelAsk>(a).term == run.store.term);
    CHECK_FALSE(run.heard<wire::CancelAsk>(b));
    CHECK_FALSE(run.actors.at(a).promise);
  }
}

TEST_CASE("an answer that was durable and unsaid is said by the next master") {
  Formed run;
  run.silent_on_ask = {b};
  run.arrive(c);
  run.hold_store = true;
  run.promise(b, run.last<wire::Ask>(b));
  run.store = run.writes.front().record;  // written; the master dies before the reply
  run.hold_store = false;
  run.restart_master();
  run.forget();
  run.hello(a);
  CHECK(run.last<wire::EpochMessage>(a).joins.back().joiners == std::vector<PeerId>{c});
  run.hello(c);
  CHECK(run.heard<wire::EpochMessage>(c));
}

TEST_CASE("a pending peer that loses its connection and comes back in time keeps its place") {
  Formed run;
  run.silent_on_ask = {b};
  run.arrive(c);
  run.disconnect(c, false);
  run.forget();
  run.hello(c);
  run.say(c, run.join_of(c));
  CHECK(run.heard<wire::Introduce>(c));
  run.promise(b, wire::Ask{run.store.term, run.store.epoch, {c}});
  CHECK(run.roster() == std::set<PeerId>{a, b, c});
}

TEST_CASE("generations that nobody has left behind bound how many joins may follow each other") {
  Formed run;
  const PeerId next_to_last = 100 + kMaxOpenGenerations + 2;
  for (PeerId id = 100; id < 100 + kMaxOpenGenerations + 4; ++id) {
    run.arrive(id);
    for (const PeerId member : {a, b}) {
      run.actors.at(member).oldest_generation = 1;
    }
    run.heartbeats();
  }
  CHECK(run.store.bases.size() == kMaxOpenGenerations);
  CHECK(run.last<wire::Waiting>(next_to_last).reason.find("generations are still open") != std::string::npos);
  run.actors.at(a).oldest_generation = run.actors.at(b).oldest_generation = 1000;
  run.heartbeats();
  run.pass(kSecond);
  CHECK(run.roster().size() == 2 + kMaxOpenGenerations + 4);
}

}  // namespace
}  // namespace seaway::core::script
