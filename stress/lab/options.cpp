#include "lab/options.h"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace seaway::lab {

const char* const kHelp =
    R"(seaway_lab - a WAN on one machine: sites joined by links with delay, loss, rates, queues and cuts

  seaway_lab SCENARIO -- COMMAND...        COMMAND in every site at once; each line it prints stands behind its site's name
  seaway_lab SCENARIO --at SITE -- COMMAND...      only there, with your terminal
  seaway_lab SCENARIO --shell SITE         a shell there
  seaway_lab SCENARIO --measure            what plain TCP gets: round trip, and iperf3 from the first site to the next
  seaway_lab SCENARIO --check              reads the scenario, says what is wrong in it, and does nothing

SCENARIO is a file, or the name of one in stress/lab/scenarios: four-500mbit, four-500mbit-lossy, two-1gbit, one-half-rate,
one-trunk, four-far, four-and-master, cuts.

  --first COMMAND   the first site runs this (by sh -c) instead of what the others run
  --control PATH    makes a FIFO there; a line written to it is a statement that takes effect at once:  echo cut a b > PATH
  --seed N          what losses are drawn from (default 1)
  --sysctl KEY=VALUE   in every site, for example net.ipv4.tcp_slow_start_after_idle=0; may be given more than once
  --quiet           no figures at the end

  --from A, --to B, --streams N, --seconds N, --congestion NAME, --json     of --measure (default: the first site to the
                    next, 4 connections, 8 seconds, the kernel's congestion control, in words)

Statements, one a line, in a file or by --control:

  site a rate 500mbit queue 2mb           or: up 100mbit down 500mbit; without a rate it is unlimited. queue: what a link holds
                                          back in each direction before it drops; what it passes in 50 ms when not said
  trunk east rate 200mbit sites a b       what a and b share on their way to and from all other sites
  path a b delay 25ms loss 0.1%           each way, so RTT is 50 ms. `path a -> b`: only that way. `path * *`: between all
  cut a b       heal a b                  nothing gets through, any more or again; also with -> and *
  at 10s cut a b                          10 s after the commands were started; --measure does not wait for such

A command finds: LAB_SITE and LAB_ADDRESS (its own), LAB_INDEX (0 for the first site), LAB_SITES and LAB_ADDRESSES (all, joined
by commas), LAB_PEERS (the others' addresses), LAB_SPACES (all sites' network namespaces: nsenter --net=PATH COMMAND runs it
there), LAB_CONTROL.

The kernel's own TCP runs at both ends and sees the delay; rates count IP packets, headers included, and packets of 1500 bytes.
Nothing outside is touched; all of it is gone with the command.

Exit code: 1 when a command failed, 2 for a mistake in the words or the scenario, 77 when the system does not allow it: it
takes root, or user namespaces and an open /dev/net/tun.
)";

namespace {

bool to_number(const std::string& text, std::uint64_t& number) {
  char* end = nullptr;
  number = std::strtoull(text.c_str(), &end, 10);
  return !text.empty() && text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
}

bool parse_sysctl(const std::string& text, Options& options) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || text.find("..") < equals) {
    return false;
  }
  std::string path = text.substr(0, equals);
  std::replace(path.begin(), path.end(), '.', '/');
  options.sysctls.push_back({path, text.substr(equals + 1)});
  return true;
}

// Those that take a word, those that take a number, those that take nothing.
bool parse_one(const std::vector<std::string>& words, std::size_t& i, Options& options, std::string& problem) {
  const std::map<std::string, bool*> flags{{"--check", &options.check},
                                           {"--measure", &options.measure},
                                           {"--json", &options.json},
                                           {"--quiet", &options.quiet}};
  const std::map<std::string, std::string*> texts{{"--first", &options.first},    {"--at", &options.at},
                                                  {"--from", &options.from},      {"--congestion", &options.congestion},
                                                  {"--to", &options.to},          {"--shell", &options.at},
                                                  {"--control", &options.control}};
  const std::map<std::string, unsigned*> numbers{{"--streams", &options.streams}, {"--seconds", &options.seconds}};
  const std::string& word = words[i];
  if (const auto flag = flags.find(word); flag != flags.end()) {
    *flag->second = true;
    return true;
  }
  if (!word.starts_with("--")) {
    problem = options.scenario.empty() ? "" : "\"" + word + "\" is one word too many; a command stands behind --";
    options.scenario = word;
    return problem.empty();
  }
  if (!texts.contains(word) && !numbers.contains(word) && word != "--seed" && word != "--sysctl") {
    problem = "\"" + word + "\" is not understood";
    return false;
  }
  if (i + 1 == words.size()) {
    problem = word + " needs a value";
    return false;
  }
  const std::string& value = words[++i];
  if (const auto text = texts.find(word); text != texts.end()) {
    *text->second = value;
    options.shell = options.shell || word == "--shell";
    return true;
  }
  if (word == "--sysctl") {
    problem = parse_sysctl(value, options) ? "" : "--sysctl: \"" + value + "\" is not of the form KEY=VALUE";
    return problem.empty();
  }
  std::uint64_t number = 0;
  if (!to_number(value, number) || (word != "--seed" && (number == 0 || number > 1000))) {
    problem = word + ": \"" + value + "\" is no number that it takes";
    return false;
  }
  if (word == "--seed") {
    options.seed = number;
  } else {
    *numbers.at(word) = static_cast<unsigned>(number);
  }
  return true;
}

}  // namespace

bool parse(const std::vector<std::string>& words, Options& options, std::string& problem) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") {
      options.command.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (!parse_one(words, i, options, problem)) {
      return false;
    }
  }
  if (options.scenario.empty()) {
    problem = "a scenario is missing";
  } else if (options.check || options.measure || options.shell) {
    const bool alone = options.command.empty() && options.first.empty();
    problem = alone ? "" : "--check, --measure and --shell run no command";
  } else if (options.command.empty()) {
    problem = "what to do? -- COMMAND, --measure, --shell SITE or --check";
  } else if (!options.at.empty() && !options.first.empty()) {
    problem = "--first is for commands in all sites, --at for a command in one";
  }
  return problem.empty();
}

}  // namespace seaway::lab
