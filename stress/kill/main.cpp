// seaway_kill: real processes, one of them killed in the middle of an all-reduce, over and over; every sum is checked.
//
// In half of the runs the victim raises SIGKILL itself at a drawn place (a phase of the op and how far into it); in the other
// half it is killed from outside at a drawn time. A run is wrong when a survivor's result is not, bit for bit, the sum over
// exactly the contributors that it reports, when survivors differ, when somebody hangs, or when an input is lost.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "codec/codec.h"
#include "kill/peer.h"
#include "kill/recovery.h"
#include "runtime/master_server.h"
#include "support/figures.h"
#include "support/process.h"

namespace seaway::kill {

namespace {

using support::percentile;
using support::Process;
using support::seconds_now;

constexpr const char* kHelp =
    R"(seaway_kill - kill peers in the middle of all-reduces and check every sum

  --runs N     kills (default 20)
  --seed S     the first run's (default 1); each run has the next. A failing run prints the line that repeats it
  --mib M      megabytes of each op (default 64)
  --codec UP[,DOWN]  bf16, q8 or q4: how contributions travel, and results; for instance q8,q8 (default: as they are)
  --sites N    peers are at N sites, in turn: their all-reduces are hierarchical where several are at one (default 0: none states any)
  --verbose    a line for each run

  --recovery   instead: what a death costs those who go on. Each run has ops without a death before and after the one in which a
               peer is killed, at a drawn moment; told is how much longer that op took than a usual one of the same run
    --peers N      (3 to 7, default 4)
    --plaintext    (otherwise encrypted)
    --lab          each peer in a site of the WAN lab that this runs in, the master where this is; where there are more sites
                   than peers, none is there:  seaway_lab four-and-master --at m -- seaway_kill --recovery --lab --mib 4

Without --recovery, eight runs are encrypted, the next eight in plaintext, and so on.

Exit code 1 when anything was wrong.
)";

constexpr const char* kPhases[] = {"contributing", "reducing", "broadcasting", "HOLD"};
constexpr double kHang = 90;  // seconds

struct Plan {
  unsigned world = 0;
  unsigned victim = 0;
  int op = 0;  // in which it dies
  bool in_place = false;
  bool from_outside = false;
  bool encrypted = false;
  std::string phase;
  std::uint64_t threshold = 0;
  double delay = 0;  // from outside: after its start, in terms of a usual op
};

// How the ops of all runs are.
struct How {
  Codec up = Codec::none;
  Codec down = Codec::none;
  unsigned sites = 0;
};

// False: these are none.
bool parse_codecs(const std::string& text, How& how) {
  const std::size_t comma = text.find(',');
  const auto find = [](const std::string& name, Codec& codec) {
    const auto* const known = std::ranges::find_if(kAllCodecs, [&](Codec one) { return name == name_of(one); });
    codec = known == std::end(kAllCodecs) ? codec : *known;
    return known != std::end(kAllCodecs);
  };
  return find(text.substr(0, comma), how.up) && (comma == std::string::npos || find(text.substr(comma + 1), how.down));
}

// How much of each phase a member of a direct plan has, as it travels.
std::uint64_t amount_of(const std::string& phase, std::uint64_t bytes, unsigned world, const How& how) {
  constexpr std::uint64_t kChunk = Limits{}.chunk_bytes;
  const Codec codec = phase == "broadcasting" ? how.down : how.up;
  const std::uint64_t share = encoded_bytes(codec, bytes / sizeof(float) / world) * (world - 1);
  return phase == "HOLD" ? world - 1 : phase == "reducing" ? std::max<std::uint64_t>(bytes / kChunk / world, 1) : share;
}

Plan draw(std::uint64_t seed, std::uint64_t bytes, const How& how) {
  Random random(Random(seed).next());  // neighbouring seeds have nothing in common
  Plan plan;
  plan.world = static_cast<unsigned>(random.between(3, 6));
  plan.victim = static_cast<unsigned>(random.below(plan.world));
  plan.op = static_cast<int>(random.between(1, 2));
  plan.in_place = random.one_in(2);
  // Half of the kills come from outside, and each phase has an eighth: of 500, none is left to chance.
  plan.from_outside = seed % 2 == 0;
  plan.phase = kPhases[seed / 2 % 4];
  plan.encrypted = seed / 8 % 2 == 0;
  const std::uint64_t amount = amount_of(plan.phase, bytes, plan.world, how);
  // Not beyond 9/10 of it: shares differ by a chunk, and the victim must not outlive its sentence.
  plan.threshold = random.between(1, plan.phase == "HOLD" ? amount : std::max<std::uint64_t>(amount * 9 / 10, 1));
  plan.delay = static_cast<double>(random.below(1200)) / 1000;
  return plan;
}

struct Outcome {
  std::string problem;
  bool killed = false;
  double usual = 0;      // seconds of an op without a death
  double disturbed = 0;  // of the one with it, the slowest survivor
  std::uint64_t resent = 0;
};

Outcome run_once(const char* self, std::uint64_t seed, std::uint64_t bytes, double usual, const How& how) {
  const Plan plan = draw(seed, bytes, how);
  Outcome outcome;
  Error error;
  runtime::MasterServerConfig config;
  config.listen = "127.0.0.1:0";
  config.plaintext = !plan.encrypted;
  const auto master = runtime::MasterServer::start(config, nullptr, error);
  if (!master) {
    outcome.problem = "no master: " + error.text;
    return outcome;
  }
  std::vector<std::unique_ptr<Process>> peers;
  std::vector<Process*> listened;
  for (unsigned rank = 0; rank < plan.world; ++rank) {
    Process::Environment environment;
    if (rank == plan.victim && !plan.from_outside) {
      environment = {
          {"SEAWAY_KILL", plan.phase + ":" + std::to_string(plan.op) + ":" + std::to_string(plan.threshold)}};
    }
    const std::vector<std::string> words =
        words_of({plan.encrypted ? master->join_string() : master->address(), rank, plan.world, bytes, plan.in_place,
                  seed, 2, "127.0.0.1:0", "", how.up, how.down, how.sites});
    peers.push_back(std::make_unique<Process>(self, words, environment));
    listened.push_back(peers.back().get());
  }

  const double give_up = seconds_now() + kHang;
  double kill_at = -1;
  bool sent = false;
  const std::string mark = "start " + std::to_string(plan.op) + "\n";
  while (std::any_of(peers.begin(), peers.end(), [](const auto& peer) { return peer->is_open(); })) {
    const double now = seconds_now();
    if (now > give_up) {
      outcome.problem = "somebody hangs";
      break;
    }
    if (plan.from_outside && kill_at < 0 && peers[plan.victim]->output().find(mark) != std::string::npos) {
      kill_at = now + plan.delay * usual;
    }
    if (kill_at > 0 && now >= kill_at && !sent) {
      peers[plan.victim]->signal(SIGKILL);
      sent = true;
    }
    support::listen(listened, kill_at > 0 && !sent ? std::min(give_up, kill_at) : give_up);
  }

  std::map<int, OpLine> first;
  for (unsigned rank = 0; rank < plan.world; ++rank) {
    Process& peer = *peers[rank];
    if (peer.is_open()) {
      peer.signal(SIGKILL);
    }
    const int status = peer.wait();
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (rank == plan.victim) {
      outcome.killed = killed;
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {  // all of them: where a hang is, several tell
      outcome.problem += (outcome.problem.empty() ? "peer " : "\npeer ") + std::to_string(rank) + " failed (" +
                         support::status_in_words(status) + "): " + peer.output() + peer.errors();
    }
    // The dead too: whoever was told of success was told the same.
    for (const auto& [op, line] : ok_lines(peer.output())) {
      const auto [known, is_new] = first.emplace(op, line);
      if (!is_new && outcome.problem.empty() &&
          (known->second.hash != line.hash || known->second.contributors != line.contributors)) {
        outcome.problem = "op " + std::to_string(op) + " has different results: " + known->second.hash + " over " +
                          known->second.contributors + ", " + line.hash + " over " + line.contributors;
      }
      if (rank != plan.victim && op < 3) {
        double& slowest = op == plan.op ? outcome.disturbed : outcome.usual;
        slowest = std::max(slowest, line.seconds);
        outcome.resent += op == plan.op ? line.resent : 0;
      }
    }
  }
  return outcome;
}

struct Tally {
  unsigned kills = 0;
  std::vector<double> seconds;
  std::vector<double> resent;
};

int run_all(const char* self, unsigned runs, std::uint64_t seed, std::uint64_t mib, bool verbose, const How& how) {
  const std::uint64_t bytes = mib << 20;
  std::map<std::string, Tally> tallies;
  std::vector<double> usual{0.3};
  unsigned failed = 0;
  unsigned not_killed = 0;
  const double began = seconds_now();
  for (unsigned i = 0; i < runs; ++i) {
    const Plan plan = draw(seed + i, bytes, how);
    const Outcome outcome = run_once(self, seed + i, bytes, percentile(usual, .5), how);
    const std::string phase = plan.from_outside ? "from outside" : plan.phase;
    if (!outcome.problem.empty()) {
      ++failed;
      std::printf("FAILED: %s\nrepeat it: seaway_kill --runs 1 --seed %llu --mib %llu --codec %s,%s --sites %u\n",
                  outcome.problem.c_str(), static_cast<unsigned long long>(seed + i),
                  static_cast<unsigned long long>(mib), name_of(how.up), name_of(how.down), how.sites);
    }
    if (!outcome.killed) {
      ++not_killed;
    } else {
      Tally& tally = tallies[phase];
      ++tally.kills;
      tally.seconds.push_back(outcome.disturbed);
      tally.resent.push_back(static_cast<double>(outcome.resent) / (1 << 20));
    }
    if (outcome.usual > 0) {
      usual.push_back(outcome.usual);
    }
    if (verbose) {
      std::printf("run %u: %u peers, %s, %s, op %d: %s; %.3f s with the death, %.3f s without\n", i + 1, plan.world,
                  plan.in_place ? "in place" : "out of place", plan.encrypted ? "encrypted" : "plaintext", plan.op,
                  phase.c_str(), outcome.disturbed, outcome.usual);
    } else if (isatty(STDERR_FILENO) != 0) {
      std::fprintf(stderr, "\r%u of %u kills, %u failed ", i + 1, runs, failed);
    }
    std::fflush(stdout);
  }
  std::printf("%-14s %6s  %22s  %22s\n", "killed while", "kills", "seconds p50 / p99", "MiB sent again p50 / max");
  for (const auto& [phase, tally] : tallies) {
    std::printf("%-14s %6u  %10.3f / %9.3f  %10.1f / %9.1f\n", phase.c_str(), tally.kills,
                percentile(tally.seconds, .5), percentile(tally.seconds, .99), percentile(tally.resent, .5),
                percentile(tally.resent, 1));
  }
  std::printf("%u runs of %llu MiB, 3 to 6 peers, in %.0f s; an op without a death took %.3f s (median)\n", runs,
              static_cast<unsigned long long>(mib), seconds_now() - began, percentile(usual, .5));
  std::printf("%u victims had ended before their time\n", not_killed);
  std::printf("%u passed, %u failed\n", runs - failed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

}  // namespace seaway::kill

int main(int argc, char** argv) {
  using namespace seaway::kill;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (PeerArguments peer; parse(words, peer)) {
    return run_peer(peer);
  }
  unsigned runs = 20;
  std::uint64_t seed = 1;
  std::uint64_t mib = 64;
  unsigned world = 4;
  bool verbose = false;
  bool recovery = false;
  bool lab = false;
  bool plaintext = false;
  How how;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--help") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    const std::map<std::string, bool*> flags{
        {"--verbose", &verbose}, {"--recovery", &recovery}, {"--lab", &lab}, {"--plaintext", &plaintext}};
    if (const auto flag = flags.find(words[i]); flag != flags.end()) {
      *flag->second = true;
    } else if (words[i] == "--peers" && has_value) {
      world = std::clamp(static_cast<unsigned>(std::strtoul(words[++i].c_str(), nullptr, 10)), 3U, 7U);
    } else if (words[i] == "--runs" && has_value) {
      runs = static_cast<unsigned>(std::strtoul(words[++i].c_str(), nullptr, 10));
    } else if (words[i] == "--seed" && has_value) {
      seed = std::strtoull(words[++i].c_str(), nullptr, 10);
    } else if (words[i] == "--codec" && has_value && parse_codecs(words[i + 1], how)) {
      ++i;
    } else if (words[i] == "--sites" && has_value) {
      how.sites = static_cast<unsigned>(std::strtoul(words[++i].c_str(), nullptr, 10));
    } else if (words[i] == "--mib" && has_value) {
      mib = std::max(1ULL, std::strtoull(words[++i].c_str(), nullptr, 10));
    } else {
      std::fprintf(stderr, "seaway_kill: \"%s\" is not understood; --help\n", words[i].c_str());
      return 2;
    }
  }
  if (recovery) {
    return measure_recovery({runs, seed, mib << 20, world, lab, !plaintext, verbose});
  }
  if (lab || plaintext) {
    std::fprintf(stderr, "seaway_kill: --lab and --plaintext are of --recovery\n");
    return 2;
  }
  return run_all("/proc/self/exe", runs, seed, mib, verbose, how);
}
