#include "master/operator.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "master/commands.h"
#include "net/loop.h"
#include "net/tls.h"
#include "runtime/door_client.h"

namespace seaway {

bool Operator::takes(const std::vector<std::string>& words, std::size_t& at) {
  const std::string& word = words[at];
  if (word.starts_with("--state=")) {
    given_ = "@" + word.substr(8) + "/admin";
  } else if (word.starts_with("--admin=")) {
    given_ = word.substr(8);
  } else if (word == "--state" && at + 1 < words.size()) {
    given_ = "@" + words[++at] + "/admin";
  } else if (word == "--admin" && at + 1 < words.size()) {
    given_ = words[++at];
  } else {
    return false;
  }
  return true;
}

bool Operator::is_given() const { return !given_.empty() || std::getenv("SEAWAY_ADMIN") != nullptr; }

int Operator::ask(const char* command, const wire::Command& what) const {
  const char* environment = std::getenv("SEAWAY_ADMIN");
  const std::string text = !given_.empty() ? given_ : environment != nullptr ? environment : "";
  if (text.empty()) {
    std::fprintf(stderr, "%s: give --state DIR or --admin, or set SEAWAY_ADMIN; %s --help\n", command, command);
    return kUsage;
  }
  std::string problem;
  const auto line = runtime::join_text(text, problem);
  const auto admin = line ? runtime::parse_join_string(*line, problem) : std::nullopt;
  if (!admin) {
    std::fprintf(stderr, "%s: what names the master and the admin token: %s\n", command, problem.c_str());
    return kUsage;
  }
  net::Loop loop;
  std::optional<wire::Answer> answer;
  const runtime::DoorClient client(
      loop, {admin->addresses, net::tls_for_enrolment(admin->pin), admin->token, admin->secret, what},
      [&](const std::optional<wire::Answer>& heard, const std::string& why) {
        answer = heard;
        problem = why;
        loop.stop();
      });
  loop.run();
  if (!answer) {
    std::fprintf(stderr, "%s: no master at %s: %s\n", command, admin->addresses.front().c_str(), problem.c_str());
    return kNoMaster;
  }
  if (const auto* refused = std::get_if<wire::Refused>(&*answer)) {
    std::fprintf(stderr, "%s: %s\n", command, refused->reason.c_str());
    return kFailed;
  }
  if (const auto* done = std::get_if<wire::Done>(&*answer)) {
    std::fputs(done->text.c_str(), stdout);
  }
  return 0;
}

}  // namespace seaway
