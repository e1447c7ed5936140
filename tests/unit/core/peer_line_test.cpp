// How core::Peer keeps its line to the master, how it leaves, and that nothing a master says in any order harms it.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "peer_script.h"

namespace seaway::core::peer_tests {
namespace {

// --- The line to the master -----------------------------------------------------------------------------------------

TEST_CASE("peer: heartbeats say how far I am") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60})).updates();
  script.peer.measured(480);
  script.pass(3 * script.ladder.heartbeat);
  const auto beats = script.said<wire::Heartbeat>();
  REQUIRE(beats.size() == 3);
  CHECK(beats[0].update_count == 1);
  CHECK(beats[0].oldest_generation == 1);
  CHECK(beats[0].rate_mbps == 480);
  CHECK(beats[1].stamp > beats[0].stamp);
}

TEST_CASE("peer: an EPOCH scales the ladder") {
  Script script;
  EpochScript epoch(1, 1, {kMe, 60});
  epoch.message.ladder_percent = 1000;
  script.connected_and_joining().hears(epoch.message);
  script.pass(script.ladder.heartbeat).forget_effects();  // the heartbeat that was due before
  script.pass(30 * script.ladder.heartbeat);
  CHECK(script.said<wire::Heartbeat>().size() == 3);
}

TEST_CASE("peer: a silent master is given up, and tried again with a backoff that grows") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.pass(script.ladder.suspect, false);
  CHECK(script.took<CloseMaster>().size() == 1);
  CHECK(script.said<wire::Heartbeat>().size() == 2);
  Duration waited = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const Time from = script.now;
    while (!script.saw<ConnectMaster>()) {
      script.pass(kMillisecond);
    }
    CHECK(script.took<ConnectMaster>().size() == 1);
    waited = script.now - from;
    // A master that comes back waits evict for me, and I may just have connected to what was there before it.
    CHECK(waited + script.ladder.suspect < script.ladder.evict - script.ladder.heartbeat);
    script.line_breaks();
  }
  CHECK(waited >= script.ladder.suspect / 4 - kMillisecond);
  CHECK(script.peer.stage() == PeerStage::member);  // no master is no reason to stop
}

TEST_CASE("peer: what an old connection said does not count any more") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60})).line_breaks().forget_effects();
  script.hears(EpochScript(1, 2, {kMe}).message).hears(wire::Evicted{"late"});
  CHECK(script.peer.epoch() == Epoch{1, 1});
  CHECK(script.peer.stage() == PeerStage::member);
}

// --- Leaving --------------------------------------------------------------------------------------------------------

TEST_CASE("peer: leave with nothing open says LEAVE and goes") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.peer.leave(script.now);
  script.pass(0).updates();
  CHECK(script.said<wire::Leave>().size() == 1);
  CHECK(script.saw<CloseMaster>());
  CHECK(script.took<LeftRun>().size() == 1);
  CHECK(script.peer.stage() == PeerStage::gone);
}

TEST_CASE("peer: leave cancels what is open and goes when it was decided") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.posts();
  script.peer.leave(script.now);
  script.pass(0);
  CHECK(script.peer.stage() == PeerStage::leaving);
  CHECK(script.said<wire::CancelOp>().size() == 1);
  CHECK(script.said<wire::Leave>().empty());
  script.hears(EpochScript(1, 2, {kMe, 60}).message);
  CHECK(script.said<wire::Report>().size() == 1);
  script.asked(1, 2);
  CHECK(script.said<wire::Promised>().size() == 1);  // still a member for everybody else
  script.hears(resolve(1, {1, 2}, {{{0, 1, 0, 0}, wire::Verdict::abort, "leaving"}}));
  CHECK(script.said<wire::Leave>().size() == 1);
  CHECK(script.took<LeftRun>().size() == 1);
  CHECK(script.ended().at(0).result.outcome == collective::Outcome::aborted);
}

TEST_CASE("peer: leave without a master is undecided after evict") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.posts();
  script.line_breaks();
  script.peer.leave(script.now);
  script.pass(script.ladder.evict - 1, false);
  CHECK(script.peer.stage() == PeerStage::leaving);
  script.pass(1, false);
  CHECK(script.peer.stage() == PeerStage::gone);
  CHECK(script.took<LeftRun>().size() == 1);
  CHECK(script.ended().at(0).result.outcome == collective::Outcome::undecided);
}

TEST_CASE("peer: leave before being a member is over at once") {
  Script script;
  script.connected_and_joining();
  script.peer.leave(script.now);
  script.pass(0);
  CHECK(script.took<LeftRun>().size() == 1);
  CHECK(script.said<wire::Leave>().size() == 1);

  Script alone;
  alone.peer.join(alone.now);
  alone.peer.leave(alone.now);
  alone.pass(0);
  CHECK(alone.took<LeftRun>().size() == 1);
}

TEST_CASE("peer: fence ends everything at once and says nothing") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.posts();
  script.forget_effects();
  script.peer.fence("destroyed", script.now);
  script.pass(0);
  CHECK(script.peer.stage() == PeerStage::gone);
  CHECK(script.ended().at(0).result.outcome == collective::Outcome::undecided);
  CHECK(script.took<CloseMaster>().size() == 1);
  CHECK(!script.saw<SendToMaster>());
  CHECK(!script.saw<LeftRun>());
}

// --- Anything, in any order -----------------------------------------------------------------------------------------

wire::MasterMessage anything(Random& random) {
  const std::uint64_t term = random.between(1, 3);
  const auto number = static_cast<std::uint32_t>(random.between(1, 6));
  const Epoch epoch{1, static_cast<std::uint32_t>(random.between(1, 6))};
  switch (random.below(8)) {
    case 0:
    case 1: {
      EpochScript script(term, number, random.one_in(12) ? std::vector<PeerId>{60} : std::vector<PeerId>{kMe, 60});
      if (random.one_in(2)) {
        script.cut_at({1, static_cast<std::uint32_t>(random.below(number + 1))});
      }
      if (random.one_in(2)) {
        script.join(2, random.below(6), {70});
      }
      script.message.ladder_percent = static_cast<std::uint32_t>(random.below(300));
      return script.message;
    }
    case 2:
      return wire::Resolve{term, epoch, {}};
    case 3:
      return wire::Ask{term, epoch, {90}};
    case 4:
      return wire::CancelAsk{term, epoch};
    case 5:
      return wire::Introduce{{info(random.between(40, 80), static_cast<std::uint32_t>(random.below(2)))}};
    case 6:
      return wire::Waiting{"something"};
    default:
      return wire::HeartbeatReply{};
  }
}

// No message of a master and no order of events may break an invariant, or make tick spin.
TEST_CASE("peer: nothing that a master or the network does breaks an invariant") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Script script;
    script.peer.join(script.now);
    ConnId conns = 0;
    std::vector<std::pair<PeerId, ConnId>> links;
    for (int step = 0; step < 200 && script.peer.stage() != PeerStage::gone; ++step) {
      script.pass(static_cast<Duration>(random.below(static_cast<std::uint64_t>(kSecond))), random.one_in(2));
      for (std::size_t i = script.took<ConnectMaster>().size(); i > 0; --i) {
        random.one_in(3) ? script.peer.on_master_lost(script.now) : script.peer.on_master_connected(script.now);
      }
      for (const Dial& dial : script.took<Dial>()) {
        if (random.one_in(2)) {
          script.peer.on_dial_failed(dial.peer, dial.control, script.now);
        } else {
          script.linked(dial.peer, ++conns, dial.control, true);
          links.emplace_back(dial.peer, conns);
        }
      }
      const PeerId stranger = random.between(40, 80);
      if (random.one_in(3) && script.peer.accept(link_hello(stranger), {}, script.now).empty()) {
        script.linked(stranger, ++conns, true, false);
        links.emplace_back(stranger, conns);
      }
      if (!links.empty() && random.one_in(3)) {
        const std::size_t which = random.below(links.size());
        const auto [peer, conn] = links[which];
        links.erase(links.begin() + static_cast<std::ptrdiff_t>(which));
        script.link_lost(peer, conn, random.one_in(2), random.one_in(2));
      }
      if (script.peer.stage() == PeerStage::member && script.peer.waits_for().empty() && random.one_in(3)) {
        script.updates();
      }
      if (random.one_in(20)) {
        script.line_breaks();
      }
      if (random.one_in(150)) {
        script.peer.leave(script.now);
      }
      script.hears(anything(random));
      script.forget_effects();
    }
  }
}

}  // namespace
}  // namespace seaway::core::peer_tests
