#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>

#include "master/commands.h"
#include "master/operator.h"

namespace seaway {

namespace {

constexpr const char* kHelp =
    R"(seaway token - who may join, and who may say so

  seaway token new [--once] [--hours H] [--label TEXT] [--admin-rights]
                       prints a join string for SEAWAY_JOIN or seaway_config.join. --once: good for one peer, through all of its
                       lives. --hours: for so long (default: until revoked). --admin-rights: it lets nobody join, but do what
                       operators do
  seaway token list    each token: its name, what it is for, who has used it, how long it is good
  seaway token revoke NAME
                       nobody new joins with it. Who has joined stays: seaway evict

)";

int wrong(const std::string& word) {
  std::fprintf(stderr, "seaway token: \"%s\" is not understood; seaway token --help\n", word.c_str());
  return kUsage;
}

bool read_name(const std::string& text, std::uint64_t& id) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, id, 16);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

int run_token(const std::vector<std::string>& words) {
  Operator operator_;
  wire::NewToken fresh;
  std::string verb;
  std::string name;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      std::printf("%s%s", kHelp, kOperatorHelp);
      return 0;
    }
    if (operator_.takes(words, i)) {
      continue;
    }
    if (verb.empty() && (word == "new" || word == "list" || word == "revoke")) {
      verb = word;
    } else if (verb == "new" && word == "--once") {
      fresh.use = wire::TokenUse::join_once;
    } else if (verb == "new" && word == "--admin-rights") {
      fresh.use = wire::TokenUse::admin;
    } else if (verb == "new" && word == "--label" && i + 1 < words.size()) {
      fresh.label = words[++i].substr(0, kMaxNameBytes);
    } else if (verb == "new" && word == "--hours" && i + 1 < words.size()) {
      constexpr double kMost = 24.0 * 365 * 100;
      double hours = 0;
      const std::string& text = words[++i];
      const auto result = std::from_chars(text.data(), text.data() + text.size(), hours);
      if (result.ec != std::errc() || result.ptr != text.data() + text.size() || std::isnan(hours) || hours <= 0 ||
          hours > kMost) {
        return wrong("--hours " + text);
      }
      fresh.lifetime_s = static_cast<std::uint64_t>(hours * 3600) + 1;
    } else if (verb == "revoke" && name.empty() && !word.starts_with("-")) {
      name = word;
    } else {
      return wrong(word);
    }
  }
  if (verb == "new") {
    return operator_.ask("seaway token", fresh);
  }
  if (verb == "list") {
    return operator_.ask("seaway token", wire::ListTokens{});
  }
  wire::RevokeToken revoke;
  if (verb != "revoke" || !read_name(name, revoke.id)) {
    return wrong(verb.empty() ? "" : verb + " " + name);
  }
  return operator_.ask("seaway token", revoke);
}

}  // namespace seaway
