#include <pthread.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"
#include "master/authority_files.h"
#include "master/commands.h"
#include "master/service_manager.h"
#include "net/address.h"
#include "runtime/communicator.h"
#include "runtime/master_server.h"
#include "store/sqlite_table.h"

namespace seaway {

namespace {

constexpr const char* kHelp =
    R"(seaway master - keep the membership of one run

  --listen HOST:PORT   where peers connect. Port 0 draws one. An empty host (":7117") is every address.
                       Default 127.0.0.1:7117
  --state DIR          keep the membership in DIR (made if it is not there), so that it outlives this process: a master that is
                       started again goes on where this one was. DIR also has the run's certificate authority (ca.pem: back that
                       up) and join strings (join, admin). Without it membership and authority end with this process: peers go
                       on without a master. With --plaintext one that is started again on the same address gets the
                       membership back from them; what is weaker then: docs/PROTOCOL.md, section 1
  --advertise HOST:PORT  how peers reach this master, for the join string; up to 8 times. Default: where it listens
  --certificate-hours H  how long a peer's certificate is good. Default 24; it is renewed at half of that
  --ca FILE --cert FILE --key FILE   (PEM) peers enrol with certificates of an own PKI in place of a join string: whoever shows one
                       that an authority in --ca vouches for may join, and this master shows --cert, which has to name its
                       host. The files are read once: start the master again when --cert is renewed
  --plaintext          connections are neither encrypted nor authenticated: whoever reaches the port can join and read. For a
                       private network; every peer has to ask for it too
  --quiet              do not log decisions to stderr

Prints "listening on HOST:PORT" on stdout first, then the join string: SEAWAY_JOIN for peers. It has a secret in it.
With --plaintext peers join the address (SEAWAY_MASTER=HOST:PORT).

SIGTERM and SIGINT end it: what is decided gets out first, peers go on without a master. It ends by itself, with exit code 1,
when another master has taken the run over or when DIR holds an older copy than its peers know: start it again.
Under systemd use Type=notify (seaway-master.service comes with it).
SEAWAY_TIME_SCALE=F (for tests) multiplies every time-out of the run.
)";

// Each peer is a connection, each stranger too. Returns how many there may be.
rlim_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
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

// On stdout, and for those on this machine in files: arguments and the environment of a process are easier to see than they are.
int tell_join_strings(const runtime::MasterServer& server, const std::string& state, bool has_pki) {
  const std::string join = server.join_string();
  if (has_pki) {
    std::printf("certificates of --ca let peers join%s\n", join.empty() ? "" : ", and so do tokens: seaway token list");
  } else if (join.empty()) {
    std::printf("no token lets anybody join: seaway token new\n");
  } else {
    std::printf("join string: %s\n", join.c_str());
  }
  if (state.empty()) {
    std::printf(
        "without --state the certificate authority ends with this process: peers then go on without a master\n");
    return 0;
  }
  std::string problem;
  for (const auto& [name, text] : {std::pair{"/join", join}, std::pair{"/admin", server.admin_string()}}) {
    if (!text.empty() && !write_private(state + name, text + "\n", problem)) {
      std::fprintf(stderr, "seaway master: %s\n", problem.c_str());
      return kFailed;
    }
  }
  return 0;
}

struct Wanted {
  runtime::MasterServerConfig config;
  std::string state;
  runtime::PkiFiles pki;
};

// The files' contents. False: stderr says what is wrong.
bool take_pki(Wanted& wanted) {
  const runtime::PkiFiles& pki = wanted.pki;
  if (pki.authorities.empty() && pki.certificate.empty() && pki.key.empty()) {
    return true;
  }
  std::string problem;
  if (pki.authorities.empty() || pki.certificate.empty() || pki.key.empty()) {
    problem =
        "--ca, --cert and --key go together: the authorities of an own PKI, this master's certificate and its key";
  } else if (wanted.config.plaintext) {
    problem = "--plaintext has no certificates: leave --ca, --cert and --key out";
  } else {
    wanted.config.pki = net::Pki::load(pki.authorities, pki.certificate, pki.key, problem);
  }
  if (!wanted.config.pki) {
    std::fprintf(stderr, "seaway master: %s\n", problem.c_str());
  }
  return wanted.config.pki != nullptr;
}

bool take_address(const std::string& text, std::vector<std::string>& into) {
  std::string problem;
  const auto address = net::parse_host_port(text, problem);
  if (!address || address->host.empty() || address->port == 0 || into.size() == kMaxAddresses) {
    std::fprintf(stderr, "seaway master: --advertise takes HOST:PORT, up to 8 times, not \"%s\"\n", text.c_str());
    return false;
  }
  into.push_back(text);
  return true;
}

bool take_hours(const std::string& text, std::int64_t& seconds) {
  constexpr double kMost = 24.0 * 365;
  const double hours = std::strtod(text.c_str(), nullptr);
  if (std::isnan(hours) || hours <= 0 || hours > kMost) {
    std::fprintf(stderr, "seaway master: --certificate-hours takes hours, not \"%s\"\n", text.c_str());
    return false;
  }
  seconds = static_cast<std::int64_t>(std::ceil(hours * 3600));
  return true;
}

// An exit code when there is nothing more to do.
std::optional<int> read_words(const std::vector<std::string>& words, Wanted& wanted) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool has_value = i + 1 < words.size();
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (word == "--listen" && has_value) {
      wanted.config.listen = words[++i];
    } else if (word.starts_with("--listen=")) {
      wanted.config.listen = word.substr(9);
    } else if (word == "--state" && has_value) {
      wanted.state = words[++i];
    } else if (word.starts_with("--state=")) {
      wanted.state = word.substr(8);
    } else if (word == "--advertise" && has_value) {
      if (!take_address(words[++i], wanted.config.advertise)) {
        return kUsage;
      }
    } else if (word == "--certificate-hours" && has_value) {
      if (!take_hours(words[++i], wanted.config.certificate_s)) {
        return kUsage;
      }
    } else if (word == "--ca" && has_value) {
      wanted.pki.authorities = words[++i];
    } else if (word == "--cert" && has_value) {
      wanted.pki.certificate = words[++i];
    } else if (word == "--key" && has_value) {
      wanted.pki.key = words[++i];
    } else if (word == "--plaintext") {
      wanted.config.plaintext = true;
    } else if (word == "--quiet") {
      wanted.config.log = nullptr;
    } else {
      std::fprintf(stderr, "seaway master: \"%s\" is not understood; seaway master --help\n", word.c_str());
      return kUsage;
    }
  }
  return std::nullopt;
}

// The folder's database and authority. False: stderr says why not.
bool open_state(Wanted& wanted, std::unique_ptr<store::Store>& store) {
  std::string problem;
  std::unique_ptr<store::Table> table = store::open_sqlite(wanted.state, problem);
  if (table && !wanted.config.plaintext) {
    const store::Table::Read read = table->read();
    const bool has_run = read.record && !read.record->tokens.empty();  // with certificates
    problem = read.problem;
    if (problem.empty()) {
      wanted.config.authority = open_authority(wanted.state, has_run, problem);
    }
  }
  if (!table || (!wanted.config.plaintext && !wanted.config.authority)) {
    std::fprintf(stderr, "seaway master: %s\n", problem.c_str());
    return false;
  }
  store = std::make_unique<store::Store>(std::move(table), log_line);
  return true;
}

}  // namespace

int run_master(const std::vector<std::string>& words) {
  Wanted wanted;
  wanted.config.listen = kDefaultAddress;
  wanted.config.ladder_percent = ladder_percent();
  wanted.config.log = log_line;
  if (const auto code = read_words(words, wanted)) {
    return *code;
  }
  if (!take_pki(wanted)) {
    return kUsage;
  }
  constexpr rlim_t kEnough = 2048;  // 1024 members and as many strangers
  if (const rlim_t files = raise_descriptor_limit(); wanted.config.log || files < kEnough) {
    log_line("may have " + std::to_string(files) + " descriptors open, one for each connection" +
             (files < kEnough ? ": raise the limit (LimitNOFILE=, ulimit -n) for large runs" : ""));
  }
  // Before the server's thread starts: it inherits the mask, and the signals wait for sigtimedwait.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  std::unique_ptr<store::Store> store;
  if (!wanted.state.empty() && !open_state(wanted, store)) {
    return kFailed;
  }
  Error error;
  const std::unique_ptr<runtime::MasterServer> server =
      runtime::MasterServer::start(wanted.config, std::move(store), error);
  if (!server) {
    std::fprintf(stderr, "seaway master: %s\n", error.text.c_str());
    return error.status == Status::invalid ? kUsage : kFailed;
  }
  tell_service_manager("READY=1\nSTATUS=listening on " + server->address());
  std::printf("listening on %s\n", server->address().c_str());
  bool has_told = wanted.config.plaintext;
  if (wanted.config.plaintext) {
    std::printf("plaintext: nothing is encrypted, and whoever reaches this port can join\n");
  }
  std::fflush(stdout);

  for (;;) {
    // A join string that would be another one after a crash now is told to nobody.
    if (!has_told && server->is_durable()) {
      has_told = true;
      if (const int code = tell_join_strings(*server, wanted.state, wanted.config.pki != nullptr); code != 0) {
        return code;
      }
      std::fflush(stdout);
    }
    const timespec look{.tv_sec = 0, .tv_nsec = has_told ? 100'000'000 : 5'000'000};
    if (sigtimedwait(&ends, nullptr, &look) > 0) {
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
