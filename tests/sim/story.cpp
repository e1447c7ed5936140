#include "sim/story.h"

#include <cstdio>
#include <functional>
#include <string>

#include "sim/master_process.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

namespace {

constexpr Duration kLook = 500 * kMicrosecond;
constexpr Duration kPatience = 30 * kSecond;  // a chapter that takes longer has gone wrong

Options plain() {
  Options o;
  o.seed = 2;
  o.replicas = 4;
  o.updates = 0;  // the story makes the calls itself
  o.faults = 0;
  o.limits.chunk_bytes = 256;
  o.limits.one_shot_bytes = 0;
  o.latency = 20 * kMillisecond;
  o.bytes_per_ms = 40;
  return o;
}

class Story {
 public:
  Story() : world_(plain()) {}

  void tell() {
    everybody_joins();
    one_is_killed();
    survivors_commit();
    another_joins();
    std::printf("\nEvery result above was compared, bit by bit, with a second implementation: %llu comparisons.\n",
                static_cast<unsigned long long>(world_.checker.reductions_checked()));
  }

 private:
  void everybody_joins() {
    std::puts(
        "A master and four peers, each on a machine of its own, 20 ms apart. Nothing here is mocked but the\n"
        "network and the clock: the membership, the op engine and every byte are the library's own.\n");
    world_.begin();
    until("four peers are members", [this] { return members() == 4; });
    say("Four peers have found the master and one another. They are epoch 1.");
  }

  void one_is_killed() {
    say("All four call all_reduce: 600 floats, a sum. Each is root of a share: it collects that share from the");
    more("others, adds it up and sends the sum back.");
    post(0);
    until("peer h2 contributes", [this] { return phase(1) == "contributing and reducing"; });
    say("h2 is killed in the middle of it. Its kernel says FIN to everybody.");
    world_.sites[1]->finished = true;  // it does not come back
    world_.sites[1]->process->crash(false);
    killed_ = world_.clock.now();
    until("the survivors know",
          [this] { return everyone([](const PeerProcess& p) { return p.core().cut().number > 0; }); });
    say("The master has taken h2 out of the roster. The survivors stop promising anything (they are frozen) and");
    more("report how far they are. None had the whole sum, so the decision is: RESUME, over the three that are left.");
  }

  void survivors_commit() {
    until("the survivors commit", [this] { return world_.stats.ops["committed"] >= 3; });
    const Duration took = world_.clock.now() - killed_;
    const bool resumed = everyone([](const PeerProcess& p) {
      for (const wire::OpReport& op : const_cast<PeerProcess&>(p).core().engine().report()) {
        if (op.status == wire::OpStatus::committed && op.value.attempt != p.core().cut()) {
          return false;
        }
      }
      return true;
    });
    if (!resumed) {
      throw Violation("the story: the op was not resumed");
    }
    say("All three are told: committed, with the same bits, over the three survivors. What they had received was");
    more("kept; only h2's share was dealt out anew. From the kill to here: " + ms(took) + " ms. Nobody called again.");
  }

  void another_joins() {
    world_.add_replica();
    say("A newcomer starts. It dials everybody; training goes on meanwhile.");
    until("the newcomer has links to all",
          [this] { return world_.sites[4]->process && world_.sites[4]->process->links().size() >= 6; });
    say("It is linked to all three. The members call update(), the one point where others may join.");
    until("it is admitted", [this] {
      for (PeerProcess* peer : world_.living()) {
        if (peer->is_member() && peer->core().waits_for().empty() && members() < 4) {
          peer->update();
        }
      }
      world_.run_until(world_.clock.now() + 20 * kMillisecond, false);
      return members() == 4 && everyone([this](const PeerProcess& p) {
               return p.core().generation() == world_.sites[4]->process->core().generation();
             });
    });
    say("It is admitted, at the same update for everybody. They are four again.");
    const std::uint64_t before = world_.stats.ops["committed"];
    post(1);
    until("all four commit", [this, before] { return world_.stats.ops["committed"] == before + 4; });
    say("The next all_reduce commits over four, the newcomer among them.");
  }

  // --- Making calls, looking on ---

  void post(std::uint32_t index) {
    collective::Descriptor op;
    op.count = 600;
    for (PeerProcess* peer : world_.living()) {
      if (peer->is_member() && !peer->post(op, PlannedOp{0, 0, index})) {
        throw Violation("the story: a member's call was not taken");
      }
      peer->pump();
    }
  }

  std::size_t members() const {
    std::size_t count = 0;
    for (const PeerProcess* peer : world_.living()) {
      count += peer->is_member() ? 1 : 0;
    }
    return count;
  }

  bool everyone(const std::function<bool(const PeerProcess&)>& holds) const {
    for (const PeerProcess* peer : world_.living()) {
      if (peer->is_member() && !holds(*peer)) {
        return false;
      }
    }
    return true;
  }

  // Of the first op that is running there. Handles are small numbers that the engine counts up.
  std::string phase(std::size_t site) {
    if (!world_.sites[site]->process) {
      return "";
    }
    collective::Engine& engine = world_.sites[site]->process->core().engine();
    for (OpHandle op = 1; op < 10; ++op) {
      if (const auto progress = engine.progress(op)) {
        return progress->phase;
      }
    }
    return "";
  }

  void until(const char* what, const std::function<bool()>& moment) {
    const Time end = world_.clock.now() + kPatience;
    while (!moment()) {
      if (world_.clock.now() >= end) {
        throw Violation(std::string("the story: never came to \"") + what + "\"");
      }
      // An event of its own, so that time passes also when nothing happens.
      world_.clock.after(kLook, [] {});
      world_.run_until(world_.clock.now() + kLook, false);
    }
  }

  static std::string ms(Duration duration) { return std::to_string(duration / kMillisecond); }
  void say(const std::string& text) { std::printf("%6s ms  %s\n", ms(world_.clock.now()).c_str(), text.c_str()); }
  static void more(const std::string& text) { std::printf("           %s\n", text.c_str()); }

  World world_;
  Time killed_ = 0;
};

}  // namespace

int tell_story() {
  try {
    Story().tell();
    return 0;
  } catch (const std::exception& error) {
    std::printf("FAILED %s\n", error.what());
    return 1;
  }
}

}  // namespace seaway::sim
