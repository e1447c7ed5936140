#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "master/commands.h"
#include "master/operator.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/message_stream.h"
#include "wire/messages.h"

namespace seaway {

namespace {

constexpr const char* kHelp =
    R"(seaway status - what a master knows: members, epoch, links, ops in flight, refusals by reason

  seaway status --state DIR|--admin STRING [--json]
  seaway status [HOST:PORT] [--json]        of a master with --plaintext, on this machine only

--json prints one object with everything; docs/PROTOCOL.md lists its fields. HOST:PORT defaults to SEAWAY_MASTER, or else
127.0.0.1:7117.

)";

constexpr Duration kPatience = 3 * kSecond;

}  // namespace

int run_status(const std::vector<std::string>& words) {
  const char* environment = std::getenv("SEAWAY_MASTER");
  std::string address = environment != nullptr ? environment : kDefaultAddress;
  wire::Purpose purpose = wire::Purpose::status_text;
  Operator operator_;
  bool is_plaintext = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      std::printf("%s%s", kHelp, kOperatorHelp);
      return 0;
    }
    if (operator_.takes(words, i)) {
      continue;
    }
    if (word == "--json") {
      purpose = wire::Purpose::status_json;
    } else if (!word.starts_with("-")) {
      address = word;
      is_plaintext = true;
    } else {
      std::fprintf(stderr, "seaway status: \"%s\" is not understood; seaway status --help\n", word.c_str());
      return kUsage;
    }
  }

  if (!is_plaintext && operator_.is_given()) {
    const int code = operator_.ask("seaway status", wire::ShowStatus{purpose == wire::Purpose::status_json});
    std::fputs(code == 0 ? "\n" : "", stdout);
    return code;
  }

  net::Loop loop;
  std::string answer;
  std::string problem = "no answer within 3 s";
  std::unique_ptr<net::MessageStream> stream;
  net::Timer timer(loop, [&] { loop.stop(); });
  timer.at(net::monotonic_now() + kPatience);
  const net::Dial dial(loop, {address}, kPatience, [&](std::unique_ptr<net::Stream> connected, const std::string& why) {
    if (!connected) {
      problem = why;
      loop.stop();
      return;
    }
    stream = std::make_unique<net::MessageStream>(
        loop, std::move(connected), kMaxControlBytes,
        [&](std::span<const std::byte> body) {
          answer.assign(reinterpret_cast<const char*>(body.data()), body.size());
          loop.stop();
        },
        [&](bool, const char*) {
          problem =
              "it closed the connection: is that a seaway master with --plaintext, on this machine? Else give --state "
              "DIR";
          loop.stop();
        });
    stream->send(wire::encode(wire::Opening{wire::kMagic, purpose}));
  });
  loop.run();
  if (answer.empty()) {
    std::fprintf(stderr, "seaway status: no master at %s: %s\n", address.c_str(), problem.c_str());
    return kNoMaster;
  }
  std::printf("%s\n", answer.c_str());
  return 0;
}

}  // namespace seaway
