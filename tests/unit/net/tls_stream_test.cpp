// A stream as its owner sees it: watches, what is kept, what is left inside, and its end.
#include <doctest/doctest.h>

#include <cstring>

#include "net/lobby.h"
#include "net/message_stream.h"
#include "tls_ends.h"

namespace seaway::net {
namespace {

TEST_CASE("the handshake goes on whatever the owner watches") {
  const Run run;
  for (const bool client_reads : {false, true}) {
    for (const bool server_reads : {false, true}) {
      Ends ends;
      auto client = ends.client_stream(run.for_peer(1), Expect::peer);
      auto server = ends.server_stream(run.for_peer(2));
      for (auto* stream : {&client, &server}) {
        (*stream)->on_readable([] {});
        (*stream)->on_writable([] {});
      }
      client_reads ? client->watch_read() : client->watch_write();
      server_reads ? server->watch_read() : server->watch_write();
      CHECK(run_until(ends.loop, [&] { return client->identity() != nullptr && server->identity() != nullptr; }));
    }
  }
}

TEST_CASE("16 KiB are taken before the handshake is over, and leave when it is") {
  const Run run;
  Ends ends;
  auto client = ends.client_stream(run.for_peer(1), Expect::peer);
  bool writable = false;
  client->on_readable([] {});
  client->on_writable([&] { writable = true; });
  std::string text(20'000, 'e');
  iovec piece{text.data(), text.size()};
  const IoResult first = client->send({&piece, 1});
  CHECK(first.io == Io::moved);
  CHECK(first.bytes == 16384);
  CHECK(client->send({&piece, 1}).io == Io::blocked);
  client->watch_write();
  run_what_there_is(ends.loop);
  CHECK_FALSE(writable);
  ends.server.start(ends.server_stream(run.for_peer(2)));
  REQUIRE(run_until(ends.loop, [&] { return writable && ends.server.got.size() == 16384; }));
  piece = {text.data() + 16384, text.size() - 16384};
  CHECK(client->send({&piece, 1}).bytes == text.size() - 16384);
  REQUIRE(run_until(ends.loop, [&] { return ends.server.got.size() == text.size(); }));
  CHECK(ends.server.got == text);
}

TEST_CASE("nothing leaves before the other end is known") {
  // The server is of another run: what the client had sent early was for a peer of its own.
  const Run run;
  Ends ends;
  ends.start(run.for_peer(1), Expect::peer, Run().for_peer(2));
  ends.client.say("secret");
  ends.server.say("secret");
  REQUIRE(ends.both_end());
  CHECK(ends.client.got.empty());
  CHECK(ends.server.got.empty());
}

TEST_CASE("what is left inside calls back, though the socket has nothing new") {
  const Run run;
  Ends ends;
  ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
  REQUIRE(ends.talk());
  std::string came;
  Stream& server = *ends.server.stream;
  server.on_readable([&] {
    char byte = 0;
    iovec into{&byte, 1};
    if (server.receive({&into, 1}).io == Io::moved) {
      came += byte;
    }
    server.watch_read();
  });
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += static_cast<char>('a' + i % 26);
  }
  ends.client.say(text);
  REQUIRE(run_until(ends.loop, [&] { return came.size() == text.size(); }));
  CHECK(came == text);
}

TEST_CASE("an idle stream does not call") {
  const Run run;
  Ends ends;
  ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
  REQUIRE(ends.talk());
  run_what_there_is(ends.loop);
  int calls = 0;
  ends.server.stream->on_readable([&] {
    ++calls;
    ends.server.stream->watch_read();
  });
  run_what_there_is(ends.loop);
  CHECK(calls <= 1);  // a watch that was set before
}

TEST_CASE("no more is taken while what was taken has not left") {
  const Run run;
  Ends ends(1);
  ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
  REQUIRE(ends.talk());
  ends.server.stream->on_readable([] {});  // takes nothing from now on
  run_what_there_is(ends.loop);
  std::string text(4u << 20, 'x');
  iovec piece{text.data(), text.size()};
  std::size_t taken = 0;
  for (;;) {
    const IoResult result = ends.client.stream->send({&piece, 1});
    if (result.io != Io::moved) {
      CHECK(result.io == Io::blocked);
      break;
    }
    taken += result.bytes;
  }
  CHECK(taken <= 512u * 1024);
}

TEST_CASE("a lobby and messages stand on it as they stand on TCP") {
  const Run run;
  Ends ends;
  const auto message = [](char letter, std::uint32_t size) {
    std::vector<std::byte> bytes(sizeof size + size, static_cast<std::byte>(letter));
    std::memcpy(bytes.data(), &size, sizeof size);
    return bytes;
  };
  std::unique_ptr<MessageStream> server;
  std::vector<std::size_t> came;
  std::string ended;
  const auto to_end = [&](bool, const char* why) { ended = why; };
  Lobby lobby(ends.loop, {}, [&](std::unique_ptr<Stream> stream, std::span<const std::byte> body) {
    CHECK(stream->identity() != nullptr);
    came.push_back(body.size());
    server = std::make_unique<MessageStream>(
        ends.loop, std::move(stream), 1u << 20,
        [&](std::span<const std::byte> more) {
          came.push_back(more.size());
          if (more.size() != 700'000) {  // who sent that is gone, and what it does not read would reset the connection
            server->send(message('y', static_cast<std::uint32_t>(more.size())));
          }
        },
        to_end);
  });
  lobby.enter(ends.server_stream(run.for_master()));
  std::vector<std::size_t> back;
  auto client = std::make_unique<MessageStream>(
      ends.loop, ends.client_stream(run.for_peer(1), Expect::master), 1u << 20,
      [&](std::span<const std::byte> body) { back.push_back(body.size()); }, to_end);
  for (const std::uint32_t size : {9u, 100u, 1000u, 30'000u, 900'000u, 1u}) {
    client->send(message('x', size));
  }
  REQUIRE(run_until(ends.loop, [&] { return back.size() == 5; }));
  CHECK(came == std::vector<std::size_t>{9, 100, 1000, 30'000, 900'000, 1});
  CHECK(back == std::vector<std::size_t>{100, 1000, 30'000, 900'000, 1});
  client->send(message('x', 700'000));
  MessageStream::close_later(std::move(client));
  REQUIRE(run_until(ends.loop, [&] { return !ended.empty(); }));
  CHECK(came.back() == 700'000);
  CHECK(ended == "closed by the other end");
}

TEST_CASE("what a stream has taken arrives, though the stream is destroyed at once") {
  const Run run;
  Ends ends(1);
  ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
  REQUIRE(ends.talk());
  std::string text(200'000, 'x');
  iovec piece{text.data(), text.size()};
  CHECK(ends.client.stream->send({&piece, 1}).bytes == text.size());
  SUBCASE("and the loop goes on") {
    ends.client.stream.reset();
    REQUIRE(run_until(ends.loop, [&] { return ends.server.ended != Io::moved; }));
    CHECK(ends.server.ended == Io::closed);
    CHECK(ends.server.got == "ping" + text);
  }
  SUBCASE("and what has come for it calls nobody") {  // both are readable in one turn of the loop, the server first
    ends.server.stream->on_readable([&] { ends.client.stream.reset(); });
    std::string word = "pong";
    iovec answer{word.data(), word.size()};
    CHECK(ends.server.stream->send({&answer, 1}).bytes == word.size());
    run_what_there_is(ends.loop);
    CHECK(ends.client.stream == nullptr);
  }
  SUBCASE("unless the loop ends, too") { ends.client.stream.reset(); }
  SUBCASE("or the other end") {
    ends.client.stream.reset();
    ends.server.stream.reset();
    run_what_there_is(ends.loop);
  }
}

TEST_CASE("a callback may destroy its stream") {
  const Run run;
  SUBCASE("reading") {
    Ends ends;
    ends.start(run.for_peer(1), Expect::peer, run.for_peer(2));
    REQUIRE(ends.talk());
    run_what_there_is(ends.loop);
    bool done = false;
    ends.server.stream->on_readable([&, held = std::string(100, 'x')] {
      ends.server.stream.reset();
      done = held.size() == 100;
    });
    ends.server.stream->watch_read();
    ends.client.say("x");
    REQUIRE(run_until(ends.loop, [&] { return done; }));
    REQUIRE(run_until(ends.loop, [&] { return ends.client.ended != Io::moved; }));
  }
  SUBCASE("when the handshake is over") {
    for (const bool reads : {false, true}) {
      Ends ends;
      ends.server.start(ends.server_stream(run.for_peer(2)));
      auto client = ends.client_stream(run.for_peer(1), Expect::peer);
      bool done = false;
      const auto end = [&, held = std::string(100, 'x')] {
        if (client->identity() == nullptr) {
          client->watch_write();
          return;
        }
        client.reset();
        done = held.size() == 100;
      };
      client->on_readable(end);
      client->on_writable(end);
      if (reads) {
        client->watch_read();
      }
      std::string text(16384, 'x');  // so that watching to write waits for the end of the handshake
      iovec piece{text.data(), text.size()};
      client->send({&piece, 1});
      client->watch_write();
      REQUIRE(run_until(ends.loop, [&] { return done; }));
      run_what_there_is(ends.loop);
    }
  }
  SUBCASE("when the handshake fails") {
    Ends ends;
    ends.server.start(ends.server_stream(Run().for_peer(2)));
    auto client = ends.client_stream(run.for_peer(1), Expect::peer);
    bool done = false;
    client->on_readable([&] {
      client.reset();
      done = true;
    });
    client->on_writable([] {});
    client->watch_read();
    client->watch_write();
    REQUIRE(run_until(ends.loop, [&] { return done; }));
    run_what_there_is(ends.loop);
  }
}

TEST_CASE("a stream that is destroyed before its handshake is over calls nobody") {
  const Run run;
  Ends ends;
  auto client = ends.client_stream(run.for_peer(1), Expect::peer);
  auto server = ends.server_stream(run.for_peer(2));
  for (auto* stream : {&client, &server}) {
    (*stream)->on_readable([] { CHECK(false); });
    (*stream)->on_writable([] { CHECK(false); });
    (*stream)->watch_read();
    (*stream)->watch_write();
  }
  client.reset();
  server.reset();
  run_what_there_is(ends.loop);
}

}  // namespace
}  // namespace seaway::net
