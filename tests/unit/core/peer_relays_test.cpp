// When core::Peer asks whom for a relay, and when it brings others together. Each test is one rule of src/core/peer_relays.cpp.
#include <doctest/doctest.h>

#include <vector>

#include "peer_script.h"

namespace seaway::core::peer_tests {
namespace {

std::vector<Dial> relayed(Script& script, PeerId peer) {
  std::vector<Dial> dials;
  for (const Dial& dial : script.took<Dial>()) {
    if (dial.peer == peer && dial.relay != kNoPeer) {
      dials.push_back(dial);
    }
  }
  return dials;
}

// A member among 40, 41 and 60, linked to all but 60.
struct Cut : Script {
  Cut() {
    member_of(EpochScript(1, 1, {40, 41, kMe, 60}));
    linked(40, 1, true, true).linked(40, 2, false, true);
    linked(41, 3, true, true).linked(41, 4, false, true);
    forget_effects();
  }
};

TEST_CASE("peer: whom it cannot reach for suspect it meets at the oldest that it reaches") {
  Cut script;
  script.pass(script.ladder.suspect - 1);
  CHECK(relayed(script, 60).empty());
  script.pass(1);
  const auto dials = relayed(script, 60);
  REQUIRE(dials.size() == 2);
  CHECK(dials[0].control);
  CHECK(!dials[1].control);
  CHECK(dials[0].relay == 40);
  CHECK(dials[0].addresses == info(40, 1).addresses);
  script.pass(script.ladder.stall);
  CHECK(relayed(script, 60).empty());  // they are under way
}

TEST_CASE("peer: a relay that refuses makes it ask the next one, one that nobody else came to the first") {
  Cut script;
  script.pass(script.ladder.suspect);
  relayed(script, 60);
  script.peer.on_dial_failed(60, true, script.now, true);
  script.pass(0);
  auto dials = relayed(script, 60);
  REQUIRE(dials.size() == 1);
  CHECK(dials[0].relay == 41);
  script.pass(script.ladder.stall);
  script.peer.on_dial_failed(60, true, script.now, true);
  script.pass(0);
  dials = relayed(script, 60);
  REQUIRE(dials.size() == 1);
  CHECK(dials[0].relay == 40);
}

TEST_CASE("peer: when all relays have refused it waits before it asks again") {
  Cut script;
  script.pass(script.ladder.suspect);
  for (int i = 0; i < 2; ++i) {
    CHECK(!relayed(script, 60).empty());
    script.peer.on_dial_failed(60, true, script.now, true);
    script.peer.on_dial_failed(60, false, script.now, true);
    script.pass(0);
  }
  CHECK(relayed(script, 60).empty());
  script.pass(script.ladder.evict);
  CHECK(!relayed(script, 60).empty());
}

TEST_CASE("peer: a relayed link runs ops, and goes when the peer is reached straight") {
  Cut script;
  script.pass(script.ladder.suspect).forget_effects();
  script.peer.on_linked(60, 7, true, true, script.now, true);
  script.peer.on_linked(60, 8, false, true, script.now, true);
  script.pass(0);
  CHECK(script.peer.engine().linked(60));
  script.pass(2 * script.ladder.reconnect);
  CHECK(relayed(script, 60).empty());
  CHECK(!script.saw<DropConnection>());
  script.linked(60, 9, true, true);
  auto dropped = script.took<DropConnection>();
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].conn == 7);
  script.link_lost(60, 7, true, true);
  // One that comes later than that is not needed either.
  script.peer.on_linked(60, 10, true, false, script.now, true);
  script.pass(0);
  dropped = script.took<DropConnection>();
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].conn == 10);
}

TEST_CASE("peer: it is a relay between those it knows, to one it has a connection to that is none itself") {
  Cut script;
  wire::LinkHello hello = link_hello(40);
  hello.to = 41;
  hello.relay = kMe;
  CHECK(script.peer.may_relay(hello, {}).empty());
  hello.to = 60;
  CHECK(script.peer.may_relay(hello, {}) == "no connection to peer 60 from here");
  script.peer.on_linked(60, 7, true, false, script.now, true);
  CHECK(!script.peer.may_relay(hello, {}).empty());
  hello.to = 40;
  CHECK(!script.peer.may_relay(hello, {}).empty());
  hello = link_hello(99);
  hello.to = 41;
  CHECK(script.peer.may_relay(hello, {}) == "peer 99 is neither a member of this lane nor introduced");
}

}  // namespace
}  // namespace seaway::core::peer_tests
