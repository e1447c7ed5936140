// Epochs that contradict themselves or what is known: to a peer a master that makes no sense, to a master without a store a
// HELLO that is refused, for it would adopt that run and tell it to everybody.
#include "core/coherent.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "master_script.h"
#include "peer_script.h"

namespace seaway::core {
namespace {

using peer_tests::EpochScript;
using peer_tests::kMe;
using wire::EpochMessage;

// Two generations: founders 20 and me, then 90.
EpochMessage coherent() { return EpochScript(1, 2, {20, kMe}).join(2, 5, {90}).message; }

struct Lie {
  const char* what;
  std::function<void(EpochMessage&)> tell;
};

const std::vector<Lie> kLies{
    {"an epoch of a later term than the one that says it", [](EpochMessage& m) { m.term = 0; }},
    {"a cut above the epoch", [](EpochMessage& m) { m.cut.number = 9; }},
    {"the last number there is", [](EpochMessage& m) { m.epoch.number = UINT32_MAX; }},
    {"the last term there is", [](EpochMessage& m) { m.term = UINT64_MAX; }},
    {"a member twice", [](EpochMessage& m) { m.roster.push_back(m.roster.back()); }},
    {"a member without a name", [](EpochMessage& m) { m.roster[0].id = kNoPeer; }},
    {"the newest member first", [](EpochMessage& m) { std::swap(m.roster[0], m.roster[2]); }},
    {"a member of no generation", [](EpochMessage& m) { m.roster[0].generation = 0; }},
    {"two members in one place", [](EpochMessage& m) { m.roster[0].replica = m.roster[1].replica; }},
    {"the lanes of a replica apart",
     [](EpochMessage& m) {
       m.roster[2].replica = m.roster[0].replica;
       m.roster[2].lane = 1;
     }},
    {"a replica without its first lane", [](EpochMessage& m) { m.roster[2].lane = 1; }},
    {"no base", [](EpochMessage& m) { m.bases.clear(); }},
    {"bases out of order", [](EpochMessage& m) { std::swap(m.bases[0], m.bases[1]); }},
    {"a base without a member that it had", [](EpochMessage& m) { m.bases[1].members.pop_back(); }},
    {"a base with a member twice", [](EpochMessage& m) { m.bases[1].members.push_back(m.bases[1].members[0]); }},
    {"a base that has a member in another lane", [](EpochMessage& m) { m.bases[0].members[0].lane = 7; }},
    {"a site that no member names", [](EpochMessage& m) { m.bases[1].members[1].site = 7; }},
    {"a site named by a member that is at another", [](EpochMessage& m) { m.bases[1].members[2].site = 1; }},
    {"a member newer than every base", [](EpochMessage& m) { m.bases.pop_back(); }},
    {"a join of a generation without a base", [](EpochMessage& m) { m.joins.push_back({7, 9, {}}); }},
    {"a join before an earlier one", [](EpochMessage& m) { m.joins.insert(m.joins.begin(), {1, 9, {}}); }},
    {"a decision that is not final", [](EpochMessage& m) { m.decisions.push_back({{}, wire::Verdict::resume, ""}); }},
    {"two decisions about one op",
     [](EpochMessage& m) {
       m.decisions.push_back({{}, wire::Verdict::abort, ""});
       m.decisions.push_back({{}, wire::Verdict::commit, ""});
     }},
};

TEST_CASE("an epoch that contradicts itself is found out") {
  REQUIRE(why_incoherent(coherent()).empty());
  REQUIRE(why_incoherent(EpochMessage{}).empty());  // before the first: there is nothing yet
  for (const Lie& lie : kLies) {
    CAPTURE(lie.what);
    EpochMessage message = coherent();
    lie.tell(message);
    CHECK_FALSE(why_incoherent(message).empty());
  }
}

TEST_CASE("peer: an EPOCH that contradicts itself closes the line to the master") {
  for (const Lie& lie : kLies) {
    CAPTURE(lie.what);
    peer_tests::Script script;
    script.connected_and_joining();
    EpochMessage message = coherent();
    lie.tell(message);
    script.hears(message);
    CHECK(script.saw<CloseMaster>());
    CHECK(script.peer.stage() == PeerStage::joining);
  }
}

TEST_CASE("peer: an EPOCH that takes back what I know of the run closes the line to the master") {
  peer_tests::Script script;
  script.member_of(EpochScript(1, 1, {20, kMe}));
  REQUIRE(script.posts().error == collective::PostError::none);
  script.forget_effects();
  EpochMessage message;
  SUBCASE("a member that comes into a generation that had begun") {
    message = EpochScript(1, 2, {20, 30, kMe}).message;
  }
  SUBCASE("a member that was admitted later than it was") {
    message = EpochScript(1, 2, {kMe}).join(2, 5, {20}).message;
  }
  SUBCASE("no base for an op that is open") {
    message = EpochScript(1, 2, {20, kMe}).join(2, 0, {90}).message;
    message.bases.erase(message.bases.begin());
  }
  REQUIRE(why_incoherent(message).empty());
  script.hears(message);
  CHECK(script.saw<CloseMaster>());
  CHECK(script.peer.epoch() == Epoch{1, 1});
}

TEST_CASE("a master without a store adopts no epoch that contradicts itself") {
  for (const Lie& lie : kLies) {
    CAPTURE(lie.what);
    script::Script run(false);
    run.start();
    EpochMessage message = coherent();
    lie.tell(message);
    run.actor(kMe).taken = message;
    run.actor(kMe).uuid = Uuid{};
    run.hello(kMe);
    run.pass(5 * kSecond);  // longer than it waits for the others; the fixture checks the invariants
    CHECK(run.master->status(run.now).epoch.number == 0);
    CHECK(run.heard<wire::Refused>(kMe));
  }
}

TEST_CASE("a master with a store does not doubt it for an epoch that contradicts itself") {
  for (const Lie& lie : kLies) {
    CAPTURE(lie.what);
    script::Script run(true);
    run.start();
    run.arrive(script::a);
    REQUIRE(run.store.epoch.number == 1);
    EpochMessage message = coherent();
    message.term = message.epoch.term = run.store.term + 9;
    message.cut.term = message.epoch.term;
    REQUIRE(why_incoherent(message).empty());
    lie.tell(message);
    run.actor(kMe).taken = message;
    run.hello(kMe);
    CHECK(run.heard<wire::Refused>(kMe));
    CHECK_FALSE(run.stepped_down);
    CHECK(run.store.epoch.number == 1);
  }
}

}  // namespace
}  // namespace seaway::core
