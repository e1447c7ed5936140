// What core::Peer takes from a master, where it promises and waits, how it leaves. Each test is one rule of
// src/core/peer.cpp or peer_epoch.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "peer_script.h"

namespace seaway::core::peer_tests {
namespace {

// --- HELLO and joining ----------------------------------------------------------------------------------------------

TEST_CASE("peer: HELLO is the first thing said on a connection, then JOIN while pending") {
  Script script;
  script.peer.join(script.now);
  CHECK(script.peer.stage() == PeerStage::joining);
  script.peer.on_master_connected(script.now);
  script.pass(0);
  CHECK(script.took<ConnectMaster>().size() == 1);
  CHECK(script.said_names() == std::vector<std::string>{"HELLO", "JOIN"});
  const wire::Hello hello = script.said<wire::Hello>().at(0);
  CHECK(hello.run == kRun);
  CHECK(hello.id == kMe);
  CHECK(!hello.taken);
  CHECK(!hello.promise);
}

TEST_CASE("peer: a founder becomes a member of generation 1 at update 0 and reports") {
  Script script;
  script.connected_and_joining().forget_effects();
  script.hears(EpochScript(1, 1, {kMe, 60}).message);
  CHECK(script.peer.stage() == PeerStage::member);
  CHECK(script.peer.epoch() == Epoch{1, 1});
  CHECK(script.peer.generation() == 1);
  CHECK(script.took<Joined>().at(0).update_count == 0);
  const wire::Report report = script.said<wire::Report>().at(0);
  CHECK(report.term == 1);
  CHECK(report.epoch == Epoch{1, 1});
  CHECK(report.ops.empty());
}

TEST_CASE("peer: a joiner starts at the join point of its own generation") {
  Script script;
  script.connected_and_joining();
  script.hears(EpochScript(1, 4, {60}).join(2, 7, {70}).join(3, 9, {kMe}).message);
  CHECK(script.peer.update_count() == 9);
  CHECK(script.peer.generation() == 3);
  CHECK(script.took<Joined>().at(0).update_count == 9);
}

TEST_CASE("peer: a joiner that missed its EPOCH takes the highest generation at its count") {
  Script script;
  script.connected_and_joining();
  script.hears(EpochScript(1, 5, {60}).join(2, 7, {kMe}).join(3, 7, {70}).message);
  CHECK(script.peer.update_count() == 7);
  CHECK(script.peer.generation() == 3);
}

TEST_CASE("peer: a newcomer without its join point is nothing that a master says") {
  Script script;
  script.connected_and_joining();
  EpochScript epoch = EpochScript(1, 4, {60}).join(2, 7, {kMe});
  epoch.message.joins.clear();
  script.hears(epoch.message);
  CHECK(script.peer.stage() == PeerStage::joining);
  CHECK(script.saw<CloseMaster>());
}

TEST_CASE("peer: refused while joining is the answer of join") {
  Script script;
  script.connected_and_joining().hears(wire::Refused{"lanes differ"});
  CHECK(script.peer.stage() == PeerStage::gone);
  CHECK(script.took<JoinRefused>().at(0).reason == "lanes differ");
  CHECK(script.took<CloseMaster>().size() == 1);
  CHECK(!script.saw<EvictedFromRun>());
}

TEST_CASE("peer: join says what it waits for") {
  Script script;
  script.connected_and_joining();
  script.line_breaks();
  CHECK(script.peer.waits_for().find("connection to the master") != std::string::npos);
  script.line_comes_back();
  CHECK(script.peer.waits_for() == "the master to admit it");
  script.hears(wire::Waiting{"2 of 3 replicas are here"});
  CHECK(script.peer.waits_for() == "2 of 3 replicas are here");
  script.hears(wire::Introduce{{info(60, 1)}});
  CHECK(script.peer.waits_for().find("p60") != std::string::npos);
}

// It was admitted, or about to be, and lost: its caller only wants to join.
TEST_CASE("peer: evicted while joining begins anew, as another incarnation") {
  Script script;
  script.connected_and_joining().hears(wire::Introduce{{info(60, 1)}});
  script.linked(60, 1, true, true).forget_effects();
  SUBCASE("EVICTED") { script.hears(wire::Evicted{"silent for 3000 ms"}); }
  SUBCASE("an EPOCH without it") { script.hears(EpochScript(1, 2, {60}).message); }
  CHECK(script.peer.stage() == PeerStage::gone);
  CHECK(script.took<JoinAnew>().size() == 1);
  CHECK(script.took<CloseConnectionTo>().size() == 1);
  CHECK(!script.saw<JoinRefused>());
  CHECK(!script.saw<EvictedFromRun>());
}

// --- EPOCH: which one counts ----------------------------------------------------------------------------------------

TEST_CASE("peer: a lower term is ignored") {
  Script script;
  script.member_of(EpochScript(5, 1, {kMe, 60}));
  script.hears(EpochScript(4, 2, {kMe}).message);
  CHECK(script.peer.term() == 5);
  CHECK(script.peer.epoch() == Epoch{1, 1});
  CHECK(script.effects.empty());
  script.hears(EpochScript(4, 2, {60}).message);  // it cannot evict either
  CHECK(script.peer.stage() == PeerStage::member);
}

TEST_CASE("peer: a new term that announces the same epoch gets a report of its own") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.hears(EpochScript(2, 1, {kMe, 60}).message);
  CHECK(script.peer.term() == 2);
  const auto reports = script.said<wire::Report>();
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].term == 2);
  CHECK(reports[0].epoch == Epoch{1, 1});
  CHECK(!script.saw<EpochChanged>());
}

TEST_CASE("peer: the same EPOCH on a new connection is answered again, and changes nothing") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.line_breaks().line_comes_back().forget_effects();
  script.hears(EpochScript(1, 1, {kMe, 60}).message);
  CHECK(script.said<wire::Report>().size() == 1);
  CHECK(!script.saw<EpochChanged>());
}

TEST_CASE("peer: an epoch that goes back, or a cut that falls, closes the connection") {
  Script script;
  script.member_of(EpochScript(1, 3, {kMe, 60}));
  SUBCASE("epoch") { script.hears(EpochScript(2, 2, {kMe, 60}).message); }
  SUBCASE("cut") { script.hears(EpochScript(2, 4, {kMe, 60}).cut_at({1, 2}).message); }
  SUBCASE("cut above its epoch") { script.hears(EpochScript(2, 4, {kMe, 60}).cut_at({1, 5}).message); }
  SUBCASE("one member twice") { script.hears(EpochScript(2, 4, {kMe, 60, 60}).message); }
  SUBCASE("no ladder") {
    EpochScript epoch(2, 4, {kMe, 60});
    epoch.message.ladder_percent = 0;
    script.hears(epoch.message);
  }
  CHECK(script.peer.term() == 1);
  CHECK(script.peer.epoch() == Epoch{1, 3});
  CHECK(script.saw<CloseMaster>());
  CHECK(script.peer.stage() == PeerStage::member);
}

TEST_CASE("peer: an EPOCH without me ends this incarnation") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  const collective::Posted posted = script.posts();
  REQUIRE(posted.error == collective::PostError::none);
  script.hears(EpochScript(1, 2, {60}).message);
  CHECK(script.peer.stage() == PeerStage::gone);
  CHECK(script.took<EvictedFromRun>().size() == 1);
  CHECK(script.took<CloseMaster>().size() == 1);
  CHECK(script.took<CloseConnectionTo>().size() == 1);
  REQUIRE(script.ended().size() == 1);
  CHECK(script.ended()[0].result.outcome == collective::Outcome::evicted);
  CHECK(script.said<wire::Report>().empty());
}

TEST_CASE("peer: EVICTED counts whatever the terms, REFUSED too") {
  Script script;
  script.member_of(EpochScript(9, 1, {kMe, 60}));
  SUBCASE("evicted") { script.hears(wire::Evicted{"silent for 3 s"}); }
  SUBCASE("refused") { script.hears(wire::Refused{"silent for 3 s"}); }
  CHECK(script.took<EvictedFromRun>().at(0).reason == "silent for 3 s");
  CHECK(script.peer.stage() == PeerStage::gone);
  script.forget_effects().updates();
  script.pass(kSecond * 60);
  CHECK(script.effects.empty());
}

TEST_CASE("peer: a loss is reported with the ops it froze") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  REQUIRE(script.posts().error == collective::PostError::none);
  script.hears(EpochScript(1, 2, {kMe, 60}).message);
  CHECK(script.took<EpochChanged>().size() == 1);
  const auto reports = script.said<wire::Report>();
  REQUIRE(reports.size() == 1);
  REQUIRE(reports[0].ops.size() == 1);
  CHECK(reports[0].ops[0].status == wire::OpStatus::running);
  CHECK(reports[0].ops[0].roster_gone);
}

// --- RESOLVE --------------------------------------------------------------------------------------------------------

TEST_CASE("peer: RESOLVE counts for my term and my cut, once") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  script.posts(true);
  script.hears(EpochScript(2, 2, {kMe, 60}).message).forget_effects();
  const wire::Decision abort{{0, 1, 0, 0}, wire::Verdict::abort, "a member was lost"};
  script.hears(resolve(1, {1, 2}, {abort}));  // a deposed master
  CHECK(script.ended().empty());
  script.hears(resolve(3, {1, 2}, {abort}));  // a term whose EPOCH I have not taken
  CHECK(script.ended().empty());
  script.hears(resolve(2, {1, 1}, {abort}));  // another cut
  CHECK(script.ended().empty());
  script.hears(resolve(2, {1, 2}, {abort}));
  REQUIRE(script.ended().size() == 1);
  CHECK(script.ended()[0].result.outcome == collective::Outcome::aborted);
  script.hears(resolve(2, {1, 2}, {abort}));
  CHECK(script.ended().size() == 1);
}

TEST_CASE("peer: a decision that no true report leads to ends this incarnation, and its ops as an eviction does") {
  const wire::Decision commit{{0, 1, 0, 0}, wire::Verdict::commit, "somebody says that it has committed it"};
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  script.posts();
  SUBCASE("by RESOLVE") {
    script.hears(EpochScript(1, 2, {kMe, 60}).message).forget_effects();
    script.hears(resolve(1, {1, 2}, {commit}));
  }
  SUBCASE("by EPOCH, which reports nothing then") {
    EpochScript epoch(1, 2, {kMe, 60});
    epoch.message.decisions = {commit};
    script.hears(epoch.message);
    CHECK(script.said<wire::Report>().empty());
  }
  CHECK(script.peer.stage() == PeerStage::gone);
  REQUIRE(script.ended().size() == 1);
  CHECK(script.ended()[0].result.outcome == collective::Outcome::evicted);
  const auto evicted = script.took<EvictedFromRun>();
  REQUIRE(evicted.size() == 1);
  CHECK(evicted[0].reason.starts_with(collective::kContradiction));
}

TEST_CASE("peer: a cancel is asked for at once, after RESOLVE, by a new term and on a new connection") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  const collective::Posted posted = script.posts();
  script.peer.engine().cancel(posted.op, "no time", script.now);
  script.pass(0);
  REQUIRE(script.said<wire::CancelOp>().size() == 1);
  script.hears(EpochScript(1, 2, {kMe, 60}).message);
  CHECK(script.said<wire::CancelOp>().empty());
  script.hears(resolve(1, {1, 2}, {{{0, 1, 0, 0}, wire::Verdict::resume, ""}}));
  CHECK(script.said<wire::CancelOp>().size() == 1);
  script.hears(EpochScript(2, 2, {kMe, 60}).message);
  CHECK(script.said<wire::CancelOp>().size() == 1);
  script.line_breaks().line_comes_back().forget_effects();
  script.hears(EpochScript(2, 2, {kMe, 60}).message);
  CHECK(script.said<wire::CancelOp>().size() == 1);
}

// --- Promises and update --------------------------------------------------------------------------------------------

TEST_CASE("peer: update is free when nobody is pending") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.updates();
  const auto done = script.took<UpdateDone>();
  REQUIRE(done.size() == 1);
  CHECK(done[0].update_count == 1);
  CHECK(!done[0].new_generation);
  CHECK(script.effects.empty());
}

TEST_CASE("peer: a promise is the next update, which waits until the join is answered") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.updates().asked(1, 1);
  const auto promised = script.said<wire::Promised>();
  REQUIRE(promised.size() == 1);
  CHECK(promised[0].promise == wire::Promise{.asked = {1, 1}, .term = 1, .count = 2, .joiners = {90}});
  script.took<UpdateDone>();
  script.updates();
  CHECK(!script.saw<UpdateDone>());
  CHECK(script.peer.update_count() == 1);  // one that waits is not passed
  CHECK(!script.peer.waits_for().empty());
  script.asked(1, 1);  // asked again: the same promise
  CHECK(script.said<wire::Promised>().at(0).promise.count == 2);
  script.hears(EpochScript(1, 2, {kMe, 60}).cut_at({}).join(2, 2, {90}).message);
  const auto done = script.took<UpdateDone>();
  REQUIRE(done.size() == 1);
  CHECK(done[0].update_count == 2);
  CHECK(done[0].new_generation);
  CHECK(script.peer.generation() == 2);
}

TEST_CASE("peer: new rates are answered like a join without joiners, and leave my standing what it was") {
  Script script;
  EpochScript epoch(1, 1, {kMe, 60});
  epoch.message.stateful = true;
  script.member_of(epoch);
  script.asked(1, 1, {}).updates();
  CHECK(script.said<wire::Promised>().at(0).promise ==
        wire::Promise{.asked = {1, 1}, .term = 1, .count = 1, .joiners = {}});
  CHECK(!script.saw<UpdateDone>());
  CHECK(script.peer.waits_for() == "the master to say where new rates begin");
  EpochScript answer = EpochScript(1, 2, {kMe, 60}).cut_at({}).join(2, 1, {});
  answer.message.stateful = true;
  script.hears(answer.message);
  CHECK(script.took<UpdateDone>().at(0).new_generation);
  CHECK(script.peer.generation() == 2);
  CHECK(script.peer.is_synced());
}

TEST_CASE("peer: a join point above mine lets me go on, and the generation rises there") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.asked(1, 1).updates();
  script.hears(EpochScript(1, 2, {kMe, 60}).cut_at({}).join(2, 3, {90}).message);
  CHECK(!script.took<UpdateDone>().at(0).new_generation);
  CHECK(script.peer.generation() == 1);
  script.updates();
  CHECK(!script.took<UpdateDone>().at(0).new_generation);
  script.updates();
  const UpdateDone third = script.took<UpdateDone>().at(0);
  CHECK(third.update_count == 3);
  CHECK(third.new_generation);
  CHECK(script.peer.generation() == 2);
}

TEST_CASE("peer: a promise that is answered before its update makes that update free") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.asked(1, 1);
  script.hears(EpochScript(1, 2, {kMe, 60}).cut_at({}).join(2, 1, {90}).message);
  CHECK(script.peer.generation() == 1);
  script.updates();
  CHECK(script.took<UpdateDone>().at(0).new_generation);
  CHECK(script.peer.generation() == 2);
}

TEST_CASE("peer: a loss releases no promise, not even one of the joiner") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  script.asked(1, 1).updates();
  script.hears(EpochScript(1, 2, {kMe, 60}).message);
  CHECK(!script.saw<UpdateDone>());
  // The answer may name nobody who is still there: the join counts, not its joiners.
  EpochScript answer = EpochScript(1, 3, {kMe, 60}).cut_at({1, 2}).join(2, 1, {90});
  answer.message.roster.pop_back();
  script.hears(answer.message);
  CHECK(script.took<UpdateDone>().at(0).new_generation);
}

TEST_CASE("peer: a join that I knew of when I promised does not release the promise") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.asked(1, 1);
  script.hears(EpochScript(1, 2, {kMe, 60}).cut_at({}).join(2, 5, {90}).message);
  script.asked(1, 2, {91}).updates();
  script.hears(EpochScript(1, 3, {kMe}).join(2, 5, {90}).message);
  CHECK(!script.saw<UpdateDone>());
  script.hears(EpochScript(1, 4, {kMe}).cut_at({1, 3}).join(2, 5, {90}).join(3, 5, {91}).message);
  CHECK(script.took<UpdateDone>().size() == 1);
  CHECK(script.peer.generation() == 1);
  for (int i = 2; i <= 5; ++i) {
    script.updates();
  }
  CHECK(script.peer.generation() == 3);  // two joins at one point: the higher one
}

TEST_CASE("peer: CANCEL releases a promise, an older one does not") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  script.hears(EpochScript(1, 2, {kMe, 60}).message);
  script.asked(1, 2).updates();
  script.hears(wire::CancelAsk{1, {1, 1}});  // of an ask before this one
  CHECK(!script.saw<UpdateDone>());
  script.hears(wire::CancelAsk{2, {1, 2}});  // of a term that has not said EPOCH
  CHECK(!script.saw<UpdateDone>());
  script.hears(wire::CancelAsk{1, {1, 2}});
  CHECK(script.took<UpdateDone>().size() == 1);
  CHECK(script.peer.generation() == 1);
}

TEST_CASE("peer: ASK counts only after that term's EPOCH at or above its epoch") {
  Script script;
  script.member_of(EpochScript(2, 1, {kMe, 60}));
  script.asked(2, 2).asked(3, 1).asked(1, 1);
  CHECK(script.said<wire::Promised>().empty());
  script.updates();
  CHECK(script.took<UpdateDone>().size() == 1);
}

TEST_CASE("peer: HELLO carries the promise and the epoch, and a new term may cancel it") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.asked(1, 1).updates();
  script.line_breaks().forget_effects().line_comes_back();
  const wire::Hello hello = script.said<wire::Hello>().at(0);
  REQUIRE(hello.promise);
  CHECK(hello.promise->count == 1);
  REQUIRE(hello.taken);
  CHECK(*hello.taken == EpochScript(1, 1, {kMe, 60}).message);
  CHECK(hello.update_count == 0);
  CHECK(script.said<wire::Join>().empty());
  script.hears(EpochScript(2, 1, {kMe, 60}).message);
  CHECK(!script.saw<UpdateDone>());
  script.hears(wire::CancelAsk{2, {1, 1}});
  CHECK(script.took<UpdateDone>().size() == 1);
}

TEST_CASE("peer: a joiner promises the update after its join point") {
  Script script;
  script.member_of(EpochScript(1, 4, {60}).join(2, 7, {kMe}));
  script.asked(1, 4);
  CHECK(script.said<wire::Promised>().at(0).promise.count == 8);
}

// --- Stateful runs --------------------------------------------------------------------------------------------------

TEST_CASE("peer: its READY says how it stands to the shared state") {
  const auto standing = [](const EpochScript& epoch, bool synced) {
    Script script;
    script.member_of(epoch);
    script.linked(60, 1, true, true);
    if (synced) {
      script.peer.synced(1, script.now);
    }
    REQUIRE(script.posts().error == collective::PostError::none);
    std::vector<collective::OutFrame> frames;
    while (script.peer.engine().pull(1, 1 << 16, frames, script.now) > 0) {
    }
    const auto ready = std::find_if(frames.begin(), frames.end(), [](const collective::OutFrame& frame) {
      return frame.header.type == wire::FrameType::ready;
    });
    REQUIRE(ready != frames.end());
    return wire::decode_payload<wire::Ready>(ready->message).value().standing;
  };
  CHECK(standing(EpochScript(1, 2, {60}).join(2, 7, {kMe}).stateful(), false) == Standing::unsynced);
  CHECK(standing(EpochScript(1, 2, {60}).join(2, 7, {kMe}).stateful(), true) == Standing::synced);
  CHECK(standing(EpochScript(1, 2, {60}).join(2, 7, {kMe}), false) == Standing::newcomer);
  CHECK(standing(EpochScript(1, 2, {60, kMe}).stateful(), false) == Standing::founder);
}

TEST_CASE("peer: a state sync is told to the master, again until an EPOCH says stateful") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.peer.synced(3, script.now);
  script.pass(0);
  CHECK(script.said<wire::Synced>().at(0).revision == 3);
  script.hears(EpochScript(2, 1, {kMe, 60}).message);
  CHECK(script.said<wire::Synced>().size() == 1);
  script.hears(EpochScript(3, 1, {kMe, 60}).stateful().message);
  CHECK(script.said<wire::Synced>().empty());
}

TEST_CASE("a name that no message can carry is refused at once, in words") {
  PeerConfig config;
  config.id = 1;
  config.name = std::string(kMaxNameBytes + 1, 'x');
  Peer peer(config, Random(1));
  peer.join(0);
  const std::vector<PeerEffect> effects = peer.take_effects();
  REQUIRE(effects.size() == 1);
  CHECK(std::get<JoinRefused>(effects[0]).reason.find("name") != std::string::npos);
  CHECK(peer.stage() == PeerStage::gone);
  CHECK(peer.deadline() == kNever);
}

}  // namespace
}  // namespace seaway::core::peer_tests
