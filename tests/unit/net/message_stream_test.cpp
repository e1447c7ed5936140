// Messages between a peer and the master: what comes too fast, and an end that takes nothing.
#include "net/message_stream.h"

#include <doctest/doctest.h>

#include <cstring>

#include "net/dial.h"
#include "net/listener.h"
#include "tls_ends.h"

namespace seaway::net {
namespace {

std::vector<std::byte> message(std::uint32_t length) {
  std::vector<std::byte> bytes(sizeof length + length);
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes;
}

// Two ends of a real connection: a socket pair of the kernel's has no window.
struct Connection {
  Loop loop;
  std::unique_ptr<Stream> dialled;
  std::unique_ptr<Stream> accepted;

  Connection() {
    std::string problem;
    UniqueFd listening = listen_on("127.0.0.1:0", problem);
    REQUIRE(listening);
    const std::string address = to_string(local_address(listening.get()));
    Listener listener(loop, std::move(listening), [this](std::unique_ptr<Stream> s) { accepted = std::move(s); });
    Dial dial(loop, {address}, 5 * kSecond,
              [this](std::unique_ptr<Stream> s, const std::string&) { dialled = std::move(s); });
    REQUIRE(run_until(loop, [this] { return dialled && accepted; }));
  }
};

TEST_CASE("messages are taken at their rate, and none is lost by it") {
  Connection connection;
  Loop& loop = connection.loop;
  std::size_t got = 0;
  const auto nothing = [](std::span<const std::byte>) {};
  const auto never = [](bool, const char*) { FAIL("a connection ended"); };
  std::size_t messages = 0;
  MessageRate rate;
  Duration least = 0;
  std::uint32_t length = 0;
  SUBCASE("so many") {
    messages = 40'000;
    rate = {.each = 10 * kMicrosecond, .bytes_per_s = 1ull << 40, .burst = 100 * kMillisecond};
    least = 150 * kMillisecond;  // 400 ms are paid for, a burst and the last read are not waited for
  }
  SUBCASE("so many bytes") {
    messages = 40;
    length = 64 * 1024;
    rate = {.each = 0, .bytes_per_s = 5ull << 20, .burst = 100 * kMillisecond};
    least = 300 * kMillisecond;  // of 500
  }
  MessageStream taker(
      loop, std::move(connection.accepted), kMaxControlBytes, [&](std::span<const std::byte>) { ++got; }, never);
  taker.limit_rate(rate);
  MessageStream sender(loop, std::move(connection.dialled), kMaxControlBytes, nothing, never);
  const Time began = monotonic_now();
  for (std::size_t i = 0; i < messages; ++i) {
    sender.send(message(length));
  }
  REQUIRE(run_until(loop, [&] { return got == messages; }));
  CHECK(monotonic_now() - began >= least);
}

TEST_CASE("an end that takes nothing is given up: by what waits for it, or by time") {
  Connection connection;  // whose dialled end is never read
  Loop& loop = connection.loop;
  int messages = 0;
  bool by_what_waits = false;
  SUBCASE("by what waits") {
    messages = 40;
    by_what_waits = true;
  }
  SUBCASE("by time, of a window that stays shut") {
    connection.accepted->set_user_timeout(300 * kMillisecond);
    messages = 12;  // more than the kernels' buffers take, less than may wait
  }
  std::string why;
  MessageStream sender(
      loop, std::move(connection.accepted), kMaxControlBytes, [](std::span<const std::byte>) {},
      [&](bool, const char* words) { why = words; });
  for (int i = 0; i < messages; ++i) {
    sender.send(message(kMaxControlBytes - 4));
  }
  REQUIRE(run_until(loop, [&] { return !why.empty(); }));
  CHECK((why == "the other end takes nothing") == by_what_waits);
}

}  // namespace
}  // namespace seaway::net
