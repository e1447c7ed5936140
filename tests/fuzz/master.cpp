// core::Master against peers that say whatever the bytes say.
//
// Most of it is near to what a healthy peer would say: it names the epochs, asks and ops that the master has told of, or else
// nothing deep is ever reached. Any message may then be damaged, byte by byte, as long as it still decodes. The store answers
// at once, late, or that it is another master's.
#include "core/master.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "fuzz/support/distort.h"
#include "fuzz/support/input.h"
#include "fuzz/support/require.h"

using namespace seaway;
using namespace seaway::core;

namespace {

constexpr std::size_t kMostSteps = 300;  // so that one input stays quick
constexpr std::uint32_t kActors = 6;
constexpr Uuid kRun{1, 2};

// One that connects, and what it was told.
struct Actor {
  PeerId id = kNoPeer;
  Uuid uuid;
  std::uint32_t replica = 0;
  std::uint16_t lane = 0;
  std::optional<ConnId> conn;
  std::optional<wire::EpochMessage> taken;
  std::optional<wire::Ask> ask;
  std::optional<wire::Promise> promise;
  std::vector<wire::Decision> decisions;
  std::set<PeerId> known;
  std::uint64_t updates = 0;
  std::uint32_t certified_as = kActors;  // the actor whose certificate it shows; kActors: its own
};

class Run {
 public:
  explicit Run(fuzz::Input& input) : input_(input) {
    const std::uint8_t options = input.byte();
    config_.run = (options & 1) != 0 ? Uuid{} : kRun;
    config_.has_store = (options & 2) != 0;
    config_.majority = (options & 4) != 0;
    lanes_ = (options & 8) != 0 ? 2 : 1;
    config_.certificates = (options & 16) != 0;
    config_.first_tokens = {{1, {1, 1}, wire::TokenUse::admin, 0, "", {}},
                            {2, {2, 2}, wire::TokenUse::join, 0, "", {}},
                            {3, {3, 3}, wire::TokenUse::join_once, 100, "", {}}};
    for (std::uint32_t i = 0; i < kActors; ++i) {
      Actor& actor = actors_[i];
      actor.id = 10 + i;
      actor.replica = i % 3;
      actor.lane = static_cast<std::uint16_t>(i / 3 % lanes_);
      actor.uuid = {actor.replica, actor.lane + 1u};  // with one lane, two incarnations of each peer
    }
    restart();
  }

  void run() {
    for (std::size_t steps = 0; !input_.empty() && steps < kMostSteps; ++steps) {
      step();
    }
  }

 private:
  // --- What happens ---

  void step() {
    const std::uint8_t what = input_.byte();
    Actor& actor = actors_[what % kActors];
    switch (what / kActors % 16) {
      case 0:
        return connect(actor);
      case 1:
        return disconnect(actor);
      case 2:
        return pass(input_.byte() * 20 * kMillisecond);
      case 3:
        return pass(input_.byte() * kSecond);
      case 4:
        return answer_store(StoreOutcome::ok);
      case 5:
        hold_ = !hold_;
        return;
      case 6:
        return rarely();
      case 7:
      case 8:
        return arrive(actor);
      case 9:
        return everyone_answers();
      default:
        return say(actor, draw_message(actor));
    }
  }
  void rarely() {
    switch (input_.below(8)) {
      case 6:
        return ask_at_the_door();
      case 7:  // its certificate may be another's
        actors_[input_.below(kActors)].certified_as = input_.one_in(2) ? kActors : input_.below(kActors);
        return;
      case 0:
        return answer_store(StoreOutcome::fenced);
      case 1:
        return call(EvictRequest{actors_[input_.below(kActors)].id, input_.text(input_.below(8))});
      case 2:
        return call(LeaseLost{});
      case 3:
        return call(StoreReply{1000u + input_.byte(), StoreOutcome::ok});  // of no write of this master
      case 4:                                                              // another incarnation
        actors_[input_.below(kActors)].id = 100 + input_.below(16);
        return;
      default:
        return restart();
    }
  }
  void restart() {
    master_ = std::make_unique<Master>(config_, Random(++lives_));
    open_.clear();
    waiting_.clear();
    writing_.reset();
    stepped_down_ = false;
    for (Actor& actor : actors_) {
      actor.conn.reset();
      actor.known.clear();
      actor.ask.reset();
    }
    MasterEffects effects;
    master_->start(now_, config_.has_store && store_.version > 0 ? std::optional(store_) : std::nullopt, effects);
    perform(effects);
  }
  void connect(Actor& actor) {
    actor.conn = ++conns_;
    open_.insert(conns_);
    actor.ask.reset();
    const Actor& shown = actor.certified_as < kActors ? actors_[actor.certified_as] : actor;
    const Certified certified{shown.uuid, shown.id, {static_cast<std::uint8_t>(shown.id)}, input_.one_in(8)};
    call(Connected{conns_, config_.certificates ? std::optional(certified) : std::nullopt});
  }
  void disconnect(Actor& actor) {
    if (actor.conn && open_.erase(*actor.conn) > 0) {
      call(Disconnected{*actor.conn, input_.one_in(2)});
    }
    actor.conn.reset();
  }
  // The proof holds: that is checked by whoever owns a master.
  void ask_at_the_door() {
    const Actor& actor = actors_[input_.below(kActors)];
    DoorRequest asked;
    asked.request = ++asked_;
    asked.token = input_.below(8);
    asked.certified = Certified{actor.uuid, actor.id, {static_cast<std::uint8_t>(actor.id)}, input_.one_in(4)};
    asked.unix_now = input_.byte();
    asked.fresh_id = 4 + input_.below(4);
    switch (input_.below(6)) {
      case 0:
        asked.wants = wire::Command{wire::NewToken{wire::TokenUse::join, input_.byte(), "new"}};
        break;
      case 1:
        asked.wants = wire::Command{wire::ListTokens{}};
        break;
      case 2:
        asked.wants = wire::Command{wire::RevokeToken{input_.below(8)}};
        break;
      case 3:
        asked.wants = wire::Command{wire::EvictPeer{std::to_string(draw_peer()), "an operator", input_.one_in(2)}};
        break;
      case 4:
        asked.wants = wire::Command{wire::ShowStatus{}};
        break;
      default:
        asked.wants = wire::Enrol{actor.uuid, actor.id, {1, 2, 3}};
        break;
    }
    waiting_.insert(asked_);
    call(asked);
  }
  void arrive(Actor& actor) {
    connect(actor);
    say(actor, hello_of(actor));
    say(actor, join_of(actor));
  }
  // What healthy peers do about what they were told.
  void everyone_answers() {
    for (Actor& actor : actors_) {
      if (!actor.conn) {
        continue;
      }
      say(actor, wire::Linked{{actor.known.begin(), actor.known.end()}});
      if (actor.taken) {
        say(actor, wire::Report{actor.taken->term, actor.taken->epoch, {}});
      }
      if (actor.ask) {
        actor.promise = wire::Promise{actor.ask->epoch, actor.ask->term, actor.updates + 1, actor.ask->joiners};
        say(actor, wire::Promised{*actor.promise});
      }
    }
  }
  void pass(Duration duration) {
    const Time until = now_ + duration;
    for (int ticks = 0; ticks < 8 && master_->deadline() <= until; ++ticks) {
      now_ = std::max(now_, master_->deadline());
      tick();
    }
    now_ = until;
    tick();
  }
  void tick() {
    MasterEffects effects;
    master_->tick(now_, effects);
    perform(effects);
    FUZZ_REQUIRE(master_->deadline() > now_, "a master that was ticked waits for what is to come");
  }
  void say(Actor& actor, wire::PeerMessage message) {
    if (actor.conn && open_.contains(*actor.conn)) {
      call(Received{*actor.conn, std::move(message)});
    }
  }
  void call(const MasterInput& input) {
    MasterEffects effects;
    master_->step(now_, input, effects);
    perform(effects);
  }

  // --- What is said ---

  wire::Hello hello_of(const Actor& actor) {
    wire::Hello hello;
    hello.run = kRun;
    hello.uuid = actor.uuid;
    hello.id = actor.id;
    hello.promise = actor.promise;
    hello.taken = actor.taken;
    hello.learned = actor.decisions;
    hello.update_count = actor.updates;
    return hello;
  }
  wire::Join join_of(const Actor& actor) {
    wire::Join join;
    join.replica = actor.replica;
    join.lane = actor.lane;
    join.lanes = lanes_;
    join.min_world = 1 + input_.below(3);
    join.addresses = {"10.0.0.1:1"};
    return join;
  }
  OpKey draw_op(const Actor& actor) {
    const std::uint8_t byte = input_.byte();
    return {actor.lane, 1u + (byte >> 4) % 4u, (byte >> 2) % 2u, byte % 4u};
  }
  PeerId draw_peer() { return actors_[input_.below(kActors)].id; }

  wire::PeerMessage draw_message(Actor& actor) {
    const std::uint8_t what = input_.byte();
    if (what >= 240) {
      return any_message(wire::Leave{}, input_.bytes(input_.byte()));
    }
    wire::PeerMessage message = near_to_healthy(actor, what % 11);
    if (what < 192) {
      return message;
    }
    return fuzz::damaged(message, wire::decode_peer_message, input_);
  }
  static wire::PeerMessage any_message(wire::PeerMessage otherwise, std::span<const std::byte> body) {
    auto message = wire::decode_peer_message(body);
    return message ? std::move(*message) : std::move(otherwise);
  }
  wire::PeerMessage near_to_healthy(Actor& actor, std::uint32_t which) {
    switch (which) {
      case 0: {
        wire::Hello hello = hello_of(actor);
        hello.was_addressed = input_.one_in(4);
        if (input_.one_in(4)) {
          hello.taken.reset();
        }
        while (hello.taken && input_.one_in(4)) {
          fuzz::distort(*hello.taken, input_);
        }
        return hello;
      }
      case 1:
        return join_of(actor);
      case 2: {
        wire::Linked linked;
        for (const PeerId id : actor.known) {
          if (!input_.one_in(4)) {
            linked.peers.push_back(id);
          }
        }
        return linked;
      }
      case 3:
        return draw_report(actor);
      case 4: {
        wire::Promise promise = actor.promise.value_or(wire::Promise{});
        promise.count = input_.one_in(8) ? input_.number<std::uint64_t>() : input_.byte();
        return wire::Promised{promise};
      }
      case 5:
        return wire::Mismatch{draw_op(actor)};
      case 6:
        return wire::CancelOp{draw_op(actor), input_.text(input_.below(4))};
      case 7:
        return wire::Lost{draw_peer(), input_.one_in(2) ? wire::LostKind::closed : wire::LostKind::stalled};
      case 8:
        return wire::Leave{};
      case 9:
        return wire::Synced{input_.byte()};
      default: {
        wire::Heartbeat heartbeat;
        actor.updates += input_.below(3);
        heartbeat.update_count = actor.updates;
        heartbeat.oldest_generation = input_.below(4);
        heartbeat.rate_mbps = input_.byte();
        for (const wire::Decision& decision : actor.decisions) {
          heartbeat.finished.push_back(decision.op);
        }
        return heartbeat;
      }
    }
  }
  wire::Report draw_report(Actor& actor) {
    wire::Report report;
    if (actor.taken) {
      report.term = actor.taken->term;
      report.epoch = actor.taken->epoch;
    }
    for (std::uint32_t left = input_.below(4); left > 0; --left) {
      wire::OpReport op;
      op.op = draw_op(actor);
      const std::uint8_t flags = input_.byte();
      op.status = static_cast<wire::OpStatus>(1 + flags % 5);
      op.value.bits = flags >> 7;
      op.fail_on_loss = (flags & 8) != 0;
      op.roster_gone = (flags & 16) != 0;
      op.essential_lost = (flags & 32) != 0;
      op.mismatches = (flags & 64) != 0 ? 2 : 0;
      report.ops.push_back(op);
    }
    return report;
  }

  // --- What the master does about it ---

  void perform(const MasterEffects& effects) {
    for (const MasterEffect& effect : effects) {
      FUZZ_REQUIRE(!stepped_down_ || std::holds_alternative<Log>(effect),
                   "a master that has stepped down says nothing");
      std::visit([this](const auto& what) { on(what); }, effect);
    }
    master_->check_invariants();
    const MasterStatus status = master_->status(now_);
    FUZZ_REQUIRE(!status.stage.empty() || stepped_down_, "a master says what it waits for");
    if (writing_ && (!config_.has_store || !hold_)) {
      answer_store(StoreOutcome::ok);
    }
  }
  void answer_store(StoreOutcome outcome) {
    if (!writing_) {
      return;
    }
    if (outcome == StoreOutcome::fenced && !config_.has_store) {
      return;  // nobody else writes where there is no store
    }
    const WriteStore write = *writing_;
    writing_.reset();
    if (outcome == StoreOutcome::ok) {
      FUZZ_REQUIRE(
          !config_.has_store || (write.expected_term == store_.term && write.expected_version == store_.version),
          "a write follows the record that stands");
      store_ = write.record;
    }
    call(StoreReply{write.write, outcome});
  }
  void on(const SendToPeer& effect) {
    FUZZ_REQUIRE(open_.contains(effect.conn), "nothing is said on a connection that is closed");
    const std::vector<std::byte> encoded = wire::encode(effect.message);
    FUZZ_REQUIRE(encoded.size() <= wire::kControlHeaderBytes + kMaxControlBytes, "a peer takes what a master says");
    FUZZ_REQUIRE(wire::decode_master_message(std::span(encoded).subspan(wire::kControlHeaderBytes)).has_value(),
                 "a peer can decode what a master says");
    const auto actor =
        std::find_if(std::begin(actors_), std::end(actors_), [&](const Actor& a) { return a.conn == effect.conn; });
    if (actor != std::end(actors_)) {
      hear(*actor, effect.message);
    }
  }
  void hear(Actor& actor, const wire::MasterMessage& message) {
    if (const auto* epoch = std::get_if<wire::EpochMessage>(&message)) {
      FUZZ_REQUIRE(epoch->term == store_.term && epoch->epoch == store_.epoch, "what is announced is durable");
      actor.taken = *epoch;
      for (const wire::MemberInfo& member : epoch->roster) {
        actor.known.insert(member.id);
      }
    } else if (const auto* resolve = std::get_if<wire::Resolve>(&message)) {
      for (const wire::Decision& decision : resolve->decisions) {
        if (decision.verdict != wire::Verdict::resume && actor.decisions.size() < 16) {
          actor.decisions.push_back(decision);
        }
      }
    } else if (const auto* ask = std::get_if<wire::Ask>(&message)) {
      actor.ask = *ask;
    } else if (const auto* introduced = std::get_if<wire::Introduce>(&message)) {
      for (const wire::MemberInfo& peer : introduced->peers) {
        actor.known.insert(peer.id);
      }
    }
  }
  void on(const CloseConnection& effect) {
    FUZZ_REQUIRE(open_.erase(effect.conn) == 1, "a connection is closed once");
    FUZZ_REQUIRE(effect.reason.size() <= kMaxReasonBytes && !effect.reason.empty(), "and for a reason");
  }
  void on(const WriteStore& effect) {
    FUZZ_REQUIRE(!writing_, "one write at a time");
    writing_ = effect;
  }
  void on(const SteppedDown&) { stepped_down_ = true; }
  void on(const Log&) {}
  void on(const DoorAnswer& answer) {
    const std::uint64_t request = std::visit([](const auto& what) { return what.request; }, answer);
    FUZZ_REQUIRE(waiting_.erase(request) == 1, "a request is answered once");
  }

  fuzz::Input& input_;
  MasterConfig config_;
  std::uint16_t lanes_ = 1;
  Actor actors_[kActors];
  std::unique_ptr<Master> master_;
  StoredRun store_;  // what survives the master; without a store, what has been said to be written
  std::optional<WriteStore> writing_;
  std::set<ConnId> open_;
  std::set<std::uint64_t> waiting_;  // requests at the door
  std::uint64_t asked_ = 0;
  ConnId conns_ = 0;
  std::uint64_t lives_ = 0;
  Time now_ = kSecond;
  bool hold_ = false;
  bool stepped_down_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Run(input).run();
  return 0;
}
