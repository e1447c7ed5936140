// Starting with a store and without one, the fence, durable before visible for epochs.
#include "master_script.h"

namespace seaway::core::script {
namespace {

using wire::Verdict;

struct Formed : Script {
  explicit Formed(bool with_store = true, bool majority = false) : Script(with_store, 3, majority) {
    start();
    arrive({a, b, c});
    REQUIRE(roster() == std::set<PeerId>{a, b, c});
    forget();
  }
};

// --- Start-up -------------------------------------------------------------------------------------------------------

TEST_CASE("epoch 1 forms when as many replicas are there as the largest min_world among them") {
  Script run(true, 3);
  run.start();
  const std::uint64_t term = run.store.term;
  CHECK((term >> 32) == 1);  // drawn: a run that begins anew must not look like the one before it
  run.arrive({a, b});
  CHECK(run.store.epoch.number == 0);
  CHECK(run.last<wire::Waiting>(a).reason.find("epoch 1 needs 3 replicas, 2 are here") == 0);
  run.arrive(c);
  const auto epoch = run.last<wire::EpochMessage>(a);
  CHECK(epoch.epoch == Epoch{term, 1});
  CHECK(epoch.cut == Cut{0, 0});
  CHECK(epoch.roster.size() == 3);
  CHECK(epoch.roster[0].id == a);
  CHECK(epoch.roster[0].generation == 1);
  REQUIRE(epoch.joins.size() == 1);
  CHECK(epoch.joins[0] == wire::JoinRecord{1, 0, {a, b, c}});
  REQUIRE(epoch.bases.size() == 1);
  CHECK(epoch.bases[0].members.size() == 3);
  CHECK(run.store.resolved);
}

TEST_CASE("M2: an epoch is durable before anybody hears of it") {
  Script run(true, 2);
  run.start();
  run.arrive(a);
  run.hold_store = true;
  run.arrive(b);
  REQUIRE(run.writes.size() == 1);
  CHECK_FALSE(run.heard<wire::EpochMessage>(a));
  run.release();
  CHECK(run.heard<wire::EpochMessage>(a));
  CHECK(run.heard<wire::EpochMessage>(b));
}

TEST_CASE("nothing is said before the term is the store's") {
  Script run(true, 1);
  run.hold_store = true;
  run.start();
  run.arrive(a);
  CHECK(run.actors.at(a).heard.empty());
  run.release_all();
  CHECK(run.heard<wire::EpochMessage>(a));
}

TEST_CASE("inputs while a write is outstanding change facts; the next write takes them all") {
  Formed run;
  run.hold_store = true;
  run.lose(c);
  REQUIRE(run.writes.size() == 1);
  const std::size_t before = run.written;
  run.lose(b);
  CHECK_FALSE(run.heard<wire::EpochMessage>(a));
  run.release();
  CHECK(run.written == before + 1);
  REQUIRE(run.writes.size() == 1);
  CHECK(run.writes.front().record.roster.size() == 1);
  run.release_all();
  CHECK(run.last<wire::EpochMessage>(a).roster.size() == 1);
  CHECK(run.store.resolved);
}

// --- A restart with a store -----------------------------------------------------------------------------------------

TEST_CASE("a new master announces the stored epoch under its own term and repeats the decisions (rule 4)") {
  Formed run;
  run.reports[a] = {running()};
  run.reports[b] = {aborted()};
  run.reports[a].push_back(running({0, 1, 8, 0}));
  run.lose(c);
  REQUIRE(run.verdict_at(a) == Verdict::abort);
  const Epoch epoch = run.store.epoch;
  const std::uint64_t first_term = run.store.term;
  run.forget();
  run.restart_master();
  const std::uint64_t next_term = run.store.term;
  CHECK(next_term > first_term);
  run.hello(a);
  CHECK(run.last<wire::EpochMessage>(a).term == next_term);
  CHECK(run.last<wire::EpochMessage>(a).epoch == epoch);
  CHECK(run.last<wire::EpochMessage>(a).decisions.size() == 1);
  CHECK(run.verdict_at(a) == Verdict::abort);
  CHECK(run.verdict_at(a, {0, 1, 8, 0}) == Verdict::resume);  // not asked again: the stored one
  CHECK(run.last<wire::Resolve>(a).term == next_term);
}

TEST_CASE("a new master asks for reports of a cut that its predecessor did not resolve") {
  Formed run;
  run.mute = {b};
  run.reports[a] = {holds()};
  run.reports[b] = {holds()};
  run.lose(c);
  REQUIRE_FALSE(run.store.resolved);
  run.restart_master();
  run.mute = {};
  run.forget();
  run.hello(a);
  CHECK_FALSE(run.heard<wire::Resolve>(a));
  run.hello(b);
  CHECK(run.verdict_at(a) == Verdict::commit);
}

TEST_CASE("a new master waits for members, and evicts who stays away for evict after it first heard somebody") {
  Formed run;
  run.restart_master();
  run.forget();
  for (auto& [id, actor] : run.actors) {
    actor.alive = false;
  }
  run.pass(30 * kSecond);  // the network came up later than the master
  CHECK(run.roster().size() == 3);
  run.actors.at(a).alive = run.actors.at(b).alive = true;
  run.hello(a);
  run.hello(b);
  run.pass(run.config.ladder.evict - kSecond);
  CHECK(run.roster().size() == 3);
  run.pass(kSecond);
  CHECK(run.roster() == std::set<PeerId>{a, b});
}

TEST_CASE("two masters that start from one record do not write the same one") {
  Formed run;
  std::vector<StoredRun> wrote;
  for (std::uint64_t seed : {1, 2}) {
    Master master(run.config, Random(seed));
    MasterEffects effects;
    master.start(run.now, run.store, effects);
    for (const MasterEffect& effect : effects) {
      if (const auto* write = std::get_if<WriteStore>(&effect)) {
        wrote.push_back(write->record);
      }
    }
  }
  REQUIRE(wrote.size() == 2);
  CHECK(wrote[0].version == wrote[1].version);
  CHECK(wrote[0].author != wrote[1].author);
}

TEST_CASE("M7: a deposed master says nothing any more") {
  Formed run;
  run.hold_store = true;
  run.lose(c);
  run.store.term += 9;  // another master has written
  run.forget();
  run.release();
  REQUIRE(run.stepped_down);
  CHECK_FALSE(run.heard<wire::EpochMessage>(a));
  run.say(a, wire::Heartbeat{});
  run.arrive(d);
  run.pass(10 * kSecond);
  CHECK(run.actors.at(d).heard.empty());
  CHECK_FALSE(run.heard<wire::HeartbeatReply>(a));
  CHECK(run.master->deadline() == kNever);
}

TEST_CASE("peers that know more than the record: another master has written since, or the record is an older copy") {
  enum class Knows { higher_term, later_epoch, later_epoch_as_a_stranger };
  for (const Knows knows : {Knows::higher_term, Knows::later_epoch, Knows::later_epoch_as_a_stranger}) {
    for (const bool is_older_copy : {true, false}) {
      CAPTURE(static_cast<int>(knows));
      CAPTURE(is_older_copy);
      Formed run;
      const PeerId peer = knows == Knows::later_epoch_as_a_stranger ? d : a;
      wire::EpochMessage taken = *run.actors.at(a).taken;
      if (knows == Knows::higher_term) {
        taken.term += 9;
      } else {
        taken.epoch.number += 3;
      }
      run.actor(peer).taken = taken;
      if (!is_older_copy) {
        run.store.term += 9;
        run.deposed = true;
      }
      if (knows == Knows::later_epoch_as_a_stranger) {  // it is believed when no member has been heard for so long
        for (const PeerId member : {a, b, c}) {
          run.actors.at(member).alive = false;
        }
        run.pass(run.config.ladder.evict);
      }
      run.disconnect(a);
      run.forget();
      run.hello(peer);
      REQUIRE(run.stepped_down);
      CHECK_FALSE(run.heard<wire::EpochMessage>(peer));
      CHECK_FALSE(run.heard<wire::Evicted>(peer));
      CHECK((run.store.epoch.number == 0) == is_older_copy);
      CHECK((run.stepped_down->find("start again") != std::string::npos) == is_older_copy);
    }
  }
}

// Else both could raise an epoch of one number, and it would have two rosters.
TEST_CASE("masters of one record have different terms, the second of an older copy too") {
  Formed run;
  const StoredRun older = run.store;
  run.restart_master();
  const std::uint64_t first = run.store.term;
  run.store = older;
  run.restart_master(1);
  CHECK(run.store.term != first);
  CHECK(run.store.term > older.term);
}

TEST_CASE("after an older copy was emptied the run is taken over from its peers") {
  Formed run;
  const StoredRun older = run.store;
  run.arrive(d);
  REQUIRE(run.roster().contains(d));
  run.store = older;
  run.restart_master();
  run.hello(d);  // of whom the record knows nothing: it may lie
  CHECK_FALSE(run.stepped_down);
  CHECK_FALSE(run.heard<wire::Evicted>(d));
  CHECK(run.actors.at(d).closed.find("a member has to say so") != std::string::npos);
  run.hello(a);
  REQUIRE(run.stepped_down);
  run.restart_master();
  for (const PeerId id : {a, b, c, d}) {
    run.hello(id);
  }
  CHECK_FALSE(run.stepped_down);
  CHECK(run.roster() == std::set<PeerId>{a, b, c, d});
}

// Found by the simulator: the peers knew that what it said could not be, and came back with the same HELLO for ever.
TEST_CASE("an older copy is seen for one also when an epoch has been raised on it before any member was heard") {
  Formed run;
  const StoredRun older = run.store;
  run.arrive(d);
  run.arrive(e);
  run.store = older;
  run.restart_master();
  run.actors.at(c).alive = false;
  run.actor(0xf).uuid = run.actors.at(c).uuid;
  run.actor(0xf).replica = run.actors.at(c).replica;
  run.arrive(0xf);  // c has died and is back
  REQUIRE(run.store.epoch > run.actors.at(a).taken->epoch);
  run.forget();
  run.hello(a);
  CHECK(run.stepped_down);
  CHECK(run.store.epoch.number == 0);
  CHECK_FALSE(run.heard<wire::EpochMessage>(a));
}

// --- A restart without a store --------------------------------------------------------------------------------------

TEST_CASE("without a store the run is adopted once every member has come back: a new term, a cut, nothing resolved") {
  Formed run(false);
  run.reports[a] = {holds()};
  run.reports[b] = {holds()};
  run.reports[c] = {holds()};
  const Epoch before = run.actors.at(a).taken->epoch;
  const std::uint64_t term = run.actors.at(a).taken->term;
  run.restart_master();
  run.forget();
  run.hello(a);
  run.hello(b);
  CHECK_FALSE(run.heard<wire::EpochMessage>(a));
  CHECK(run.master->status(run.now).stage.find("waits for c") != std::string::npos);
  run.hello(c);
  const auto epoch = run.last<wire::EpochMessage>(a);
  CHECK((epoch.term >> 32) == (term >> 32) + 1);
  CHECK(epoch.epoch == Epoch{epoch.term, before.number + 1});
  CHECK(epoch.cut == epoch.epoch);
  CHECK(epoch.roster.size() == 3);
  CHECK(epoch.bases.size() == 1);
  CHECK(run.verdict_at(a) == Verdict::commit);
}

TEST_CASE("without a store: who outlives evict is not waited for, and is told EVICTED when it comes") {
  Formed run(false);
  run.restart_master();
  run.actors.at(c).alive = false;
  run.hello(a);
  run.hello(b);
  run.pass(run.config.ladder.evict);
  CHECK(run.roster() == std::set<PeerId>{a, b});
  run.forget();
  run.hello(c);
  CHECK(run.heard<wire::Evicted>(c));
  CHECK_FALSE(run.actors.at(c).conn);
  CHECK_FALSE(run.heard<wire::EpochMessage>(c));
}

TEST_CASE("without a store: the highest epoch counts, and who is in its roster though it had not taken it") {
  Formed run(false);
  const wire::EpochMessage old = *run.actors.at(b).taken;
  run.lose(c);
  run.actors.at(b).taken = old;  // it never took the cut
  run.restart_master();
  run.actors.at(c).taken = old;  // evicted live
  run.forget();
  run.hello(c);
  run.hello(b);
  CHECK_FALSE(run.heard<wire::EpochMessage>(b));
  run.hello(a);
  CHECK(run.roster() == std::set<PeerId>{a, b});
  CHECK(run.heard<wire::Evicted>(c));
  CHECK(run.last<wire::EpochMessage>(b).epoch.number == 3);
}

TEST_CASE("without a store: the union of the final decisions heard is carried") {
  Formed run(false);
  run.restart_master();
  run.forget();
  const OpKey other{0, 1, 9, 0};
  run.actors.at(a).taken->decisions = {{k, Verdict::commit, "x"}};
  run.hello(a);
  run.connect(b);
  wire::Hello hello = run.hello_of(b);
  hello.learned = {{other, Verdict::abort, "y"}, {k, Verdict::commit, "x"}, {{0, 1, 9, 1}, Verdict::resume, ""}};
  run.say(b, hello);
  run.hello(c);
  CHECK(run.last<wire::EpochMessage>(c).decisions.size() == 2);
}

TEST_CASE("without a store: who was admitted and never heard so comes back without naming an epoch, and is a member") {
  Formed run(false);
  run.actors.at(c).taken.reset();
  run.restart_master();
  run.forget();
  run.hello(a);
  run.hello(b);
  run.arrive(c);
  CHECK(run.roster() == std::set<PeerId>{a, b, c});
  CHECK(run.last<wire::EpochMessage>(c).roster[2].generation == 1);
}

TEST_CASE("a whole replica comes back or none of it") {
  Script run(false, 2);
  run.start();
  for (const PeerId id : {a, b}) {
    for (const std::uint16_t lane : {std::uint16_t{0}, std::uint16_t{1}}) {
      Actor& actor = run.actor(id + 16 * lane);
      actor.replica = static_cast<std::uint32_t>(id);
      actor.lane = lane;
      actor.lanes = 2;
    }
  }
  run.arrive({a, a + 16, b, b + 16});
  REQUIRE(run.roster().size() == 4);
  run.restart_master();
  run.actors.at(b).alive = false;
  run.hello(a);
  run.hello(a + 16);
  run.hello(b + 16);
  run.forget();
  run.pass(run.config.ladder.evict);
  CHECK(run.roster() == std::set<PeerId>{a, a + 16});
  CHECK(run.heard<wire::Evicted>(b + 16));
}

TEST_CASE("newcomers wait while HELLOs are collected, and a run of which nobody speaks is a new one") {
  Formed run(false);
  SUBCASE("collecting") {
    run.restart_master();
    run.hello(a);
    run.arrive(d);
    CHECK(run.last<wire::Waiting>(d).reason.find("restarted") != std::string::npos);
    CHECK_FALSE(run.heard<wire::EpochMessage>(d));
    run.hello(b);
    run.hello(c);
    CHECK(run.roster() == std::set<PeerId>{a, b, c, d});
  }
  SUBCASE("new run") {
    run.min_world = 1;
    run.restart_master();
    run.arrive(d);
    CHECK(run.roster() == std::set<PeerId>{d});
    CHECK((run.actors.at(d).taken->term >> 32) == 1);
    run.hello(a);
    CHECK(run.heard<wire::Evicted>(a));
  }
}

TEST_CASE("without a store a member that obeys a newer term ends the older master") {
  Formed run(false);
  run.actors.at(a).taken->term += 1ull << 32;
  run.disconnect(a);
  run.hello(a);
  CHECK(run.stepped_down);
}

TEST_CASE("the majority rule") {
  Formed run(false, true);
  SUBCASE("a restarted master does not start with half or less") {
    run.restart_master();
    run.actors.at(a).alive = run.actors.at(b).alive = false;
    run.hello(c);
    run.pass(10 * run.config.ladder.evict);
    CHECK(run.roster().empty());
    run.hello(b);
    CHECK(run.roster() == std::set<PeerId>{b, c});
  }
  SUBCASE("no cut leaves half or less of the last confirmed roster, unless with the oldest") {
    run.lose(b);
    CHECK(run.roster() == std::set<PeerId>{a, c});
    SUBCASE("the oldest goes on alone") {
      run.lose(c);
      CHECK(run.roster() == std::set<PeerId>{a});
    }
    SUBCASE("the younger does not") {
      run.lose(a);
      run.pass(10 * kSecond);
      CHECK(run.roster() == std::set<PeerId>{a, c});
      CHECK(run.master->status(run.now).stage.find("majority") != std::string::npos);
      run.actors.at(a).alive = true;
      run.hello(a);
      CHECK(run.master->status(run.now).stage == "running");
    }
  }
}

}  // namespace
}  // namespace seaway::core::script
