// The decision table row by row, rounds, and durable before visible for decisions.
#include "master_script.h"

namespace seaway::core::script {
namespace {

using wire::OpStatus;
using wire::Verdict;

// Epoch 1 of a, b, c; the reports given; then c is lost.
struct AfterLoss : Script {
  AfterLoss(std::vector<wire::OpReport> of_a, std::vector<wire::OpReport> of_b) : Script(true, 3) {
    start();
    arrive({a, b, c});
    for (const PeerId id : {a, b, c}) {
      REQUIRE(actors.at(id).taken);
    }
    reports[a] = std::move(of_a);
    reports[b] = std::move(of_b);
    forget();
    lose(c);
    REQUIRE(roster() == std::set<PeerId>{a, b});
  }
};

wire::OpReport with(wire::OpReport report, bool fail_on_loss, bool gone, bool essential = false) {
  report.fail_on_loss = fail_on_loss;
  report.roster_gone = gone;
  report.essential_lost = essential;
  return report;
}

TEST_CASE("row 1: a final decision is made again, whatever is reported later") {
  AfterLoss run({aborted()}, {running()});
  REQUIRE(run.verdict_at(a) == Verdict::abort);
  run.arrive(d);
  run.reports[a] = {holds()};
  run.reports[b] = {holds()};
  run.forget();
  run.lose(d);
  CHECK(run.verdict_at(a) == Verdict::abort);
  CHECK(run.decision_at(a)->reason == "a (replica 10) had refused it");
  CHECK(run.store.decisions.size() == 1);
}

TEST_CASE("row 2: what nobody has open is not decided") {
  SUBCASE("absent at all") {
    AfterLoss run({}, {});
    CHECK(run.last<wire::Resolve>(a).decisions.empty());
  }
  SUBCASE("committed where it is known") {
    AfterLoss run({committed()}, {});
    CHECK(run.last<wire::Resolve>(a).decisions.empty());
  }
  SUBCASE("posted after the cut") {
    AfterLoss run({current()}, {current()});
    CHECK(run.last<wire::Resolve>(a).decisions.empty());
  }
}

TEST_CASE("row 3: committed somewhere is committed everywhere, also with on_loss=fail") {
  AfterLoss run({committed()}, {with(holds(), true, true)});
  CHECK(run.verdict_at(a) == Verdict::commit);
  CHECK(run.verdict_at(b) == Verdict::commit);
  CHECK(run.decision_at(b)->reason == "a (replica 10) has committed it");
}

TEST_CASE("row 4: refused somewhere is aborted (G3)") {
  AfterLoss run({aborted()}, {running()});
  CHECK(run.verdict_at(a) == Verdict::abort);
  CHECK(run.verdict_at(b) == Verdict::abort);
  CHECK(run.store.decisions.size() == 1);
}

TEST_CASE("row 5: everybody holds one value") {
  const Value value = value_of({}, 5, 6);
  SUBCASE("commit, also with on_loss=fail") {
    AfterLoss run({with(holds(value), true, true)}, {with(holds(value), true, true)});
    CHECK(run.verdict_at(a) == Verdict::commit);
    CHECK(run.verdict_at(b) == Verdict::commit);
  }
  SUBCASE("one only holds: resume (M15)") {
    AfterLoss run({holds(value)}, {running()});
    CHECK(run.verdict_at(a) == Verdict::resume);
    CHECK(run.decision_at(a)->reason.find("b (replica 11) has no result yet") == 0);
  }
  SUBCASE("absent does not hold") {
    AfterLoss run({holds(value)}, {});
    CHECK(run.verdict_at(a) == Verdict::resume);
  }
  SUBCASE("equal bits, other contributors: not one value (G7)") {
    AfterLoss run({holds(value_of({}, 5, 6))}, {holds(value_of({}, 4, 6))});
    CHECK(run.verdict_at(a) == Verdict::resume);
  }
  SUBCASE("equal bits and contributors, another attempt: not one value (G7)") {
    AfterLoss run({holds(value_of({}, 5, 6))}, {holds(value_of({1, 2}, 5, 6))});
    CHECK(run.verdict_at(a) == Verdict::resume);
  }
}

TEST_CASE("row 6: what ends an op that not everybody holds") {
  SUBCASE("on_loss=fail and a member is gone") {
    AfterLoss run({with(running(), true, true)}, {holds()});
    CHECK(run.verdict_at(b) == Verdict::abort);
  }
  SUBCASE("on_loss=fail, nobody of its roster gone (LEFT, or a round)") {
    AfterLoss run({with(running(), true, false)}, {holds()});
    CHECK(run.verdict_at(b) == Verdict::resume);
  }
  SUBCASE("an essential member is lost (G5)") {
    AfterLoss run({running()}, {with(holds(), false, true, true)});
    CHECK(run.verdict_at(b) == Verdict::abort);
  }
  SUBCASE("values differed a second time") {
    wire::OpReport report = holds(value_of({}, 1, 2));
    report.mismatches = 2;
    AfterLoss run({report}, {holds(value_of({}, 1, 3))});
    CHECK(run.verdict_at(a) == Verdict::abort);
  }
  SUBCASE("values differed once") {
    wire::OpReport report = holds(value_of({}, 1, 2));
    report.mismatches = 1;
    AfterLoss run({report}, {holds(value_of({}, 1, 3))});
    CHECK(run.verdict_at(a) == Verdict::resume);
    CHECK(run.store.decisions.empty());
  }
}

TEST_CASE("row 7: otherwise it goes on over the survivors, and RESUME is not final") {
  AfterLoss run({running()}, {running()});
  CHECK(run.verdict_at(a) == Verdict::resume);
  CHECK(run.store.decisions.empty());
  CHECK(run.store.resolutions.size() == 1);
}

TEST_CASE("G11: who joined after an op began has no vote in it") {
  Script run;
  run.start();
  run.arrive({a, b});
  run.arrive(c);  // generation 2 or later
  const OpKey key{0, run.actors.at(b).taken->roster[1].generation, 7, 0};
  REQUIRE(key.generation < run.actors.at(c).taken->roster[2].generation);
  run.reports[a] = {holds(value_of({}), key)};
  run.reports[b] = {holds(value_of({}), key)};
  run.arrive(d);
  run.forget();
  run.lose(d);  // c reports nothing
  CHECK(run.verdict_at(a, key) == Verdict::commit);
}

TEST_CASE("M12: nothing is decided before everybody has reported") {
  Script run(true, 3);
  run.start();
  run.arrive({a, b, c});
  run.reports[a] = {holds()};
  run.reports[b] = {running()};
  run.mute = {b};
  run.forget();
  run.lose(c);
  CHECK_FALSE(run.heard<wire::Resolve>(a));
  CHECK(run.master->status(run.now).stage.find("waiting for the reports of b") != std::string::npos);
  run.report(b);
  CHECK(run.verdict_at(a) == Verdict::resume);
}

TEST_CASE("a report of another epoch, another term or a pending peer counts nothing") {
  Script run(true, 3);
  run.start();
  run.arrive({a, b, c});
  const Epoch before = run.store.epoch;
  run.mute = {a, b};
  run.forget();
  run.lose(c);
  run.report(a);
  run.say(b, wire::Report{run.store.term, before, {}});
  run.say(b, wire::Report{run.store.term + 1, run.store.epoch, {}});
  CHECK_FALSE(run.store.resolved);
  run.report(b);
  CHECK(run.store.resolved);
}

TEST_CASE("a loss while a cut is unresolved swallows it, and its reports") {
  Script run(true, 4);
  run.start();
  run.arrive({a, b, c, d});
  run.reports[a] = {holds()};
  run.reports[b] = {holds()};
  run.mute = {b};
  run.forget();
  run.lose(d);
  run.reports[a] = {running()};
  run.lose(c);
  CHECK_FALSE(run.heard<wire::Resolve>(a));
  CHECK(run.all<wire::EpochMessage>(a).size() == 2);
  run.report(b);
  CHECK(run.verdict_at(a) == Verdict::resume);
}

TEST_CASE("M1: a decision is durable before anybody hears of it") {
  Script run(true, 3);
  run.start();
  run.arrive({a, b, c});
  run.reports[a] = {aborted()};
  run.mute = {b};
  run.forget();
  run.lose(c);
  run.hold_store = true;
  run.report(b);
  REQUIRE(run.writes.size() == 1);
  CHECK(run.writes.front().record.resolved);
  CHECK_FALSE(run.heard<wire::Resolve>(a));
  run.release();
  CHECK(run.verdict_at(a) == Verdict::abort);
  CHECK(run.verdict_at(b) == Verdict::abort);
}

TEST_CASE("a decision that became durable but was swallowed is carried by the next EPOCH (G1)") {
  Script run(true, 4);
  run.start();
  run.arrive({a, b, c, d});
  run.reports[a] = {aborted()};
  run.mute = {b};
  run.lose(d);
  run.hold_store = true;
  run.report(b);
  run.forget();
  run.lose(c);  // meanwhile
  run.mute = {};
  run.reports[a] = {};
  run.release_all();
  const auto epoch = run.last<wire::EpochMessage>(b);
  REQUIRE(epoch.decisions.size() == 1);
  CHECK(epoch.decisions[0].verdict == Verdict::abort);
  CHECK(epoch.roster.size() == 2);
}

TEST_CASE("final decisions stay in EPOCH until every roster member of the op has finished it") {
  AfterLoss run({aborted()}, {running()});
  run.reports.clear();
  run.arrive(d);
  CHECK(run.last<wire::EpochMessage>(d).decisions.size() == 1);
  run.actors.at(a).finished = {k};
  run.heartbeat(a);
  run.arrive(e);
  CHECK(run.last<wire::EpochMessage>(e).decisions.size() == 1);
  run.actors.at(b).finished = {k};
  run.heartbeat(b);
  run.lose(e);
  CHECK(run.last<wire::EpochMessage>(a).decisions.empty());
  CHECK(run.store.decisions.empty());
}

TEST_CASE("each lane hears the decisions of its own ops only") {
  Script run(true, 3);
  run.start();
  run.have_two_lanes({a, b, c});
  run.arrive({a, a + 16, b, b + 16, c, c + 16});
  REQUIRE(run.roster().size() == 6);
  const OpKey lane1{1, 1, 7, 0};
  run.reports[a] = {running()};
  run.reports[a + 16] = {running(lane1), running(k)};  // the second is not its own: ignored
  run.forget();
  run.lose(c);
  CHECK(run.roster() == std::set<PeerId>{a, a + 16, b, b + 16});
  CHECK(run.verdict_at(b) == Verdict::resume);
  CHECK_FALSE(run.verdict_at(b, lane1));
  CHECK(run.verdict_at(b + 16, lane1) == Verdict::resume);
  CHECK_FALSE(run.verdict_at(b + 16, k));
  CHECK(run.logged("has no part in"));
}

// Replicas a, b and c of two lanes; c is lost. What the others say of a transaction is decided once.
struct TransactionOfLanes : Script {
  TransactionOfLanes() : Script(true, 3) {
    start();
    have_two_lanes({a, b, c});
    arrive({a, a + 16, b, b + 16, c, c + 16});
    REQUIRE(roster().size() == 6);
  }
  // What lane 0 says, and lane 1, at a and b.
  std::optional<Verdict> decided(const wire::OpReport& lane0, const wire::OpReport& lane1) {
    reports[a] = reports[b] = {lane0};
    reports[a + 16] = reports[b + 16] = {lane1};
    forget();
    lose(c);
    const auto verdict = verdict_at(a, transaction);
    for (const PeerId id : {b, a + 16, b + 16}) {
      CHECK(verdict_at(id, transaction) == verdict);
    }
    return verdict;
  }
  static constexpr OpKey transaction{
      .lane = kEveryLane, .generation = 1, .tag = kTransactionTag, .seq = 0, .source = kNoPeer, .target = kNoPeer};
};

TEST_CASE(
    "a transaction is decided once for all lanes: attempt and contributors are one value, bits are each lane's own") {
  TransactionOfLanes run;
  const auto holding = [](Cut attempt, std::uint64_t contributors, std::uint64_t bits) {
    return op(OpStatus::holds, TransactionOfLanes::transaction, value_of(attempt, contributors, bits));
  };
  const wire::OpReport held = holding({}, 1, 10);
  SUBCASE("all hold") { CHECK(run.decided(held, holding({}, 1, 20)) == Verdict::commit); }
  SUBCASE("one lane does not (G14)") {
    CHECK(run.decided(held, op(OpStatus::running, TransactionOfLanes::transaction)) == Verdict::resume);
  }
  SUBCASE("of another attempt (G18)") { CHECK(run.decided(held, holding({1, 1}, 1, 20)) == Verdict::resume); }
  SUBCASE("over other contributors") { CHECK(run.decided(held, holding({}, 2, 20)) == Verdict::resume); }
  SUBCASE("a lane has committed") {
    CHECK(run.decided(op(OpStatus::committed, TransactionOfLanes::transaction, value_of({}, 1, 10)),
                      holding({}, 1, 20)) == Verdict::commit);
  }
}

TEST_CASE("a member that was evicted live does not stand in the way of a commit") {
  Script run(true, 3);
  run.start();
  run.arrive({a, b, c});
  run.reports[a] = {holds()};
  run.reports[b] = {committed()};
  run.step(EvictRequest{c, "maintenance"});
  CHECK(run.heard<wire::Evicted>(c));
  CHECK(run.verdict_at(a) == Verdict::commit);
}

TEST_CASE("reports that contradict each other are logged and decided by the table; the master does not fall") {
  AfterLoss run({committed(value_of({}, 1, 2)), running({0, 1, 7, 1})},
                {holds(value_of({}, 1, 3)), committed(value_of({}), {0, 1, 7, 1})});
  CHECK(run.verdict_at(a) == Verdict::commit);
  CHECK(run.verdict_at(a, {0, 1, 7, 1}) == Verdict::commit);
  CHECK(run.logged("has another value"));
  CHECK(run.logged("has no result"));
}

// --- Rounds ---------------------------------------------------------------------------------------------------------

struct Formed : Script {
  Formed() : Script(true, 2) {
    start();
    arrive({a, b});
    REQUIRE(roster() == std::set<PeerId>{a, b});
    forget();
  }
};

TEST_CASE("MISMATCH opens one round over the same roster") {
  Formed run;
  const Epoch before = run.store.epoch;
  run.reports[a] = {holds(value_of({}, 1, 2))};
  run.reports[b] = {holds(value_of({}, 1, 3))};
  run.say(a, wire::Mismatch{k});
  CHECK(run.store.epoch.number == before.number + 1);
  CHECK(run.store.cut == run.store.epoch);
  CHECK(run.roster() == std::set<PeerId>{a, b});
  CHECK(run.verdict_at(a) == Verdict::resume);
  CHECK(run.decision_at(a)->reason.find("differ") != std::string::npos);
  run.pass(2 * kSecond);
  CHECK(run.store.epoch.number == before.number + 1);
}

TEST_CASE("CANCEL_OP aborts an op that not everybody holds, and only that op") {
  Formed run;
  const OpKey other{0, 1, 7, 1};
  run.reports[a] = {running(), running(other)};
  run.reports[b] = {holds(), running(other)};
  run.say(b, wire::CancelOp{k, "the caller gave up"});
  CHECK(run.verdict_at(a) == Verdict::abort);
  CHECK(run.decision_at(a)->reason == "cancelled by b (replica 11): the caller gave up");
  CHECK(run.verdict_at(a, other) == Verdict::resume);
}

TEST_CASE("CANCEL_OP commits an op that everybody holds") {
  Formed run;
  run.reports[a] = {holds()};
  run.reports[b] = {holds()};
  run.say(b, wire::CancelOp{k, ""});
  CHECK(run.verdict_at(a) == Verdict::commit);
}

TEST_CASE("the next decision uses a request up; repeated, it opens another round") {
  Formed run;
  run.reports[a] = {current()};  // posted after the EPOCH: not open at this cut
  run.say(a, wire::CancelOp{k, ""});
  const Epoch first = run.store.epoch;
  CHECK_FALSE(run.verdict_at(a));
  run.reports[a] = {running()};
  run.say(a, wire::CancelOp{k, ""});
  CHECK(run.store.epoch.number == first.number + 1);
  CHECK(run.verdict_at(a) == Verdict::abort);
}

TEST_CASE("a request while a cut is unresolved joins that cut") {
  Formed run;
  run.arrive({c, d});
  run.reports[a] = {running()};
  run.mute = {b};
  run.lose(d);
  const Epoch cut = run.store.epoch;
  run.say(c, wire::CancelOp{k, "no"});  // c has no part in k: generation 1
  run.say(a, wire::CancelOp{k, "enough"});
  run.report(b);
  CHECK(run.verdict_at(a) == Verdict::abort);
  CHECK(run.store.epoch == cut);
}

TEST_CASE("a request for an op with a final decision opens nothing") {
  Formed run;
  run.reports[a] = {running()};
  run.say(a, wire::CancelOp{k, ""});
  const Epoch epoch = run.store.epoch;
  run.say(b, wire::CancelOp{k, ""});
  run.say(b, wire::Mismatch{k});
  CHECK(run.store.epoch == epoch);
}

TEST_CASE("a request goes with the member that made it") {
  Formed run;
  run.arrive({c, d});
  run.reports[a] = {running()};
  run.reports[b] = {running()};
  run.mute = {b};
  run.lose(d);
  run.say(b, wire::CancelOp{k, ""});
  run.lose(b);
  CHECK(run.verdict_at(a) == Verdict::resume);
  CHECK(run.store.resolved);
}

}  // namespace
}  // namespace seaway::core::script
