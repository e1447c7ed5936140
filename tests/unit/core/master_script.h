// A master, a store, and peers that answer like healthy ones unless a test says otherwise. A test reads as a script:
//
//   Script run;
//   run.start();
//   run.arrive({a, b, c});                 // epoch 1
//   run.reports[a] = {holds(k, value)};
//   run.lose(c);
//   CHECK(run.verdict_at(a, k) == Verdict::resume);
//
// Whatever the test is about, each step checks the master's invariants, that every EPOCH and RESOLVE said is what the
// store has at that moment, and that nothing of a term is said to a member before its EPOCH.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/master.h"

namespace seaway::core::script {

inline constexpr PeerId a = 0xa, b = 0xb, c = 0xc, d = 0xd, e = 0xe;
inline constexpr OpKey k{.lane = 0, .generation = 1, .tag = 7, .seq = 0};

inline Value value_of(Cut attempt, std::uint64_t contributors = 1, std::uint64_t bits = 2) {
  return Value{attempt, contributors, bits};
}
inline wire::OpReport op(wire::OpStatus status, const OpKey& key = k, const Value& value = {}) {
  wire::OpReport report;
  report.op = key;
  report.status = status;
  report.value = value;
  return report;
}
inline wire::OpReport running(const OpKey& key = k) { return op(wire::OpStatus::running, key); }
inline wire::OpReport holds(const Value& value = value_of({}), const OpKey& key = k) {
  return op(wire::OpStatus::holds, key, value);
}
inline wire::OpReport committed(const Value& value = value_of({}), const OpKey& key = k) {
  return op(wire::OpStatus::committed, key, value);
}
inline wire::OpReport aborted(const OpKey& key = k) { return op(wire::OpStatus::aborted, key); }
inline wire::OpReport current(const OpKey& key = k) { return op(wire::OpStatus::current, key); }

struct Actor {
  PeerId id = kNoPeer;
  Uuid uuid;
  std::uint32_t replica = 0;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 1;
  std::uint32_t min_world = 1;
  std::optional<ConnId> conn;
  bool alive = true;  // sends heartbeats while time passes
  bool was_addressed = false;
  std::optional<Certified> certified;
  std::uint64_t update_count = 0;
  std::uint32_t oldest_generation = 0;
  std::uint32_t rate_mbps = 0;      // stated
  std::string site;                 // stated
  std::uint32_t measured_mbps = 0;  // in heartbeats
  std::vector<OpKey> finished;
  std::optional<wire::EpochMessage> taken;
  std::optional<wire::Promise> promise;
  std::set<PeerId> known;  // introduced
  std::set<PeerId> unreachable;
  std::vector<wire::MasterMessage> heard;
  std::string closed;  // why the master closed its connection
};

class Script {
 public:
  explicit Script(bool with_store = true, std::uint32_t founders = 1, bool majority = false) : min_world(founders) {
    config.run = Uuid{1, 2};
    config.has_store = with_store;
    config.majority = majority;
    master = std::make_unique<Master>(config, Random(42));
  }

  // --- Switches of the healthy peers -------------------------------------------------------------------------------
  MasterConfig config;
  std::uint32_t min_world;
  bool hold_store = false;  // writes wait for release()
  bool deposed = false;     // another master has written: this one may not know yet, and peers ignore it
  std::set<PeerId> mute;    // peers that do not answer EPOCH with REPORT
  std::set<PeerId> silent_on_ask;
  std::map<PeerId, std::vector<wire::OpReport>> reports;
  std::map<PeerId, Actor> actors;

  // --- The master --------------------------------------------------------------------------------------------------
  std::unique_ptr<Master> master;
  Time now = kSecond;
  StoredRun store;  // what survives the master
  std::deque<WriteStore> writes;
  std::optional<std::string> stepped_down;
  std::size_t written = 0;
  std::vector<std::string> logs;
  std::vector<DoorAnswer> answers;  // to whoever asked at the door

  void start() {
    drain([&](MasterEffects& effects) {
      master->start(now, config.has_store && store.version > 0 ? std::optional(store) : std::nullopt, effects);
    });
  }

  // The master dies with its memory; a new one starts with what the store has.
  void restart_master(std::uint64_t seed = 0) {
    for (auto& [id, actor] : actors) {
      actor.conn.reset();
      actor.known.clear();
    }
    writes.clear();
    inbox.clear();
    stepped_down.reset();
    if (!config.has_store) {
      store = StoredRun{};
    }
    master = std::make_unique<Master>(config, Random(store.version + 77 + 1000 * seed));
    start();
  }

  void step(const MasterInput& input) {
    drain([&](MasterEffects& effects) { master->step(now, input, effects); });
  }
  void release() {  // the oldest write's reply
    REQUIRE(!writes.empty());
    const WriteStore write = writes.front();
    writes.pop_front();
    reply(write);
  }
  void release_all() {
    hold_store = false;
    while (!writes.empty()) {
      release();
    }
  }

  // Time passes; those alive send heartbeats, the master is ticked when it asked to be.
  void pass(Duration duration) {
    const Time end = now + duration;
    while (now < end) {
      const Time due = master->deadline();
      REQUIRE(due > now);
      now = std::min({end, now + 250 * kMillisecond, due});
      drain([&](MasterEffects& effects) { master->tick(now, effects); });
      if (now - last_beat >= 500 * kMillisecond) {
        last_beat = now;
        heartbeats();
      }
    }
  }
  void heartbeats() {
    for (auto& [id, actor] : actors) {
      if (actor.alive && actor.conn) {
        heartbeat(id);
      }
    }
  }
  void heartbeat(PeerId id) {
    Actor& actor = actors.at(id);
    wire::Heartbeat beat;
    beat.stamp = static_cast<std::uint64_t>(now);
    beat.update_count = actor.update_count;
    beat.oldest_generation = actor.oldest_generation;
    beat.finished = actor.finished;
    beat.rate_mbps = actor.measured_mbps;
    say(id, beat);
  }

  // --- Peers -------------------------------------------------------------------------------------------------------
  // Lane 1 of peer `id`'s replica is peer id + 16.
  void have_two_lanes(std::initializer_list<PeerId> ids) {
    for (const PeerId id : ids) {
      for (const std::uint16_t lane : {std::uint16_t{0}, std::uint16_t{1}}) {
        Actor& peer = actor(id + 16 * lane);
        peer.replica = static_cast<std::uint32_t>(id);
        peer.lane = lane;
        peer.lanes = 2;
      }
    }
  }
  Actor& actor(PeerId id) {
    const auto [entry, fresh] = actors.try_emplace(id);
    if (fresh) {
      entry->second.id = id;
      entry->second.uuid = Uuid{id, id};
      entry->second.replica = static_cast<std::uint32_t>(id);
      entry->second.min_world = min_world;
    }
    return entry->second;
  }
  void connect(PeerId id) {
    actor(id).conn = ++next_conn;
    step(Connected{next_conn, actor(id).certified});
  }
  wire::Hello hello_of(PeerId id) {
    const Actor& from = actor(id);
    wire::Hello hello;
    hello.run = config.run;
    hello.uuid = from.uuid;
    hello.id = id;
    hello.taken = from.taken;
    hello.was_addressed = from.was_addressed;
    hello.promise = from.promise;
    hello.update_count = from.update_count;
    return hello;
  }
  wire::Join join_of(PeerId id) {
    const Actor& from = actor(id);
    wire::Join join;
    join.name = std::string(1, static_cast<char>('a' + (id & 0xf) - 0xa));
    join.replica = from.replica;
    join.lane = from.lane;
    join.lanes = from.lanes;
    join.min_world = from.min_world;
    join.rate_mbps = from.rate_mbps;
    join.addresses = {"10.0.0." + std::to_string(id) + ":9000"};
    join.site = from.site;
    return join;
  }
  void say(PeerId id, wire::PeerMessage message) {
    if (actor(id).conn) {
      step(Received{*actor(id).conn, std::move(message)});
    }
  }
  void hello(PeerId id) {  // on a new connection
    connect(id);
    say(id, hello_of(id));
  }
  void arrive(PeerId id) {
    hello(id);
    say(id, join_of(id));
  }
  void arrive(std::initializer_list<PeerId> ids) {
    for (const PeerId id : ids) {
      arrive(id);
    }
  }
  // Dies so that everyone sees it at once: FIN to the master and to every other member of its lane.
  void lose(PeerId id) {
    Actor& dead = actors.at(id);
    dead.alive = false;
    disconnect(id);
    for (auto& [other_id, other] : actors) {
      if (other_id != id && other.lane == dead.lane && other.conn) {
        say(other_id, wire::Lost{id, wire::LostKind::closed});
      }
    }
    pass(config.ladder.dead_grace);
  }
  void disconnect(PeerId id, bool closed = true) {
    const std::optional<ConnId> conn = actors.at(id).conn;
    REQUIRE(conn);
    actors.at(id).conn.reset();
    step(Disconnected{*conn, closed});
  }

  // --- What was heard ----------------------------------------------------------------------------------------------
  void forget() {
    for (auto& [id, actor] : actors) {
      actor.heard.clear();
    }
    logs.clear();
  }
  template <class M>
  std::vector<M> all(PeerId id) {
    std::vector<M> messages;
    for (const wire::MasterMessage& message : actors.at(id).heard) {
      if (const M* m = std::get_if<M>(&message)) {
        messages.push_back(*m);
      }
    }
    return messages;
  }
  template <class M>
  bool heard(PeerId id) {
    return !all<M>(id).empty();
  }
  template <class M>
  M last(PeerId id) {
    const std::vector<M> messages = all<M>(id);
    REQUIRE(!messages.empty());
    return messages.back();
  }
  std::optional<wire::Decision> decision_at(PeerId id, const OpKey& key = k) {
    std::optional<wire::Decision> found;
    for (const wire::Resolve& resolve : all<wire::Resolve>(id)) {
      found.reset();
      for (const wire::Decision& decision : resolve.decisions) {
        if (decision.op == key) {
          found = decision;
        }
      }
    }
    return found;
  }
  std::optional<wire::Verdict> verdict_at(PeerId id, const OpKey& key = k) {
    const auto decision = decision_at(id, key);
    return decision ? std::optional(decision->verdict) : std::nullopt;
  }
  std::set<PeerId> roster() {
    std::set<PeerId> ids;
    for (const wire::MemberInfo& info : store.roster) {
      ids.insert(info.id);
    }
    return ids;
  }
  bool logged(const std::string& text) {
    return std::any_of(logs.begin(), logs.end(),
                       [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }

 private:
  ConnId next_conn = 0;
  Time last_beat = 0;
  bool answering = false;
  std::deque<std::pair<ConnId, wire::MasterMessage>> inbox;
  std::set<ConnId> closed_by_master;

  void reply(const WriteStore& write) {
    const bool expected = write.expected_term == store.term && write.expected_version == store.version;
    if (expected) {
      store = write.record;
      ++written;
    }
    step(StoreReply{write.write, expected ? StoreOutcome::ok : StoreOutcome::fenced});
  }

  // Calls the master, performs its effects in order; then the peers answer, one after the other.
  template <class Call>
  void drain(Call call) {
    MasterEffects effects;
    call(effects);
    master->check_invariants();
    for (const MasterEffect& effect : effects) {
      perform(effect);
    }
    if (answering) {
      return;  // the outermost call goes on, so that each peer answers in the order in which it heard
    }
    answering = true;
    while (!inbox.empty() || (!hold_store && !writes.empty())) {
      if (!inbox.empty()) {
        const auto [conn, message] = inbox.front();
        inbox.pop_front();
        if (const PeerId id = owner(conn); id != kNoPeer) {
          answer(id, message);
        }
      } else {
        release();
      }
    }
    answering = false;
  }

  void perform(const MasterEffect& effect) {
    CHECK_MESSAGE((!stepped_down || std::holds_alternative<SteppedDown>(effect)), "a deposed master says nothing");
    if (const auto* send = std::get_if<SendToPeer>(&effect)) {
      REQUIRE_MESSAGE(!closed_by_master.contains(send->conn), "nothing is sent on a connection that was closed");
      durable_before_visible(send->message);
      const PeerId id = owner(send->conn);
      if (id == kNoPeer) {
        return;  // its owner has gone on to a newer connection
      }
      actors.at(id).heard.push_back(send->message);
      inbox.emplace_back(send->conn, send->message);
    } else if (const auto* close = std::get_if<CloseConnection>(&effect)) {
      closed_by_master.insert(close->conn);
      if (const PeerId id = owner(close->conn); id != kNoPeer) {
        actors.at(id).conn.reset();
        actors.at(id).closed = close->reason;
      }
    } else if (const auto* write = std::get_if<WriteStore>(&effect)) {
      CHECK_MESSAGE(writes.empty(), "one write at a time");
      writes.push_back(*write);
    } else if (const auto* answer = std::get_if<DoorAnswer>(&effect)) {
      answers.push_back(*answer);
    } else if (const auto* down = std::get_if<SteppedDown>(&effect)) {
      stepped_down = down->reason;
    } else if (const auto* line = std::get_if<Log>(&effect)) {
      logs.push_back(line->text);
    }
  }

  PeerId owner(ConnId conn) {
    for (const auto& [id, actor] : actors) {
      if (actor.conn == conn) {
        return id;
      }
    }
    return kNoPeer;
  }

  void durable_before_visible(const wire::MasterMessage& message) {
    if (deposed) {
      return;
    }
    if (const auto* epoch = std::get_if<wire::EpochMessage>(&message)) {
      CHECK(epoch->term == store.term);
      CHECK(epoch->epoch == store.epoch);
      CHECK(epoch->roster == store.roster);
      CHECK(epoch->joins == store.joins);
    } else if (const auto* resolve = std::get_if<wire::Resolve>(&message)) {
      CHECK(resolve->term == store.term);
      CHECK(resolve->cut == store.cut);
      CHECK(store.resolved);
    } else if (std::holds_alternative<wire::Evicted>(message)) {
      CHECK(store.epoch.number > 0);
    }
  }

  void answer(PeerId id, const wire::MasterMessage& message) {
    Actor& me = actors.at(id);
    if (const auto* epoch = std::get_if<wire::EpochMessage>(&message)) {
      take(me, *epoch);
      if (!mute.contains(id)) {
        report(id);
      }
    } else if (const auto* ask = std::get_if<wire::Ask>(&message)) {
      CHECK_MESSAGE((me.taken && me.taken->term == ask->term && me.taken->epoch >= ask->epoch), "EPOCH comes first");
      if (!silent_on_ask.contains(id)) {
        promise(id, *ask);
      }
    } else if (std::holds_alternative<wire::CancelAsk>(message)) {
      me.promise.reset();
    } else if (const auto* introduce = std::get_if<wire::Introduce>(&message)) {
      for (const wire::MemberInfo& info : introduce->peers) {
        me.known.insert(info.id);
      }
      if (!me.taken) {
        link(id);
      }
    }
  }

  void take(Actor& me, const wire::EpochMessage& epoch) {
    for (const wire::JoinRecord& join : epoch.joins) {
      const bool known = me.taken && std::any_of(me.taken->joins.begin(), me.taken->joins.end(),
                                                 [&](const auto& old) { return old.generation == join.generation; });
      if (!known) {
        me.promise.reset();
      }
      if (!me.taken && std::count(join.joiners.begin(), join.joiners.end(), me.id) > 0) {
        me.update_count = join.point;
      }
    }
    me.taken = epoch;
  }

 public:
  void report(PeerId id) {
    const Actor& me = actors.at(id);
    REQUIRE(me.taken);
    say(id, wire::Report{me.taken->term, me.taken->epoch, reports[id]});
  }
  void promise(PeerId id, const wire::Ask& ask) {
    Actor& me = actors.at(id);
    me.promise = wire::Promise{ask.epoch, ask.term, me.update_count + 1, ask.joiners};
    say(id, wire::Promised{*me.promise});
  }
  void link(PeerId id) {
    const Actor& me = actors.at(id);
    wire::Linked linked;
    for (const PeerId other : me.known) {
      if (!me.unreachable.contains(other) && !actor(other).unreachable.contains(id)) {
        linked.peers.push_back(other);
      }
    }
    say(id, linked);
  }
};

}  // namespace seaway::core::script
