// What a peer is told and what it tells, as text.
#include <algorithm>
#include <cstdio>

#include "kill/peer.h"

namespace seaway::kill {

std::vector<std::string> words_of(const PeerArguments& arguments) {
  return {"--peer",
          arguments.way_in,
          std::to_string(arguments.rank),
          std::to_string(arguments.world),
          std::to_string(arguments.bytes),
          arguments.in_place ? "1" : "0",
          std::to_string(arguments.seed),
          std::to_string(arguments.ops),
          arguments.listen,
          arguments.space,
          std::to_string(static_cast<int>(arguments.up)),
          std::to_string(static_cast<int>(arguments.down)),
          std::to_string(arguments.sites)};
}

bool parse(const std::vector<std::string>& words, PeerArguments& arguments) {
  if (words.size() != 13 || words[0] != "--peer") {
    return false;
  }
  const auto number = [&](std::size_t i) { return static_cast<unsigned>(std::stoul(words[i])); };
  arguments = {words[1],
               number(2),
               number(3),
               std::stoull(words[4]),
               words[5] == "1",
               std::stoull(words[6]),
               static_cast<int>(number(7)),
               words[8],
               words[9],
               static_cast<Codec>(number(10)),
               static_cast<Codec>(number(11)),
               number(12)};
  return true;
}

std::map<int, OpLine> ok_lines(const std::string& text) {
  std::map<int, OpLine> lines;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    char hash[32];
    char names[32];
    int op = 0;
    OpLine ok;
    unsigned long long resent = 0;
    if (std::sscanf(line.c_str(), "ok %d %31s %31s %lf %llu %u %*u %lf", &op, hash, names, &ok.seconds, &resent,
                    &ok.attempts, &ok.ended) == 7) {
      ok.hash = hash;
      ok.contributors = names;
      ok.resent = resent;
      lines[op] = ok;
    }
    at = end + 1;
  }
  return lines;
}

}  // namespace seaway::kill
