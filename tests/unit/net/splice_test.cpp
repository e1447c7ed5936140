// Bytes of one connection that go on over another.
#include "net/splice.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "tls_ends.h"

namespace seaway::net {
namespace {

// here <-> (a spliced to b) <-> there
struct Spliced {
  Loop loop;
  std::array<std::unique_ptr<Stream>, 2> ends;
  std::unique_ptr<Splice> splice;
  int over = 0;

  Spliced() {
    std::array<std::unique_ptr<Stream>, 2> middle;
    for (int i = 0; i < 2; ++i) {
      int pair[2];
      REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
      ends[i] = plain_stream(loop, UniqueFd(pair[0]));
      middle[i] = plain_stream(loop, UniqueFd(pair[1]));
      ends[i]->on_readable([] {});
      ends[i]->on_writable([] {});
    }
    splice = std::make_unique<Splice>(loop, std::move(middle[0]), std::move(middle[1]), [this] { ++over; });
  }

  // Moves `bytes` from one end to the other, as fast as it takes them.
  std::vector<std::byte> carry(int from, const std::vector<std::byte>& bytes) {
    std::vector<std::byte> got;
    std::size_t sent = 0;
    const bool all = run_until(loop, [&] {
      if (sent < bytes.size()) {
        iovec piece{const_cast<std::byte*>(bytes.data()) + sent, bytes.size() - sent};
        sent += ends[from]->send({&piece, 1}).bytes;
        ends[from]->watch_write();
      }
      const std::size_t have = got.size();
      got.resize(have + 100'000);
      iovec room{got.data() + have, got.size() - have};
      got.resize(have + ends[1 - from]->receive({&room, 1}).bytes);
      ends[1 - from]->watch_read();
      return got.size() >= bytes.size();
    });
    CHECK(all);
    return got;
  }
};

std::vector<std::byte> some_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(i * i >> 3);
  }
  return bytes;
}

TEST_CASE("splice: bytes of either end come out at the other, far more than it holds") {
  Spliced spliced;
  for (const int from : {0, 1, 0}) {
    const std::vector<std::byte> bytes = some_bytes(5'000'000);
    CHECK(spliced.carry(from, bytes) == bytes);
  }
  CHECK(spliced.over == 0);
}

TEST_CASE("splice: what was said before a FIN still leaves, and then it is over, once") {
  Spliced spliced;
  std::vector<std::byte> bytes = some_bytes(100'000);
  iovec piece{bytes.data(), bytes.size()};
  REQUIRE(spliced.ends[0]->send({&piece, 1}).bytes == bytes.size());
  spliced.ends[0].reset();
  std::vector<std::byte> got;
  bool ended = false;
  CHECK(run_until(spliced.loop, [&] {
    std::array<std::byte, 4096> some;
    iovec room{some.data(), some.size()};
    for (;;) {
      const IoResult result = spliced.ends[1]->receive({&room, 1});
      if (result.io != Io::moved) {
        ended = result.io == Io::closed;
        break;
      }
      got.insert(got.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(result.bytes));
    }
    spliced.ends[1]->watch_read();
    if (spliced.over > 0) {
      spliced.splice.reset();  // as its owner does
    }
    return ended;
  }));
  CHECK(got == bytes);
  CHECK(spliced.over == 1);
}

TEST_CASE("splice: destroyed, it calls nobody") {
  Spliced spliced;
  spliced.ends[0].reset();
  spliced.splice.reset();
  run_what_there_is(spliced.loop);
  CHECK(spliced.over == 0);
}

}  // namespace
}  // namespace seaway::net
