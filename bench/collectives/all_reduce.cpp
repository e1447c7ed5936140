// The parent of a collective's benchmark: a master in this process, one worker process per peer, each at two pipes.
#include <fcntl.h>
#include <seaway/master.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "collectives/commands.h"
#include "collectives/report.h"
#include "lab/inside.h"

namespace seaway::bench {

namespace {

struct Worker {
  pid_t pid = 0;
  std::FILE* to = nullptr;
  std::FILE* from = nullptr;

  bool say(const std::string& text) const { return std::fputs(text.c_str(), to) >= 0 && std::fflush(to) == 0; }
  // The next line without its end; "" when the worker is gone.
  std::string line() const {
    char text[128];
    if (std::fgets(text, sizeof text, from) == nullptr) {
      return "";
    }
    std::string result(text);
    result.erase(std::min(result.find('\n'), result.size()));
    return result;
  }
};

Worker spawn(const std::vector<std::string>& words) {
  int down[2];
  int up[2];
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
    return {};
  }
  Worker worker;
  worker.pid = fork();
  if (worker.pid == 0) {
    dup2(down[0], STDIN_FILENO);
    dup2(up[1], STDOUT_FILENO);
    std::vector<char*> argv{const_cast<char*>("seaway_bench")};
    for (const std::string& word : words) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  worker.to = fdopen(down[1], "w");
  worker.from = fdopen(up[0], "r");
  return worker;
}

Measured measure(const std::vector<Worker>& workers, unsigned runs) {
  Measured measured;
  measured.seconds.resize(runs);
  for (const Worker& worker : workers) {
    if (!worker.say("run " + std::to_string(runs) + "\n")) {
      return {};
    }
  }
  for (const Worker& worker : workers) {
    for (double& slowest : measured.seconds) {
      slowest = std::max(slowest, std::atof(worker.line().c_str()));
    }
    double cpu = 0;
    unsigned long long peak = 0;
    unsigned long long grown = 0;
    unsigned threads = 0;
    if (std::sscanf(worker.line().c_str(), "cpu %lf peak %llu grown %llu threads %u", &cpu, &peak, &grown, &threads) !=
            4 ||
        worker.line() != "done") {
      return {};
    }
    measured.cpu_seconds += cpu;
    measured.peak_kib = std::max<std::uint64_t>(measured.peak_kib, peak);
    measured.grown_kib = std::max<std::uint64_t>(measured.grown_kib, grown);
    measured.threads = std::max(measured.threads, threads);
  }
  measured.good = true;
  return measured;
}

bool is_right(const std::vector<Worker>& workers) {
  return std::all_of(workers.begin(), workers.end(),
                     [](const Worker& worker) { return worker.say("check\n") && worker.line() == "right"; });
}

// For each line of standard input as many runs as it says, 1 if it says nothing, and one line of figures: so another program
// can take turns with another library.
bool take_turns(const std::vector<Worker>& workers) {
  std::printf("ready\n");
  std::fflush(stdout);
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    const Measured turn = measure(workers, static_cast<unsigned>(std::max(1, std::atoi(line))));
    if (!turn.good) {
      return false;
    }
    print_turn(turn);
  }
  return true;
}

bool drive(const Options& options, const std::vector<Worker>& workers) {
  for (const Worker& worker : workers) {
    if (worker.line() != "ready") {
      return false;
    }
  }
  if (options.warmup > 0 && !measure(workers, options.warmup).good) {
    return false;
  }
  if (options.turns) {
    return take_turns(workers) && is_right(workers);
  }
  const Measured measured = measure(workers, options.runs);
  if (!measured.good) {
    return false;
  }
  if (!is_right(workers)) {
    std::fprintf(stderr, "seaway_bench: a result is wrong\n");
    return false;
  }
  print_collective(options, measured);
  return true;
}

}  // namespace

int run_collective(const Options& options) {
  signal(SIGPIPE, SIG_IGN);
  seaway_master_config config;
  seaway_master_config_init(&config, sizeof config);
  config.plaintext = options.encrypted ? 0 : 1;
  const lab::Inside lab = lab::inside();
  if (options.lab && lab.addresses.size() < options.peers) {
    std::fprintf(stderr,
                 "seaway_bench: --lab: of %u sites that it takes there are %zu; start it with seaway_lab --at\n",
                 options.peers, lab.addresses.size());
    return 2;
  }
  const char* here = std::getenv("LAB_ADDRESS");
  const std::string listen = std::string(options.lab && here != nullptr ? here : "127.0.0.1") + ":0";
  config.listen = listen.c_str();
  seaway_master* master = nullptr;
  if (seaway_master_start(&master, &config, nullptr) != SEAWAY_OK) {
    std::fprintf(stderr, "seaway_bench: no master can be started on the loopback\n");
    return 1;
  }
  std::vector<Worker> workers;
  Options of_worker = options;
  of_worker.master = options.encrypted ? seaway_master_join_string(master) : seaway_master_address(master);
  bool good = true;
  for (unsigned rank = 0; rank < options.peers && good; ++rank) {
    of_worker.rank = rank;
    workers.push_back(spawn(worker_words(of_worker)));
    good = workers.back().to != nullptr && workers.back().from != nullptr;
  }
  good = good && drive(options, workers);
  for (const Worker& worker : workers) {
    if (worker.to != nullptr) {
      std::fclose(worker.to);  // which is the word to leave
    }
  }
  for (const Worker& worker : workers) {
    int status = 0;
    if (worker.pid > 0) {
      waitpid(worker.pid, &status, 0);
    }
    good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (worker.from != nullptr) {
      std::fclose(worker.from);
    }
  }
  seaway_master_stop(master);
  return good ? 0 : 1;
}

}  // namespace seaway::bench
