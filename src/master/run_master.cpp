#include <pthread.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "master/commands.h"
#include "master/service_manager.h"
#include "runtime/master_server.h"
#include "store/sqlite_table.h"

namespace seaway {

namespace {

constexpr const char* kHelp =
    R"(seaway master - keep the membership of one run

  --listen HOST:PORT   where peers connect. Port 0 draws one. An empty host (":7117") is every address.
                       Default 127.0.0.1:7117
  --state DIR          keep the membership in DIR (made if it is not there), so that it outlives this process: a master that is
                       started again goes on where this one was. Back up the whole folder while no master runs, or
                       run.sqlite with "sqlite3 DIR/run.sqlite .backup". Without it the membership is in memory, and a master that
                       is started again on the same address gets it back from the peers: no peer restarts either way, but
                       what is weaker then is said in docs/PROTOCOL.md, section 1
  --plaintext          required: connections are neither encrypted nor authenticated. Whoever reaches the port can join and
                       read. For a private network
  --quiet              do not log decisions to stderr

Prints "listening on HOST:PORT" on stdout first. Peers join that address (SEAWAY_MASTER=HOST:PORT).

SIGTERM and SIGINT end it: what is decided gets out first, peers go on without a master. It ends by itself, with exit code 1,
when another master has taken the run over or when DIR holds an older copy than its peers know: start it again.
Under systemd use Type=notify (seaway-master.service comes with it).
SEAWAY_TIME_SCALE=F (for tests) multiplies every time-out of the run.
)";

// Each peer is a connection, each stranger too.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void log_line(const std::string& text) {
  std::timespec now{};
  std::timespec_get(&now, TIME_UTC);
  std::tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%H:%M:%S", &utc);
  std::fprintf(stderr, "%s.%03ld %s\n", stamp, now.tv_nsec / 1'000'000, text.c_str());
}

std::uint32_t ladder_percent() {
  const char* scale = std::getenv("SEAWAY_TIME_SCALE");
  const double factor = scale != nullptr ? std::strtod(scale, nullptr) : 1;
  return factor >= 0.05 && factor <= 100 ? static_cast<std::uint32_t>(factor * 100) : 100;
}

}  // namespace

int run_master(const std::vector<std::string>& words) {
  runtime::MasterServerConfig config;
  config.listen = kDefaultAddress;
  config.ladder_percent = ladder_percent();
  config.log = log_line;
  std::string state;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (word == "--listen" && i + 1 < words.size()) {
      config.listen = words[++i];
    } else if (word.starts_with("--listen=")) {
      config.listen = word.substr(9);
    } else if (word == "--state" && i + 1 < words.size()) {
      state = words[++i];
    } else if (word.starts_with("--state=")) {
      state = word.substr(8);
    } else if (word == "--plaintext") {
      config.plaintext = true;
    } else if (word == "--quiet") {
      config.log = nullptr;
    } else {
      std::fprintf(stderr, "seaway master: \"%s\" is not understood; seaway master --help\n", word.c_str());
      return kUsage;
    }
  }
  if (!config.plaintext) {
    std::fputs(
        "seaway master: this version has no encryption: give --plaintext to run unencrypted and unauthenticated on a "
        "private "
        "network\n",
        stderr);
    return kUsage;
  }
  raise_descriptor_limit();
  // Before the server's thread starts: it inherits the mask, and the signals wait for sigtimedwait.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  std::unique_ptr<store::Store> store;
  if (!state.empty()) {
    std::string problem;
    std::unique_ptr<store::Table> table = store::open_sqlite(state, problem);
    if (!table) {
      std::fprintf(stderr, "seaway master: %s\n", problem.c_str());
      return kFailed;
    }
    store = std::make_unique<store::Store>(std::move(table), log_line);
  }
  Error error;
  const std::unique_ptr<runtime::MasterServer> server = runtime::MasterServer::start(config, std::move(store), error);
  if (!server) {
    std::fprintf(stderr, "seaway master: %s\n", error.text.c_str());
    return error.status == Status::invalid ? kUsage : kFailed;
  }
  tell_service_manager("READY=1\nSTATUS=listening on " + server->address());
  std::printf("listening on %s\n", server->address().c_str());
  std::printf("plaintext: nothing is encrypted, and whoever reaches this port can join\n");
  std::fflush(stdout);

  for (;;) {
    constexpr timespec kLook{.tv_sec = 0, .tv_nsec = 100'000'000};
    if (sigtimedwait(&ends, nullptr, &kLook) > 0) {
      tell_service_manager("STOPPING=1");
      server->drain();
      return 0;
    }
    std::string why;
    switch (server->ended(why)) {
      case runtime::MasterServer::End::none:
        break;
      case runtime::MasterServer::End::stepped_down:
        std::fprintf(stderr, "seaway master: it has stepped down: %s\n", why.c_str());
        return kFailed;
      case runtime::MasterServer::End::bug:
        std::fprintf(stderr, "seaway master: a bug: %s\n", why.c_str());
        return kBug;
    }
  }
}

}  // namespace seaway
