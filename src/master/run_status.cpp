#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "master/commands.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/message_stream.h"
#include "wire/messages.h"

namespace seaway {

namespace {

constexpr const char* kHelp =
    R"(seaway status - what a master on this machine knows

  seaway status [HOST:PORT] [--json]

HOST:PORT defaults to SEAWAY_MASTER, or else 127.0.0.1:7117. A master answers this from its own machine only.
--json prints one object with everything; docs/PROTOCOL.md lists its fields.
)";

constexpr Duration kPatience = 3 * kSecond;

}  // namespace

int run_status(const std::vector<std::string>& words) {
  const char* environment = std::getenv("SEAWAY_MASTER");
  std::string address = environment != nullptr ? environment : kDefaultAddress;
  wire::Purpose purpose = wire::Purpose::status_text;
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (word == "--json") {
      purpose = wire::Purpose::status_json;
    } else if (!word.starts_with("-")) {
      address = word;
    } else {
      std::fprintf(stderr, "seaway status: \"%s\" is not understood; seaway status --help\n", word.c_str());
      return kUsage;
    }
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
          problem = "it closed the connection: is that a seaway master, and on this machine?";
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
