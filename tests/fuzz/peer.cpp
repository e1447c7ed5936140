// core::Peer with its engine: a master that says whatever the bytes say, peers that dial, answer, and send frames.
//
// Most of what the master says is near to the truth. One thing it is held to (docs/PROTOCOL.md, section 5, asserted by the
// engine): a decision fits what this peer reported of the op.
#include "core/peer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "fuzz/support/distort.h"
#include "fuzz/support/engine_driver.h"
#include "fuzz/support/input.h"
#include "fuzz/support/require.h"

using namespace seaway;
using namespace seaway::core;

namespace {

constexpr std::size_t kMostSteps = 300;  // so that one input stays quick
constexpr PeerId kSelf = 100;
constexpr Uuid kRun{1, 2};

PeerConfig config_of(fuzz::Input& input) {
  const std::uint8_t options = input.byte();
  PeerConfig config;
  config.run = (options & 1) != 0 ? Uuid{} : kRun;
  config.uuid = {0, kSelf};
  config.id = kSelf;
  config.name = "me";
  config.replica = static_cast<std::uint32_t>(kSelf);
  config.data_connections = 1 + (options >> 1) % 2u;
  config.limits.chunk_bytes = 64;
  config.limits.one_shot_bytes = (options & 4) != 0 ? 4096 : 0;
  config.limits.eager_bytes = 256;
  config.limits.unposted_ops = 4;
  return config;
}

class Life {
 public:
  explicit Life(fuzz::Input& input)
      : input_(input),
        peer_(config_of(input), Random(1)),
        driver_(peer_.engine(), kSelf,
                {[this] { return drain(); }, [this](ConnId conn, PeerId peer) { link_lost(conn, peer); }}) {
    truth_.term = 1;
    truth_.epoch = {1, 1};
    truth_.bases.push_back({1, {}});
    for (std::uint32_t i = 0; i < 3; ++i) {
      admit(kSelf - 1 + i, 1);
    }
    peer_.join(now());
    settle();
    connect_master();
    if (input_.byte() % 4 != 0) {
      tell(truth_);
    }
  }

  void run() {
    for (std::size_t steps = 0; !input_.empty() && steps < kMostSteps; ++steps) {
      step();
      settle();
      peer_.check_invariants();
      static_cast<void>(peer_.waits_for());
    }
    peer_.fence("the end", now());
    settle();
    FUZZ_REQUIRE(peer_.stage() == PeerStage::gone, "who is fenced is gone");
  }

 private:
  Time now() const { return driver_.now; }

  // --- What happens ---

  void step() {
    const std::uint8_t what = input_.byte();
    if (what >= 0x80) {
      return driver_.receive(input_);
    }
    switch (what % 32) {
      case 0:
        return pass(input_.byte() * 10 * kMillisecond);
      case 1:
        return pass(input_.byte() * kSecond);
      case 2:
        return update();
      case 3:
        return input_.one_in(8) ? peer_.leave(now()) : peer_.synced(input_.byte(), now());
      case 4:
        return connect_master();
      case 5:
        return lose_master();
      case 6:
        return answer_dial();
      case 7:
      case 8:
        return accept();
      case 9:
        return lose_link();
      case 10:
      case 11:
        return driver_.post(input_);
      case 12:
      case 13:
        return driver_.work(input_);
      case 14:
      case 15:
        return driver_.send(input_);
      case 16:
        return driver_.cancel(input_);
      case 17:
        return raise_cut();
      case 18:
        return lose_member();
      case 19:
      case 20:
        return join_someone();
      case 21:
        return tell(truth_);
      case 22:
        return tell_lies();
      case 23:
      case 24:
        return resolve();
      case 25:
        return tell(wire::Ask{truth_.term, truth_.epoch, {next_id_}});
      case 26:
        return tell(wire::CancelAsk{truth_.term, truth_.epoch});
      case 27:
        return tell(wire::Introduce{{info(next_id_, 0)}});
      case 28:
        return prune();
      case 29:
        ++truth_.term;
        return tell(truth_);
      default:
        return tell_anything();
    }
  }

  void pass(Duration duration) {
    const Time until = now() + duration;
    for (int ticks = 0; ticks < 6 && peer_.deadline() <= until; ++ticks) {
      driver_.now = std::max(now(), peer_.deadline());
      peer_.tick(now());
      settle();
      FUZZ_REQUIRE(peer_.deadline() > now(), "a peer that was ticked waits for what is to come");
    }
    driver_.now = until;
    peer_.tick(until);
  }
  void update() {
    if (peer_.stage() == PeerStage::member && !updating_) {
      updating_ = true;
      peer_.update(now());
    }
  }

  // --- The master ---

  wire::MemberInfo info(PeerId id, std::uint32_t generation) {
    return {id, {0, id}, "p", static_cast<std::uint32_t>(id), 0, generation, 0, {"10.0.0.1:1"}};
  }
  void admit(PeerId id, std::uint32_t generation) {
    truth_.roster.push_back(info(id, generation));
    truth_.bases.back().members.clear();
    for (const wire::MemberInfo& member : truth_.roster) {
      truth_.bases.back().members.push_back({member.id, 0, 0, false});
    }
  }
  void raise_cut() {
    ++truth_.epoch.number;
    truth_.cut = truth_.epoch;
    tell(truth_);
  }
  void lose_member() {
    const PeerId gone = input_.one_of(truth_.roster).id;
    if (gone != kSelf || input_.one_in(8)) {
      std::erase_if(truth_.roster, [&](const wire::MemberInfo& member) { return member.id == gone; });
      if (truth_.roster.empty()) {
        admit(next_id_++, truth_.bases.back().generation);
      }
      raise_cut();
    }
  }
  void join_someone() {
    if (truth_.bases.size() >= kMaxOpenGenerations || truth_.roster.size() > 6) {
      return;
    }
    const std::uint32_t generation = truth_.bases.back().generation + 1;
    const std::uint64_t last = truth_.joins.empty() ? 0 : truth_.joins.back().point;
    truth_.joins.push_back({generation, std::max(last, peer_.update_count() + 1 + input_.below(2)), {next_id_}});
    truth_.bases.push_back({generation, {}});
    admit(next_id_++, generation);
    ++truth_.epoch.number;
    tell(truth_);
  }
  void prune() {
    const std::uint32_t oldest = std::min(peer_.engine().oldest_generation(), peer_.generation());
    std::erase_if(truth_.bases, [&](const wire::Base& base) {
      return base.generation < oldest && base.generation != truth_.bases.back().generation;
    });
    std::erase_if(truth_.joins, [&](const wire::JoinRecord& join) { return join.point <= peer_.update_count(); });
  }
  void resolve() {
    if (!peer_.taken()) {
      return;
    }
    wire::Resolve message{peer_.term(), peer_.cut(), {}};
    for (const wire::OpReport& report : peer_.engine().report()) {
      const auto verdict = static_cast<wire::Verdict>(1 + input_.below(3));
      message.decisions.push_back({report.op, verdict, "decided"});
    }
    tell(message);
  }
  void tell_lies() {
    wire::EpochMessage message = truth_;
    for (std::uint32_t left = 1 + input_.below(3); left > 0; --left) {
      fuzz::distort(message, input_);
    }
    tell(message);
  }
  void tell_anything() {
    const std::uint8_t what = input_.byte();
    wire::MasterMessage message = wire::HeartbeatReply{};
    switch (what % 8) {
      case 0:
        message = wire::Evicted{"evicted"};
        break;
      case 1:
        message = wire::Refused{"refused"};
        break;
      case 2:
        message = wire::Waiting{input_.text(8)};
        break;
      case 3:
        message = truth_;
        break;
      case 4:
        message = wire::Ask{truth_.term, truth_.epoch, {input_.byte()}};
        break;
      case 5:
        message = wire::Introduce{truth_.roster};
        break;
      case 6:
        if (auto any = wire::decode_master_message(input_.bytes(input_.byte()))) {
          message = std::move(*any);
        }
        break;
      default:
        break;
    }
    tell(what >= 128 ? fuzz::damaged(message, wire::decode_master_message, input_) : message);
  }

  void tell(wire::MasterMessage message) {
    if (line_is_up_) {
      peer_.on_master_message(message, now());
      settle();
    }
  }
  void connect_master() {
    if (connecting_) {
      connecting_ = false;
      line_is_up_ = true;
      peer_.on_master_connected(now());
    }
  }
  void lose_master() {
    if (line_is_up_ || connecting_) {
      line_is_up_ = connecting_ = false;
      peer_.on_master_lost(now());
    }
  }

  // --- Links ---

  void answer_dial() {
    if (dials_.empty()) {
      return;
    }
    const Dial dial = dials_.back();
    dials_.pop_back();
    if (input_.one_in(4)) {
      peer_.on_dial_failed(dial.peer, dial.control, now());
    } else {
      linked(dial.peer, dial.control, true);
    }
  }
  void accept() {
    wire::LinkHello hello{wire::kWireVersion, kRun, 90u + input_.byte() % 32, kSelf, input_.one_in(2)};
    if (input_.one_in(16)) {
      hello.version = input_.byte();
      hello.run.low = input_.byte();
      hello.to = input_.byte();
    }
    if (peer_.accept(hello, {}, now()).empty()) {
      linked(hello.from, hello.control, false);
    }
  }
  void linked(PeerId peer, bool control, bool dialled) {
    const ConnId conn = next_conn_++;
    links_[conn] = control;
    driver_.attached(conn, peer);
    peer_.on_linked(peer, conn, control, dialled, now());
  }
  void link_lost(ConnId conn, PeerId peer) { peer_.on_link_lost(peer, conn, links_[conn], input_.one_in(2), now()); }
  void lose_link() {
    const std::vector<ConnId> conns = driver_.connections();
    if (!conns.empty()) {
      driver_.lose(input_.one_of(conns));
    }
  }

  // --- What the peer does about it ---

  std::vector<collective::EngineEffect> drain() {
    std::vector<collective::EngineEffect> rest;
    peer_.drain_engine(rest, now());
    for (const PeerEffect& effect : peer_.take_effects()) {
      perform(effect);
    }
    return rest;
  }
  void settle() {
    driver_.settle();
    driver_.generation = peer_.generation();
    driver_.epoch = peer_.epoch();
    driver_.cut = peer_.cut();
  }
  void perform(const PeerEffect& effect) {
    if (std::holds_alternative<ConnectMaster>(effect)) {
      FUZZ_REQUIRE(!line_is_up_ && !connecting_, "one connection to the master");
      connecting_ = true;
    } else if (const auto* said = std::get_if<SendToMaster>(&effect)) {
      const std::vector<std::byte> encoded = wire::encode(said->message);
      FUZZ_REQUIRE(encoded.size() <= wire::kControlHeaderBytes + kMaxControlBytes, "a master takes what a peer says");
      FUZZ_REQUIRE(wire::decode_peer_message(std::span(encoded).subspan(wire::kControlHeaderBytes)).has_value(),
                   "a master can decode what a peer says");
    } else if (std::holds_alternative<CloseMaster>(effect)) {
      line_is_up_ = connecting_ = false;
    } else if (const auto* dial = std::get_if<Dial>(&effect)) {
      dials_.push_back(*dial);
      FUZZ_REQUIRE(dials_.size() < 1000, "dialling is bounded");
    } else if (const auto* close = std::get_if<CloseConnectionTo>(&effect)) {
      std::erase_if(dials_, [&](const Dial& under_way) { return under_way.peer == close->peer; });
      driver_.lose_all(close->peer);
    } else if (std::holds_alternative<UpdateDone>(effect)) {
      FUZZ_REQUIRE(updating_, "an update returns once");
      updating_ = false;
    }
  }

  fuzz::Input& input_;
  Peer peer_;
  fuzz::EngineDriver driver_;
  wire::EpochMessage truth_;  // what a master could say
  PeerId next_id_ = kSelf + 10;
  ConnId next_conn_ = 1;
  std::map<ConnId, bool> links_;  // control?
  std::vector<Dial> dials_;
  bool line_is_up_ = false;
  bool connecting_ = false;
  bool updating_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Life(input).run();
  return 0;
}
