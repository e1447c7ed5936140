#include "chaos/impostors.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/random.h"
#include "chaos/handshake.h"
#include "seaway/seaway.h"
#include "support/process.h"
#include "wire/messages.h"

namespace seaway::chaos {

namespace {

using support::operator+;

constexpr double kPatience = 0.5;  // seconds; who cannot trust the master goes on trying for much longer
constexpr double kPause = 0.02;
constexpr unsigned kNowhere = 99;  // a replica that the run does not have: let in, it would not go unnoticed

// A join string is seaway1/ADDRESSES/TOKEN/PIN; TOKEN is 16 digits of its name and 32 of its secret. Another digit there.
std::string altered(std::string join, std::size_t at) {
  join.at(at) = join.at(at) == '0' ? '1' : '0';
  return join;
}

std::string join_as(const std::string& join, const std::string& master) {
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.name = "impostor";
  config.replica = kNowhere;
  config.listen = "0.0.0.0:0";
  if (join.empty()) {
    config.master = master.c_str();
    config.plaintext = 1;
  } else {
    config.join = join.c_str();
  }
  seaway_comm* comm = nullptr;
  seaway_status status = seaway_create(&comm, &config);
  if (status == SEAWAY_OK) {
    status = seaway_join(comm, kPatience);
  }
  seaway_destroy(comm);
  return status == SEAWAY_OK ? "let in" : seaway_status_string(status);
}

}  // namespace

int run_impostors(const std::vector<std::string>& words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that are closed
  Random random(std::stoull(words.at(1)));
  const double until = support::seconds_now() + std::stod(words.at(2));
  const std::string& master = words.at(3);
  const char* given = std::getenv("SEAWAY_JOIN");
  const std::string join = given != nullptr ? given : "";
  // Not the environment's: a plaintext impostor has none.
  unsetenv("SEAWAY_JOIN");
  const std::size_t pin = join.rfind('/') + 1;
  const auto attempt = [&](const char* kind, const std::string& outcome) {
    std::printf("%s %s\n", kind, outcome.c_str());
  };
  while (support::seconds_now() < until) {
    const support::Bytes noise = support::random_bytes(random, 64) + wire::encode(wire::Opening{});
    const std::string& port = words.at(3 + random.below(words.size() - 3));
    switch (join.empty() ? 4 + random.below(2) : random.below(5)) {
      case 0:
        attempt("wrong-pin", join_as(altered(join, pin + random.below(64)), ""));
        break;
      case 1:
        attempt(kWrongToken, join_as(altered(join, pin - 1 - 32 + random.below(32)), ""));
        break;
      case 2:
        attempt("unknown-token", join_as(altered(join, pin - 1 - 48 + random.below(16)), ""));
        break;
      case 3:
        attempt("plaintext", join_as("", master));
        break;
      case 4:
        attempt("no-certificate", say_encrypted(port, noise));
        break;
      default:
        // Of a run that there is not; the form is right.
        attempt("encrypted",
                join_as("seaway1/" + master + "/" + std::string(48, '1') + "/" + std::string(64, '2'), ""));
    }
    support::sleep_for(kPause);
  }
  return 0;
}

}  // namespace seaway::chaos
