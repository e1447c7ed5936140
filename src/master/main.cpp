// `seaway`: the master, and what an operator asks it.
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "master/commands.h"

namespace {

constexpr const char* kHelp =
    R"(seaway - fault-tolerant collective communication for training over the internet

  seaway master --listen HOST:PORT --state DIR     keep the membership of one run
  seaway status --state DIR [--json]               members, epoch, refusals by reason
  seaway token new|list|revoke --state DIR         who may join
  seaway evict PEER --reason TEXT --state DIR      end a peer's membership
  seaway version                                   what this is

`seaway COMMAND --help` says more. One run per master. The master is never in the data path: when it dies, training goes on;
start it again on the same address and the peers find it.

Exit codes: 0 done; 1 it failed, stderr says why; 2 the command line is wrong; 3 no master answered; 70 a bug in seaway.
)";

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
      std::fputs(kHelp, words.empty() ? stderr : stdout);
      return words.empty() ? seaway::kUsage : 0;
    }
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words[0] == "master") {
      return seaway::run_master(rest);
    }
    if (words[0] == "status") {
      return seaway::run_status(rest);
    }
    if (words[0] == "token") {
      return seaway::run_token(rest);
    }
    if (words[0] == "evict") {
      return seaway::run_evict(rest);
    }
    if (words[0] == "version" || words[0] == "--version") {
      return seaway::run_version(rest);
    }
    std::fprintf(stderr, "seaway: no command \"%s\"; seaway --help lists them\n", words[0].c_str());
    return seaway::kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "seaway: %s\n", error.what());
    return seaway::kBug;
  }
}
