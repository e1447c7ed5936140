// Bytes through an encrypted stream: all of them, in order, whatever the sockets do.
#include <doctest/doctest.h>

#include <cstring>

#include "base/limits.h"
#include "base/random.h"
#include "tls_ends.h"

namespace seaway::net {
namespace {

// Sends and compares a sequence of random bytes, through pieces of random sizes.
class Bulk {
 public:
  Bulk(std::unique_ptr<Stream> stream, std::uint64_t seed_out, std::uint64_t seed_in, std::size_t bytes, bool small)
      : stream_(std::move(stream)), out_(seed_out), in_(seed_in), sizes_(seed_out), bytes_(bytes), small_(small) {
    pending_.resize(kMost);
    came_.resize(kMost);
    stream_->on_readable([this] { read(); });
    stream_->on_writable([this] { write(); });
    stream_->watch_read();
    write();
  }
  bool done() const { return failed_ || (sent_ == bytes_ && got_ == bytes_); }
  bool failed() const { return failed_; }
  Stream& stream() { return *stream_; }

 private:
  static constexpr std::size_t kMost = 1u << 20;

  // Cuts `size` bytes at `from` into pieces: headers and payloads, as the runtime sends them, or crumbs.
  std::vector<iovec> cut(std::byte* from, std::size_t size) {
    std::vector<iovec> pieces;
    while (size > 0) {
      std::size_t part = 0;
      if (small_) {
        part = sizes_.below(40);
      } else {
        part = sizes_.one_in(2) ? 64 : sizes_.between(1, 600'000);
      }
      part = std::min(part, size);
      pieces.push_back({from, part});
      from += part;
      size -= part;
    }
    return pieces;
  }

  void fill(Random& random, std::byte* to, std::size_t size) {
    for (std::size_t at = 0; at + 8 <= size; at += 8) {
      const std::uint64_t word = random.next();
      std::memcpy(to + at, &word, 8);
    }
  }

  void write() {
    for (int turns = 0; sent_ < bytes_; ++turns) {
      if (have_ == from_) {
        from_ = 0;
        have_ = std::min<std::size_t>(small_ ? 4096 : kMost, bytes_ - sent_);
        fill(out_, pending_.data(), have_);
      }
      if (turns == 8) {  // the other one's turn
        stream_->watch_write();
        return;
      }
      auto pieces = cut(pending_.data() + from_, have_ - from_);
      const IoResult result = stream_->send(pieces);
      if (result.io == Io::blocked) {
        stream_->watch_write();
        return;
      }
      if (result.io != Io::moved || result.bytes > have_ - from_) {
        failed_ = true;
        return;
      }
      from_ += result.bytes;
      sent_ += result.bytes;
    }
  }

  void read() {
    for (int turns = 0; turns < 8; ++turns) {
      const std::size_t room = std::min<std::size_t>(came_.size() - fresh_, small_ ? 3000 : kMost);
      auto pieces = cut(came_.data() + fresh_, room);
      const IoResult result = stream_->receive(pieces);
      if (result.io == Io::blocked) {
        break;
      }
      if (result.io != Io::moved || result.bytes > room) {
        failed_ = true;
        return;
      }
      got_ += result.bytes;
      fresh_ += result.bytes;
      const std::size_t whole = fresh_ / 8 * 8;
      expected_.resize(whole);
      fill(in_, expected_.data(), whole);
      failed_ = failed_ || std::memcmp(expected_.data(), came_.data(), whole) != 0;
      std::memmove(came_.data(), came_.data() + whole, fresh_ - whole);
      fresh_ -= whole;
    }
    stream_->watch_read();
  }

  std::unique_ptr<Stream> stream_;
  Random out_;
  Random in_;
  Random sizes_;
  std::size_t bytes_;
  bool small_;
  std::vector<std::byte> pending_;
  std::vector<std::byte> came_;
  std::vector<std::byte> expected_;
  std::size_t from_ = 0;
  std::size_t have_ = 0;
  std::size_t fresh_ = 0;  // of came_: not compared yet
  std::size_t sent_ = 0;
  std::size_t got_ = 0;
  bool failed_ = false;
};

void both_ways(std::size_t bytes, bool small, int send_bytes, std::uint64_t rekey_bytes) {
  const Run run;
  Ends ends(send_bytes);
  const auto one = run.for_peer(1);
  const auto two = run.for_peer(2);
  one->rekey_bytes = two->rekey_bytes = rekey_bytes;
  Bulk server(ends.server_stream(two), 11, 22, bytes, small);
  Bulk client(ends.client_stream(one, Expect::peer), 22, 11, bytes, small);
  CHECK(run_until(ends.loop, [&] { return server.done() && client.done(); }));
  CHECK_FALSE(server.failed());
  CHECK_FALSE(client.failed());
  CHECK(server.stream().problem() + client.stream().problem() == "");
}

TEST_CASE("64 MiB each way at once, in big pieces") { both_ways(64u << 20, false, 0, 64ull << 30); }
TEST_CASE("through crumbs") { both_ways(4u << 20, true, 0, 64ull << 30); }
TEST_CASE("through sockets that take little at once") { both_ways(8u << 20, false, 1, 64ull << 30); }
TEST_CASE("with new keys all the time") { both_ways(16u << 20, false, 0, 100'000); }

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
