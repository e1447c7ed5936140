// What comes that is not TLS, too much of it, or nothing any more.
#include <doctest/doctest.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/random.h"
#include "tls_ends.h"

namespace seaway::net {
namespace {

// The opening of the plaintext protocol: a length, then its magic.
std::string opening(std::uint32_t length) {
  std::string text(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) {
    text[i] = static_cast<char>(length >> (8 * i));
  }
  return text + std::string("\0seaway1", 8) + std::string(20, 'x');
}

constexpr const char* kPlaintext = "no TLS: is the other end in plaintext mode?";

TEST_CASE("plaintext that dials TLS is told apart, whatever its length looks like") {
  const Run run;
  for (const std::uint32_t length : {9u, 21u, 22u, 0x0316u, 0x0315u, 0x010316u, 4096u}) {
    CAPTURE(length);
    Ends ends;
    ends.server.start(ends.server_stream(run.for_master()));
    ends.client.start(std::move(ends.below[0]));
    ends.client.say(opening(length));
    REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
    CHECK(ends.server.ended == Io::failed);
    CHECK(ends.server.stream->problem() == kPlaintext);
    ends.server.stream.reset();
    REQUIRE(run_until(ends.loop, [&] { return ends.client.ended != Io::moved; }));
    CHECK(ends.client.got.empty());
  }
}

TEST_CASE("TLS that dials plaintext is told so") {
  const Run run;
  SUBCASE("that answers") {
    Ends ends;
    ends.server.start(std::move(ends.below[1]));
    ends.client.start(ends.client_stream(run.for_peer(1), Expect::peer));
    ends.server.say(opening(30));
    REQUIRE(run_until(ends.loop, [&] { return ends.client.ended != Io::moved; }));
    CHECK(ends.client.stream->problem() == kPlaintext);
  }
  SUBCASE("that hangs up") {
    Ends ends;
    ends.server.start(std::move(ends.below[1]));
    ends.client.start(ends.client_stream(run.for_peer(1), Expect::peer));
    REQUIRE(run_until(ends.loop, [&] { return !ends.server.got.empty(); }));
    ends.server.stream.reset();
    REQUIRE(run_until(ends.loop, [&] { return ends.client.ended != Io::moved; }));
    CHECK(ends.client.ended == Io::failed);
    CHECK(ends.client.stream->problem() == "closed by the other end without a word of TLS: is it in plaintext mode?");
  }
}

TEST_CASE("garbage fails, at either end, and does no harm") {
  const Run run;
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    Ends ends;
    const bool to_server = i % 2 == 0;
    End& victim = to_server ? ends.server : ends.client;
    End& attacker = to_server ? ends.client : ends.server;
    if (to_server) {
      victim.start(ends.server_stream(run.for_peer(2)));
      attacker.start(std::move(ends.below[0]));
    } else {
      victim.start(ends.client_stream(run.for_peer(2), Expect::peer));
      attacker.start(std::move(ends.below[1]));
    }
    std::string garbage;
    for (std::uint64_t left = random.between(1, 6000); left > 0; --left) {
      garbage += static_cast<char>(random.next());
    }
    if (i % 3 != 0) {  // like a record of a handshake, at first sight
      garbage.insert(0, std::string("\x16\x03\x01\x01", 4) + static_cast<char>(random.next()) +
                            static_cast<char>(random.between(0, 5)));
    }
    attacker.say(garbage);
    run_until(ends.loop, [&] { return attacker.has_sent() || victim.ended != Io::moved; });
    attacker.stream.reset();
    REQUIRE(run_until(ends.loop, [&] { return victim.ended != Io::moved; }));
    CHECK(victim.ended == Io::failed);
    CHECK(victim.stream->problem() != "");
    CHECK(victim.got.empty());
  }
}

TEST_CASE("one bit that is changed on the way ends the connection, before or after the handshake") {
  const Run run;
  Random random(3);
  int failed_open = 0;
  for (int i = 0; i < 60; ++i) {
    Loop loop;
    int to_client[2];
    int to_server[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, to_client) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, to_server) == 0);
    End client;
    End server;
    server.start(tls_server(loop, plain_stream(loop, UniqueFd(to_server[0])), run.for_peer(1)));
    client.start(tls_client(loop, plain_stream(loop, UniqueFd(to_client[0])), run.for_peer(2), Expect::peer, ""));
    client.say(std::string(3000, 'c'));
    server.say(std::string(3000, 's'));
    std::uint64_t before = random.below(9000);
    const auto relay = [&](int from, int to) {
      char bytes[256];
      const ssize_t count = ::read(from, bytes, sizeof bytes);
      if (count <= 0) {
        return;
      }
      if (before < static_cast<std::uint64_t>(count)) {
        bytes[before] = static_cast<char>(bytes[before] ^ (1 << random.below(8)));
      }
      before -= std::min(before, static_cast<std::uint64_t>(count) + 1);
      if (before == 0) {
        before = ~0ull;
      }
      CHECK(::write(to, bytes, static_cast<std::size_t>(count)) == count);
    };
    const auto over = [&] { return client.ended != Io::moved || server.ended != Io::moved; };
    for (int turns = 0; turns < 400 && !over(); ++turns) {
      relay(to_client[1], to_server[1]);
      relay(to_server[1], to_client[1]);
      loop.post([] {});
      loop.run_one(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
      loop.run_one(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
    }
    // A bit in a header's length may make an end wait for more than comes; nothing wrong was handed over.
    CHECK(client.got == std::string(client.got.size(), 's'));
    CHECK(server.got == std::string(server.got.size(), 'c'));
    failed_open += over() && client.stream->identity() != nullptr ? 1 : 0;
    ::close(to_client[1]);
    ::close(to_server[1]);
  }
  CHECK(failed_open > 5);
}

TEST_CASE("a stranger gets 4 KiB to introduce itself") {
  const Run run;
  Ends ends;
  ends.server.start(ends.server_stream(run.for_master()));
  ends.client.start(std::move(ends.below[0]));
  // A handshake message that is announced with 16 MiB, in records of 1 KiB.
  std::string flood;
  for (int i = 0; i < 16; ++i) {
    flood += std::string("\x16\x03\x01\x04\x00", 5);
    flood += i == 0 ? std::string("\x01\xff\xff\xff", 4) + std::string(1020, 'x') : std::string(1024, 'x');
  }
  ends.client.say(flood);
  REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
  CHECK(ends.server.ended == Io::failed);
  CHECK(ends.server.stream->problem() != "");
}

TEST_CASE("a stranger who sends records of nothing is stopped, too") {
  const Run run;
  Ends ends;
  ends.server.start(ends.server_stream(run.for_master()));
  ends.client.start(std::move(ends.below[0]));
  std::string start = std::string("\x16\x03\x01\x40\x00", 5) + std::string("\x01\x00\x3f\xfc", 4);
  ends.client.say(start + std::string(12'000, 'x'));  // a hello of 16 KiB, as far as it comes
  REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
  CHECK(ends.server.stream->problem() == "more than 4096 bytes, and the handshake is not over");
}

TEST_CASE("a goodbye, a FIN, and a connection that is cut") {
  const Run run;
  SUBCASE("a stream that is destroyed says goodbye") {
    Ends ends;
    ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
    REQUIRE(ends.talk());
    ends.client.say("last words");
    ends.client.stream.reset();
    REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
    CHECK(ends.server.got == "pinglast words");
    CHECK(ends.server.ended == Io::closed);
    CHECK(ends.server.stream->problem().empty());
  }
  SUBCASE("a FIN without one is the end as well") {
    Ends ends;
    ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
    REQUIRE(ends.talk());
    ::shutdown(ends.raw[0], SHUT_WR);
    REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
    CHECK(ends.server.ended == Io::closed);
    ends.server.ended = Io::moved;
    ends.server.say("still");  // as of TCP, one half is closed
    REQUIRE(run_until(ends.loop, [&] { return ends.client.got == "pongstill"; }));
  }
  SUBCASE("a FIN during the handshake is a failure") {
    Ends ends;
    ends.server.start(ends.server_stream(run.for_master()));
    ::shutdown(ends.raw[0], SHUT_WR);
    REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
    CHECK(ends.server.ended == Io::failed);
    CHECK(ends.server.stream->problem() == "closed by the other end during the handshake");
  }
  SUBCASE("sending to who is gone fails") {
    Ends ends;
    ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
    REQUIRE(ends.talk());
    ends.server.stream.reset();
    REQUIRE(run_until(ends.loop, [&] {
      ends.client.say("x");
      return ends.client.ended == Io::failed;
    }));
    CHECK(ends.client.stream->problem() == "the connection broke");
  }
}

}  // namespace
}  // namespace seaway::net
