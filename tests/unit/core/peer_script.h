// core::Peer against a scripted master and network: `Script` says what they do and shows what the peer says and does.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/peer.h"

namespace seaway::core::peer_tests {

using wire::EpochMessage;

inline constexpr PeerId kMe = 50;
inline constexpr Uuid kRun{7, 7};

inline wire::MemberInfo info(PeerId id, std::uint32_t generation, std::uint16_t lane = 0) {
  wire::MemberInfo member;
  member.id = id;
  member.name = "p" + std::to_string(id);
  member.replica = static_cast<std::uint32_t>(id);
  member.lane = lane;
  member.generation = generation;
  member.addresses = {"10.0.0." + std::to_string(id) + ":9"};
  return member;
}

// An epoch that a loss raised; its cut is itself. `.of_join()` makes it one that a join raised.
struct EpochScript {
  EpochMessage message;

  EpochScript(std::uint64_t term, std::uint32_t number, const std::vector<PeerId>& founders) {
    message.term = term;
    message.epoch = {1, number};
    message.cut = number == 1 ? Cut{} : message.epoch;
    wire::Base base{.generation = 1, .members = {}};
    for (const PeerId id : founders) {
      message.roster.push_back(info(id, 1));
      base.members.push_back({.id = id, .lane = 0, .rate_mbps = 0, .left = false});
    }
    message.bases.push_back(base);
  }
  EpochScript& cut_at(Cut cut) {
    message.cut = cut;
    return *this;
  }
  EpochScript& join(std::uint32_t generation, std::uint64_t point, const std::vector<PeerId>& joiners) {
    message.joins.push_back({generation, point, joiners});
    wire::Base base = message.bases.back();
    base.generation = generation;
    for (const PeerId id : joiners) {
      message.roster.push_back(info(id, generation));
      base.members.push_back({.id = id, .lane = 0, .rate_mbps = 0, .left = false});
    }
    message.bases.push_back(base);
    return *this;
  }
  EpochScript& stateful() {
    message.stateful = true;
    return *this;
  }
};

inline PeerConfig config() {
  PeerConfig config;
  config.run = kRun;
  config.uuid = {1, kMe};
  config.id = kMe;
  config.name = "me";
  config.replica = static_cast<std::uint32_t>(kMe);
  config.addresses = {"10.0.0.50:9"};
  return config;
}

class Script {
 public:
  explicit Script(PeerConfig peer_config = config()) : ladder(peer_config.ladder), peer(peer_config, Random(1)) {}

  // --- What happens ---
  Script& connected_and_joining() {
    peer.join(now);
    peer.on_master_connected(now);
    return flush();
  }
  Script& member_of(const EpochScript& epoch) {
    connected_and_joining();
    return hears(epoch.message).forget_effects();
  }
  Script& hears(const wire::MasterMessage& message) {
    peer.on_master_message(message, now);
    return flush();
  }
  Script& asked(std::uint64_t term, std::uint32_t number, const std::vector<PeerId>& joiners = {90}) {
    return hears(wire::Ask{term, {1, number}, joiners});
  }
  Script& updates() {
    peer.update(now);
    return flush();
  }
  Script& line_breaks() {
    peer.on_master_lost(now);
    return flush();
  }
  Script& line_comes_back() {
    pass(10 * kSecond);
    peer.on_master_connected(now);
    return flush();
  }
  Script& linked(PeerId other, ConnId conn, bool control, bool dialled) {
    peer.on_linked(other, conn, control, dialled, now);
    return flush();
  }
  Script& link_lost(PeerId other, ConnId conn, bool control, bool closed) {
    peer.on_link_lost(other, conn, control, closed, now);
    return flush();
  }
  // Time passes, with a tick at every deadline and a master that answers heartbeats if it is up and alive.
  Script& pass(Duration duration, bool master_answers = true) {
    const Time until = now + duration;
    flush();
    while (peer.deadline() <= until) {
      now = std::max(now, peer.deadline());
      peer.tick(now);
      flush();
      REQUIRE(peer.deadline() > now);  // or it would spin
      if (master_answers && saw<SendToMaster>()) {
        peer.on_master_message(wire::HeartbeatReply{}, now);
        flush();
      }
    }
    now = until;
    return *this;
  }
  collective::Posted posts(bool fail_on_loss = false) {
    collective::Descriptor descriptor;
    descriptor.count = 4;
    descriptor.fail_on_loss = fail_on_loss;
    const collective::Posted posted = peer.engine().post(descriptor, now);
    flush();
    return posted;
  }
  Script& forget_effects() {
    effects.clear();
    return *this;
  }

  // --- What the peer does: each look takes what it sees ---
  template <class Effect>
  std::vector<Effect> took() {
    std::vector<Effect> found;
    std::erase_if(effects, [&](PeerEffect& effect) {
      if (auto* one = std::get_if<Effect>(&effect)) {
        found.push_back(*one);
        return true;
      }
      return false;
    });
    return found;
  }
  template <class Message>
  std::vector<Message> said() {
    std::vector<Message> found;
    std::erase_if(effects, [&](PeerEffect& effect) {
      const auto* send = std::get_if<SendToMaster>(&effect);
      const Message* one = send == nullptr ? nullptr : std::get_if<Message>(&send->message);
      if (one != nullptr) {
        found.push_back(*one);
      }
      return one != nullptr;
    });
    return found;
  }
  template <class Effect>
  bool saw() const {
    return std::any_of(effects.begin(), effects.end(),
                       [](const PeerEffect& effect) { return std::holds_alternative<Effect>(effect); });
  }
  std::vector<std::string> said_names() const {
    std::vector<std::string> names;
    for (const PeerEffect& effect : effects) {
      if (const auto* send = std::get_if<SendToMaster>(&effect)) {
        names.emplace_back(wire::name_of(send->message));
      }
    }
    return names;
  }
  std::size_t dials(PeerId other) {
    const std::vector<Dial> all = took<Dial>();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Dial& dial) { return dial.peer == other; }));
  }
  std::vector<collective::OpEnded> ended() {
    std::vector<collective::OpEnded> found;
    for (const collective::EngineEffect& effect : engine_effects) {
      if (const auto* one = std::get_if<collective::OpEnded>(&effect)) {
        found.push_back(*one);
      }
    }
    return found;
  }

  Ladder ladder;
  Time now = kSecond;
  Peer peer;
  std::vector<PeerEffect> effects;
  std::vector<collective::EngineEffect> engine_effects;

 private:
  Script& flush() {
    // An op that ends asks for its buffers first; nothing touches them here.
    for (std::size_t seen = engine_effects.size();; seen = engine_effects.size()) {
      peer.drain_engine(engine_effects, now);
      if (seen == engine_effects.size()) {
        break;
      }
      for (std::size_t i = seen; i < engine_effects.size(); ++i) {
        if (const auto* release = std::get_if<collective::Release>(&engine_effects[i])) {
          peer.engine().on_released(release->op, now);
        }
      }
    }
    for (PeerEffect& effect : peer.take_effects()) {
      effects.push_back(std::move(effect));
    }
    peer.check_invariants();
    return *this;
  }
};

inline wire::Resolve resolve(std::uint64_t term, Cut cut, std::vector<wire::Decision> decisions = {}) {
  return {term, cut, std::move(decisions)};
}
inline wire::LinkHello link_hello(PeerId from) {
  return {.version = wire::kWireVersion, .run = kRun, .from = from, .to = kMe, .control = true};
}

}  // namespace seaway::core::peer_tests
