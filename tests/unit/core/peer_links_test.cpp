// Whom core::Peer dials, whom it lets in and what it tells of links. Each test is one rule of src/core/peer_links.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "peer_script.h"

namespace seaway::core::peer_tests {
namespace {

// --- Links ----------------------------------------------------------------------------------------------------------

TEST_CASE("peer: a newcomer dials members, one control and K data connections") {
  PeerConfig three = config();
  three.data_connections = 3;
  Script script(three);
  script.connected_and_joining().hears(wire::Introduce{{info(60, 1), info(61, 1, 1), info(kMe, 0)}});
  const auto dials = script.took<Dial>();
  REQUIRE(dials.size() == 4);  // peer 61 is of another lane
  CHECK(std::count_if(dials.begin(), dials.end(), [](const Dial& dial) { return dial.control; }) == 1);
  CHECK(dials[0].peer == 60);
  CHECK(dials[0].addresses == info(60, 1).addresses);
}

TEST_CASE("peer: a sibling gets one control connection, and is linked with it") {
  PeerConfig of_lane_0 = config();
  of_lane_0.lanes = 2;
  Script script(of_lane_0);
  wire::MemberInfo sibling = info(40, 0, 1);
  sibling.replica = of_lane_0.replica;
  script.connected_and_joining().hears(wire::Introduce{{sibling, info(61, 0, 1)}});
  const auto dials = script.took<Dial>();
  REQUIRE(dials.size() == 1);  // peer 61 is of another lane and another replica
  CHECK(dials[0].peer == 40);
  CHECK(dials[0].control);
  script.forget_effects().linked(40, 1, true, true);
  const auto linked = script.said<wire::Linked>();
  REQUIRE(linked.size() == 1);
  CHECK(linked[0].peers == std::vector<PeerId>{40});
}

TEST_CASE("peer: more data connections are dialled when they are wanted, if their number is not fixed") {
  for (const bool more : {true, false}) {
    PeerConfig config_of_mine = config();
    config_of_mine.more_connections = more;
    Script script(config_of_mine);
    script.member_of(EpochScript(1, 1, {40, kMe}));
    script.linked(40, 1, true, true).linked(40, 2, false, true).forget_effects();
    script.peer.want_connections(40, 4, script.now);
    script.pass(0);
    CHECK(script.dials(40) == (more ? 3 : 0));
    script.peer.want_connections(40, 4, script.now);  // they are under way
    script.peer.want_connections(40, 2, script.now);  // and are not taken back
    script.peer.want_connections(99, 2, script.now);  // nobody
    script.pass(0);
    CHECK(script.dials(40) == 0);
    script.peer.want_connections(40, 1000, script.now);
    script.pass(0);
    CHECK(script.dials(40) == (more ? kMaxDataConnections - 4 : 0));
  }
}

TEST_CASE("peer: between two newcomers the larger id dials, members wait for newcomers") {
  Script script;
  script.connected_and_joining().hears(wire::Introduce{{info(40, 0), info(60, 0)}});
  const auto dials = script.took<Dial>();
  CHECK(dials.size() == 2);
  CHECK(std::all_of(dials.begin(), dials.end(), [](const Dial& dial) { return dial.peer == 40; }));

  Script member;
  member.member_of(EpochScript(1, 1, {kMe}));
  member.hears(wire::Introduce{{info(40, 0)}});
  CHECK(!member.saw<Dial>());
  CHECK(member.peer.accept(link_hello(40), {}, member.now).empty());
}

TEST_CASE("peer: the other side dials too when nothing came for suspect") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe}));
  script.hears(wire::Introduce{{info(60, 0)}});
  script.pass(script.ladder.suspect - 1);
  CHECK(script.dials(60) == 0);
  script.pass(1);
  CHECK(script.dials(60) == 2);
  script.linked(60, 1, true, true).linked(60, 2, false, true);
  script.link_lost(60, 1, true, true);  // what I dialled is mine to dial again
  script.pass(script.ladder.heartbeat);
  CHECK(script.dials(60) == 1);
}

TEST_CASE("peer: a failed dial is repeated with backoff, a lost connection dialled again by its dialler") {
  Script script;
  script.member_of(EpochScript(1, 1, {40, kMe}));
  script.peer.on_dial_failed(40, false, script.now);  // the other side was faster with the data connection
  script.linked(40, 1, true, true).linked(40, 2, false, false).forget_effects();
  SUBCASE("dialled by me") {
    script.link_lost(40, 1, true, true).pass(script.ladder.heartbeat / 5);
    CHECK(script.dials(40) == 1);
    script.peer.on_dial_failed(40, true, script.now);
    script.pass(script.ladder.heartbeat / 10 - 1);
    CHECK(script.dials(40) == 0);
    script.pass(script.ladder.heartbeat);
    CHECK(script.dials(40) == 1);
  }
  SUBCASE("dialled by the other: it has the first try") {
    script.link_lost(40, 2, false, true).pass(script.ladder.suspect - 1);
    CHECK(script.dials(40) == 0);
    script.pass(1);
    CHECK(script.dials(40) == 1);
  }
}

TEST_CASE("peer: strangers are refused with a reason") {
  Script script;
  CHECK(!script.peer.accept(link_hello(60), {}, script.now).empty());  // not in the run yet
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  CHECK(script.peer.accept(link_hello(60), {}, script.now).empty());
  CHECK(script.peer.accept(link_hello(61), {}, script.now).find("61") != std::string::npos);
  CHECK(!script.peer.accept(link_hello(kMe), {}, script.now).empty());
  wire::LinkHello hello = link_hello(60);
  hello.run = {8, 8};
  CHECK(script.peer.accept(hello, {}, script.now) == "another run");
  hello = link_hello(60);
  hello.to = 51;
  CHECK(!script.peer.accept(hello, {}, script.now).empty());
  hello = link_hello(60);
  hello.version = 2;
  CHECK(script.peer.accept(hello, {}, script.now).find("version 2") != std::string::npos);
  script.hears(EpochScript(1, 2, {kMe}).message);
  CHECK(!script.peer.accept(link_hello(60), {}, script.now).empty());
}

TEST_CASE("peer: LINKED when every introduced peer has control and data, and when one falls out") {
  Script script;
  script.connected_and_joining().hears(wire::Introduce{{info(60, 1), info(70, 1)}});
  script.linked(60, 1, true, true).linked(60, 2, false, true).linked(70, 3, true, true);
  CHECK(script.said<wire::Linked>().empty());
  script.linked(70, 4, false, true);
  CHECK(script.said<wire::Linked>().at(0).peers == std::vector<PeerId>{60, 70});
  script.link_lost(60, 2, false, true);
  CHECK(script.said<wire::Linked>().at(0).peers == std::vector<PeerId>{70});
  script.linked(60, 5, false, true);
  CHECK(script.said<wire::Linked>().at(0).peers == std::vector<PeerId>{60, 70});
  script.line_breaks().line_comes_back();
  CHECK(script.said<wire::Linked>().empty());
  script.hears(wire::Introduce{{info(60, 1), info(70, 1)}});  // a master that knows nothing of it yet
  CHECK(script.said<wire::Linked>().size() == 1);
}

TEST_CASE("peer: a set that is not complete is told with the heartbeat, so that a refusal can name who is missing") {
  Script script;
  script.connected_and_joining().hears(wire::Introduce{{info(60, 1), info(70, 1)}});
  script.linked(60, 1, true, true).linked(60, 2, false, true);
  CHECK(script.said<wire::Linked>().empty());
  script.pass(script.ladder.heartbeat);
  CHECK(script.said<wire::Linked>().at(0).peers == std::vector<PeerId>{60});
}

TEST_CASE("peer: who is alone is linked to everybody") {
  Script script;
  script.connected_and_joining().hears(wire::Introduce{});
  CHECK(script.said<wire::Linked>().at(0).peers.empty());
}

TEST_CASE("peer: a member that left the roster is forgotten, a pending one is not") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60, 70}));
  script.hears(wire::Introduce{{info(90, 0)}});
  script.linked(60, 1, true, false).linked(90, 2, true, false);
  script.hears(EpochScript(1, 2, {kMe, 70}).message);
  const auto closed = script.took<CloseConnectionTo>();
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].peer == 60);
  CHECK(!script.peer.engine().linked(60));
  CHECK(script.peer.engine().linked(90));
  script.linked(60, 3, true, false);  // its hellos were under way
  CHECK(script.took<CloseConnectionTo>().at(0).peer == 60);
  CHECK(!script.peer.engine().linked(60));
}

TEST_CASE("peer: an introduced peer that never links is given up in time") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe}));
  script.hears(wire::Introduce{{info(90, 0)}});
  script.pass(script.ladder.forming + script.ladder.evict - 1);
  CHECK(script.peer.accept(link_hello(90), {}, script.now).empty());
  script.pass(1);
  CHECK(!script.peer.accept(link_hello(90), {}, script.now).empty());
}

TEST_CASE("peer: a member introduced while I was joining and not in my epoch had left") {
  Script script;
  script.connected_and_joining().hears(wire::Introduce{{info(60, 1), info(70, 1), info(90, 0)}}).forget_effects();
  script.hears(EpochScript(1, 4, {60}).join(2, 7, {kMe}).message);
  CHECK(script.took<CloseConnectionTo>().at(0).peer == 70);
  CHECK(script.peer.accept(link_hello(90), {}, script.now).empty());
}

TEST_CASE("peer: a stalled edge is told at most every suspect") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.linked(60, 1, true, false);
  script.posts();
  wire::FrameHeader ready;
  ready.type = wire::FrameType::ready;
  ready.op = {0, 1, 0, 0};
  ready.epoch = {1, 1};
  ready.link_seq = 1;
  collective::Descriptor descriptor;
  descriptor.count = 4;
  const auto payload = wire::encode_payload(
      wire::Ready{collective::digest_of(descriptor), 1, Standing::founder, false, collective::describe(descriptor)});
  ready.length = static_cast<std::uint32_t>(payload.size());
  REQUIRE(std::holds_alternative<collective::Message>(script.peer.engine().on_header(1, ready, script.now)));
  script.peer.engine().on_message(1, payload, script.now);
  const std::size_t suspects = 4;
  script.pass(script.ladder.stall + static_cast<Duration>(suspects) * script.ladder.suspect);
  const auto lost = script.said<wire::Lost>();
  CHECK(lost.size() >= 1);
  CHECK(lost.size() <= suspects + 1);
  CHECK(std::all_of(lost.begin(), lost.end(),
                    [](const wire::Lost& one) { return one.peer == 60 && one.kind == wire::LostKind::stalled; }));
}

TEST_CASE("peer: LOST is said once when a member's last connection was closed") {
  Script script;
  script.member_of(EpochScript(1, 1, {kMe, 60}));
  script.linked(60, 1, true, false).linked(60, 2, false, false).forget_effects();
  script.link_lost(60, 1, true, true);
  CHECK(script.said<wire::Lost>().empty());
  script.link_lost(60, 2, false, true);
  auto lost = script.said<wire::Lost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].peer == 60);
  CHECK(lost[0].kind == wire::LostKind::closed);
  script.pass(kSecond);
  CHECK(script.said<wire::Lost>().empty());
  SUBCASE("again after it had come back, which is told too") {
    script.linked(60, 3, true, false);
    CHECK(script.said<wire::Linked>().at(0).peers == std::vector<PeerId>{60});
    script.link_lost(60, 3, true, true);
    CHECK(script.said<wire::Lost>().size() == 1);
  }
  SUBCASE("it came back while there was no master: told to the next one") {
    script.line_breaks().linked(60, 3, true, false).line_comes_back();
    CHECK(script.said<wire::Linked>().size() == 1);
    CHECK(script.said<wire::Lost>().empty());
  }
  SUBCASE("again to a master that may not have heard") {
    script.line_breaks().line_comes_back();
    CHECK(script.said<wire::Lost>().size() == 1);
  }
  SUBCASE("not when a connection was given up after silence") {
    script.linked(60, 3, true, false).linked(60, 4, false, false);
    script.link_lost(60, 4, false, false).link_lost(60, 3, true, true);
    CHECK(script.said<wire::Lost>().empty());
  }
}

}  // namespace
}  // namespace seaway::core::peer_tests
