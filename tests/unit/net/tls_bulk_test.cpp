// Bytes through an encrypted stream: all of them, in order, whatever the sockets do.
#include <doctest/doctest.h>

#include <cstring>

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

constexpr std::uint64_t kRekey = 1u << 22;

void both_ways(std::size_t bytes, bool small, int send_bytes, std::uint64_t rekey_records) {
  const Run run;
  Ends ends(send_bytes);
  const auto one = run.for_peer(1);
  const auto two = run.for_peer(2);
  one->rekey_records = two->rekey_records = rekey_records;
  Bulk server(ends.server_stream(two), 11, 22, bytes, small);
  Bulk client(ends.client_stream(one, Expect::peer), 22, 11, bytes, small);
  CHECK(run_until(ends.loop, [&] { return server.done() && client.done(); }));
  CHECK_FALSE(server.failed());
  CHECK_FALSE(client.failed());
  CHECK(server.stream().problem() + client.stream().problem() == "");
}

TEST_CASE("64 MiB each way at once, in big pieces") { both_ways(64u << 20, false, 0, kRekey); }
TEST_CASE("through crumbs") { both_ways(4u << 20, true, 0, kRekey); }
TEST_CASE("through sockets that take little at once") { both_ways(8u << 20, false, 1, kRekey); }
TEST_CASE("with new keys all the time") { both_ways(16u << 20, false, 0, 6); }

}  // namespace
}  // namespace seaway::net
