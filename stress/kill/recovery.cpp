#include "kill/recovery.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kill/peer.h"
#include "lab/inside.h"
#include "runtime/master_server.h"
#include "support/figures.h"
#include "support/process.h"

namespace seaway::kill {

namespace {

using support::percentile;
using support::Process;
using support::seconds_now;

// The first ops are slow: connections find out how fast they may be. The last of these say what is usual.
constexpr int kFirstUsual = 3;
constexpr int kLastUsual = 5;
constexpr int kKilled = 6;  // in this op one dies
constexpr int kOps = 7;
constexpr double kHang = 120;  // seconds

struct Places {
  std::string master = "127.0.0.1:0";
  std::vector<std::string> listen;
  std::vector<std::string> spaces;
};

// False when the lab has not enough sites.
bool find_places(const RecoveryOptions& options, Places& places) {
  if (!options.lab) {
    places.listen.assign(options.world, "127.0.0.1:0");
    places.spaces.assign(options.world, "");
    return true;
  }
  const lab::Inside lab = lab::inside();
  const char* text = std::getenv("LAB_ADDRESS");
  const std::string here = text == nullptr ? "" : text;
  const bool alone = lab.addresses.size() > options.world;  // the master
  for (std::size_t i = 0; i < std::min(lab.addresses.size(), lab.spaces.size()); ++i) {
    if (!alone || lab.addresses[i] != here) {
      places.listen.push_back(lab.addresses[i] + ":0");
      places.spaces.push_back(lab.spaces[i]);
    }
  }
  places.master = here + ":0";
  return places.listen.size() >= options.world;
}

struct Recovery {
  std::string problem;
  double usual = 0;      // seconds of an op, of its slowest peer
  double beyond = 0;     // how much longer the op with the death took, at the slowest survivor
  double from_kill = 0;  // from the kill until the slowest survivor had the result
};

using Peers = std::vector<std::unique_ptr<Process>>;

double slowest(const Peers& peers, int op, unsigned but) {
  double seconds = 0;
  for (unsigned rank = 0; rank < peers.size(); ++rank) {
    const std::map<int, OpLine> lines = ok_lines(peers[rank]->output());
    if (const auto line = lines.find(op); rank != but && line != lines.end()) {
      seconds = std::max(seconds, line->second.seconds);
    }
  }
  return seconds;
}

// The middle one of those before the death, which all peers have ended when one of them starts the next.
double usual_of(const Peers& peers) {
  std::vector<double> seconds;
  for (int op = kFirstUsual; op <= kLastUsual; ++op) {
    seconds.push_back(slowest(peers, op, static_cast<unsigned>(peers.size())));
  }
  return percentile(seconds, .5);
}

// Lets them run, kills one a part of a usual op after it has begun its last: when that was. Negative when somebody hangs.
double run_and_kill(const Peers& peers, unsigned victim, double part) {
  std::vector<Process*> listened;
  for (const auto& peer : peers) {
    listened.push_back(peer.get());
  }
  const std::string mark = "start " + std::to_string(kKilled) + "\n";
  const double give_up = seconds_now() + kHang;
  double kill_at = -1;
  double killed = 0;
  while (std::any_of(peers.begin(), peers.end(), [](const auto& peer) { return peer->is_open(); })) {
    const double now = seconds_now();
    if (now > give_up) {
      return -1;
    }
    if (kill_at < 0 && peers[victim]->output().find(mark) != std::string::npos) {
      kill_at = now + part * usual_of(peers);
    }
    if (kill_at > 0 && killed == 0 && now >= kill_at) {
      peers[victim]->signal(SIGKILL);
      killed = now;
    }
    support::listen(listened, kill_at > 0 && killed == 0 ? kill_at : give_up);
  }
  return killed;
}

Recovery run_once(const RecoveryOptions& options, const Places& places, std::uint64_t seed) {
  Recovery recovery;
  Error error;
  runtime::MasterServerConfig config;
  config.listen = places.master;
  config.plaintext = !options.encrypted;
  const auto master = runtime::MasterServer::start(config, nullptr, error);
  if (!master) {
    recovery.problem = "no master: " + error.text;
    return recovery;
  }
  Random random(Random(seed).next());
  const auto victim = static_cast<unsigned>(random.below(options.world));
  const double part = static_cast<double>(random.below(700)) / 1000;  // later there may be nothing left to lose
  Peers peers;
  for (unsigned rank = 0; rank < options.world; ++rank) {
    peers.push_back(std::make_unique<Process>(
        "/proc/self/exe", words_of({options.encrypted ? master->join_string() : master->address(), rank, options.world,
                                    options.bytes, false, seed, kOps, places.listen[rank], places.spaces[rank]})));
  }
  const double killed = run_and_kill(peers, victim, part);
  if (killed < 0) {
    recovery.problem = "somebody hangs";
    return recovery;
  }
  double last = 0;
  std::string hash;
  for (unsigned rank = 0; rank < options.world; ++rank) {
    const int status = peers[rank]->wait();
    if (rank == victim) {
      continue;
    }
    const std::map<int, OpLine> lines = ok_lines(peers[rank]->output());
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !lines.contains(kKilled)) {
      recovery.problem = "peer " + std::to_string(rank) + " failed (" + support::status_in_words(status) +
                         "): " + peers[rank]->output() + peers[rank]->errors();
      return recovery;
    }
    const OpLine& line = lines.at(kKilled);
    if (!hash.empty() && hash != line.hash) {
      recovery.problem = "survivors have different results";
    }
    hash = line.hash;
    last = std::max(last, line.ended);
  }
  recovery.usual = usual_of(peers);
  recovery.beyond = slowest(peers, kKilled, victim) - recovery.usual;
  recovery.from_kill = last - killed;
  return recovery;
}

}  // namespace

int measure_recovery(const RecoveryOptions& options) {
  Places places;
  if (!find_places(options, places)) {
    std::fprintf(stderr, "seaway_kill: --lab: there are not %u sites; start it with seaway_lab --at\n", options.world);
    return 2;
  }
  std::vector<double> usual;
  std::vector<double> beyond;
  std::vector<double> from_kill;
  unsigned failed = 0;
  for (unsigned i = 0; i < options.runs; ++i) {
    const Recovery recovery = run_once(options, places, options.seed + i);
    if (!recovery.problem.empty()) {
      ++failed;
      std::printf("FAILED, seed %llu: %s\n", static_cast<unsigned long long>(options.seed + i),
                  recovery.problem.c_str());
      continue;
    }
    usual.push_back(recovery.usual);
    beyond.push_back(recovery.beyond);
    from_kill.push_back(recovery.from_kill);
    if (options.verbose) {
      std::printf("run %u: usually %.3f s; with the death %.3f s more; %.3f s after the kill\n", i + 1, recovery.usual,
                  recovery.beyond, recovery.from_kill);
      std::fflush(stdout);
    }
  }
  std::printf("%u kills, one of %u peers, %llu KiB, %s\n", options.runs - failed, options.world,
              static_cast<unsigned long long>(options.bytes >> 10), options.encrypted ? "encrypted" : "plaintext");
  std::printf("%-44s %8s %8s %8s\n", "seconds", "p50", "p99", "most");
  for (const auto& [name, list] :
       {std::pair("an op without a death", &usual), std::pair("with it, beyond that", &beyond),
        std::pair("from the kill to the survivors' result", &from_kill)}) {
    std::printf("%-44s %8.3f %8.3f %8.3f\n", name, percentile(*list, .5), percentile(*list, .99), percentile(*list, 1));
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace seaway::kill
