#include <cstdio>
#include <string>

#include "master/commands.h"
#include "master/operator.h"

namespace seaway {

namespace {

constexpr const char* kHelp =
    R"(seaway evict - end a peer's membership

  seaway evict PEER --reason TEXT [--deny]

PEER: its name, its incarnation or its uuid, as `seaway status` shows them. It hears the reason. It may join again as a new
incarnation, unless --deny: then its uuid is never let in again.

)";

}  // namespace

int run_evict(const std::vector<std::string>& words) {
  Operator operator_;
  wire::EvictPeer evict;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      std::printf("%s%s", kHelp, kOperatorHelp);
      return 0;
    }
    if (operator_.takes(words, i)) {
      continue;
    }
    if (word == "--deny") {
      evict.deny = true;
    } else if (word == "--reason" && i + 1 < words.size()) {
      evict.reason = words[++i].substr(0, kMaxReasonBytes / 2);
    } else if (evict.who.empty() && !word.starts_with("-")) {
      evict.who = word.substr(0, kMaxNameBytes);
    } else {
      std::fprintf(stderr, "seaway evict: \"%s\" is not understood; seaway evict --help\n", word.c_str());
      return kUsage;
    }
  }
  if (evict.who.empty() || evict.reason.empty()) {
    std::fputs("seaway evict: say who, and why: seaway evict PEER --reason TEXT\n", stderr);
    return kUsage;
  }
  return operator_.ask("seaway evict", evict);
}

}  // namespace seaway
