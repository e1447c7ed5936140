// The op engine of one member: the others send whatever the bytes say.
//
// The master's part is played by the rules (docs/PROTOCOL.md, section 5), for an engine is told of epochs and decisions by
// core::Peer alone.
#include "collective/engine.h"

#include <algorithm>
#include <map>
#include <vector>

#include "fuzz/support/engine_driver.h"
#include "fuzz/support/input.h"

using namespace seaway;
using namespace seaway::collective;

namespace {

constexpr PeerId kSelf = 100;
constexpr std::size_t kMostSteps = 400;  // so that one input stays quick

Limits draw_limits(fuzz::Input& input) {
  Limits limits;
  limits.chunk_bytes = 64;
  limits.one_shot_bytes = input.one_in(2) ? 4096 : 0;
  limits.eager_bytes = input.one_in(4) ? 0 : 256;
  limits.window_bytes = input.one_in(2) ? 64 : 256;
  limits.least_window_bytes = 1;
  limits.kept_bytes = input.one_in(2) ? 0 : 128;
  limits.small_bytes = input.one_in(2) ? 4096 : 0;
  limits.unposted_ops = 4;
  limits.ack_every = 3;
  return limits;
}

class Member {
 public:
  explicit Member(fuzz::Input& input)
      : input_(input),
        engine_({kSelf, 0, draw_limits(input), Ladder{}}),
        driver_(engine_, kSelf,
                {[this] { return engine_.take_effects(); },
                 [this](ConnId conn, PeerId) { engine_.on_lost(conn, driver_.now); }}) {
    epoch_.epoch = {1, 1};
    epoch_.bases.push_back({1, {}});
    const std::uint32_t members = 1 + input.below(4);
    const std::uint32_t place = input.below(members);
    for (std::uint32_t i = 0; i < members; ++i) {
      admit(i == place ? kSelf : kSelf + (i < place ? i + 1 : i), 1);
    }
    epoch_.bases[0].members = base();
    adopt();
    engine_.enter_generation(1, driver_.now);
    for (const wire::MemberInfo& member : epoch_.roster) {
      connect(member.id, true);
      connect(member.id, false);
    }
  }

  void run() {
    for (std::size_t steps = 0; !input_.empty() && steps < kMostSteps; ++steps) {
      step();
      engine_.check_invariants();
    }
    // The end: whoever is waited for is lost, and nothing may be left behind.
    engine_.fence(Outcome::undecided, "the end", driver_.now);
    driver_.settle();
    static_cast<void>(engine_.was_addressed());
  }

 private:
  void step() {
    const std::uint8_t what = input_.byte();
    if ((what & 0x80) == 0) {
      driver_.receive(input_);
    } else {
      act(what & 0x1f);
    }
    if ((what & 0x60) != 0x60) {
      driver_.settle();
    }
  }

  void act(std::uint8_t what) {
    switch (what) {
      case 0:
      case 1:
      case 2:
        return driver_.post(input_);
      case 3:
      case 4:
      case 5:
      case 6:
        return driver_.work(input_);
      case 7:
      case 8:
      case 9:
        return driver_.send(input_);
      case 10:
        return pass(input_.byte() * 100 * kMillisecond);
      case 11:
        return pass(input_.byte() * kMillisecond);
      case 12:
        return cut();
      case 13:
        return lose();
      case 14:
      case 15:
        return resolve();
      case 16:
        return join();
      case 17:
        return enter();
      case 18:
        return prune();
      case 19:
        return driver_.cancel(input_);
      case 20:
        return engine_.set_standing(static_cast<Standing>(1 + input_.below(4)));
      case 21:
        driver_.answer_at_once = !driver_.answer_at_once;
        return;
      case 22:
        return drop_connection();
      case 23:
        return connect_someone();
      case 24:
        return input_.one_in(4) ? engine_.cancel_all("leaving", driver_.now) : driver_.answer_releases();
      default:
        return driver_.receive(input_);
    }
  }

  void pass(Duration duration) {
    driver_.now += duration;
    if (engine_.deadline() <= driver_.now) {
      engine_.tick(driver_.now);
    }
  }

  // --- The roster ---

  void admit(PeerId id, std::uint32_t generation) {
    const auto replica = static_cast<std::uint32_t>(id);
    epoch_.roster.push_back({id, {0, id}, "p" + std::to_string(id), replica, 0, generation, 0, {}});
  }
  std::vector<wire::BaseMember> base() const {
    // Everybody alone, or the first two at one site.
    const bool has_sites = epoch_.roster.back().id % 2 == 0;
    std::vector<wire::BaseMember> members;
    for (const wire::MemberInfo& member : epoch_.roster) {
      const auto site = static_cast<std::uint16_t>(has_sites && members.size() == 1 ? 0 : members.size());
      members.push_back({member.id, 0, 0, false, site});
    }
    return members;
  }
  void adopt() {
    epoch_.decisions.clear();
    for (const auto& [op, decision] : final_) {
      epoch_.decisions.push_back(decision);
    }
    engine_.adopt(epoch_, driver_.now);
    driver_.epoch = epoch_.epoch;
    driver_.cut = epoch_.cut;
  }
  void raise_cut() {
    ++epoch_.epoch.number;
    epoch_.cut = epoch_.epoch;
    resolved_ = false;
    adopt();
    static_cast<void>(engine_.report());
  }
  void cut() { raise_cut(); }
  void lose() {
    if (epoch_.roster.size() < 2) {
      return;
    }
    const wire::MemberInfo gone = input_.one_of(epoch_.roster);
    if (gone.id == kSelf) {
      return;
    }
    std::erase_if(epoch_.roster, [&](const auto& member) { return member.id == gone.id; });
    if (input_.one_in(4)) {
      for (wire::Base& base : epoch_.bases) {
        for (wire::BaseMember& member : base.members) {
          member.left = member.left || member.id == gone.id;
        }
      }
    }
    raise_cut();
    engine_.forget(gone.id, driver_.now);
    driver_.lose_all(gone.id);
  }
  void join() {
    if (!resolved_ || epoch_.roster.size() > 5 || epoch_.bases.size() >= kMaxOpenGenerations) {
      return;
    }
    const std::uint32_t generation = epoch_.bases.back().generation + 1;
    const PeerId id = next_id_++;
    admit(id, generation);
    epoch_.bases.push_back({generation, base()});
    ++epoch_.epoch.number;
    adopt();
    connect(id, true);
  }
  void enter() {
    if (driver_.generation < epoch_.bases.back().generation) {
      ++driver_.generation;
      engine_.enter_generation(driver_.generation, driver_.now);
    }
  }
  // What no member has an op of any more goes; the others' ops are their own.
  void prune() {
    const std::uint32_t oldest = std::min(engine_.oldest_generation(), driver_.generation);
    std::erase_if(epoch_.bases, [&](const wire::Base& base) {
      return base.generation < oldest && base.generation != epoch_.bases.back().generation;
    });
    for (const OpKey& finished : engine_.finished_decisions()) {
      final_.erase(finished);
    }
    ++epoch_.epoch.number;
    if (!resolved_) {
      epoch_.cut = epoch_.epoch;
    }
    adopt();
  }

  // --- Decisions, as the table lets a master make them from this member's report and any of the others' ---

  void resolve() {
    if (resolved_) {
      return;
    }
    resolved_ = true;
    std::vector<wire::Decision> decisions;
    for (const wire::OpReport& report : engine_.report()) {
      decisions.push_back({report.op, draw_verdict(report.status), "decided"});
    }
    if (input_.one_in(4)) {  // of an op that I have not posted
      const OpKey op{0, driver_.generation, input_.below(2), input_.below(6)};
      const bool mine = std::any_of(decisions.begin(), decisions.end(), [&](const auto& d) { return d.op == op; }) ||
                        driver_.posted().contains(op);
      if (!mine && !final_.contains(op)) {
        decisions.push_back({op, input_.one_in(2) ? wire::Verdict::abort : wire::Verdict::resume, "decided"});
      }
    }
    for (wire::Decision& decision : decisions) {
      if (const auto before = final_.find(decision.op); before != final_.end()) {
        decision = before->second;
      } else if (decision.verdict != wire::Verdict::resume) {
        final_[decision.op] = decision;
      }
    }
    engine_.resolve(epoch_.cut, decisions, driver_.now);
  }
  wire::Verdict draw_verdict(wire::OpStatus status) {
    using wire::OpStatus;
    using wire::Verdict;
    switch (status) {
      case OpStatus::committed:
        return Verdict::commit;
      case OpStatus::aborted:
        return Verdict::abort;
      case OpStatus::holds:
        return static_cast<Verdict>(1 + input_.below(3));
      default:
        return input_.one_in(3) ? Verdict::abort : Verdict::resume;
    }
  }

  // --- Connections ---

  void connect(PeerId peer, bool control) {
    if (peer != kSelf && driver_.connections().size() < 12) {
      const ConnId conn = next_conn_++;
      engine_.attach(peer, conn, control, driver_.now);
      driver_.attached(conn, peer);
    }
  }
  void connect_someone() { connect(input_.one_of(epoch_.roster).id, input_.one_in(2)); }
  void drop_connection() {
    const std::vector<ConnId> conns = driver_.connections();
    if (!conns.empty()) {
      driver_.lose(input_.one_of(conns));
    }
  }

  fuzz::Input& input_;
  Engine engine_;
  fuzz::EngineDriver driver_;
  wire::EpochMessage epoch_;
  bool resolved_ = true;
  std::map<OpKey, wire::Decision> final_;
  PeerId next_id_ = kSelf + 50;
  ConnId next_conn_ = 1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Member(input).run();
  return 0;
}
