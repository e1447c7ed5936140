// Known answers of a link: when segments leave, and which find no room.
#include "lab/model/link.h"

#include <doctest/doctest.h>

#include "unit/lab/packets.h"

using namespace seaway;
using namespace seaway::lab;

namespace {

constexpr std::uint64_t kMillisecondEach = 12'000'000;  // bits per second at which 1500 bytes take a millisecond

Link link_of(std::uint64_t rate, std::uint64_t queue = 0) {
  Link link;
  link.set(0, rate, queue);
  return link;
}

std::vector<Piece> pass(Link& link, const Piece& piece) {
  std::vector<Piece> out;
  link.pass(piece, out);
  return out;
}

}  // namespace

TEST_CASE("a packet leaves when its last byte has, and the next waits for it") {
  Link link = link_of(kMillisecondEach);
  CHECK(pass(link, whole(burst(1), 0))[0].end == kMillisecond);
  CHECK(pass(link, whole(burst(1), 0))[0].end == 2 * kMillisecond);
  CHECK(pass(link, whole(tcp(0, 1, 750 - kHeaders), 0))[0].end == 5 * kMillisecond / 2);
  CHECK(pass(link, whole(burst(1), 10 * kMillisecond))[0].end == 11 * kMillisecond);
}

TEST_CASE("a link without a rate passes everything at once") {
  Link link;
  const auto out = pass(link, whole(burst(40), 5));
  REQUIRE(out.size() == 1);
  CHECK(out[0].count == 40);
  CHECK(out[0].begin == 5);
  CHECK(out[0].end == 5);
  CHECK(link.counts().bytes == 40 * 1500);
}

TEST_CASE("a burst stays together on a fast link and comes apart on a slow one") {
  Link fast = link_of(1'000'000'000);
  const auto together = pass(fast, whole(burst(40), 0));
  REQUIRE(together.size() == 1);
  CHECK(together[0].begin == 12 * kMicrosecond);
  CHECK(together[0].end == 480 * kMicrosecond);

  Link slow = link_of(10'000'000);
  const auto apart = pass(slow, whole(burst(10), 0));
  REQUIRE(apart.size() == 10);
  for (unsigned i = 0; i < 10; ++i) {
    CHECK(apart[i].first == i);
    CHECK(apart[i].count == 1);
    CHECK(apart[i].end == (i + 1) * 1200 * kMicrosecond);
  }

  // In between pieces as long as a millisecond: the first leaves after .24 ms, four more fit into what is left.
  Link between = link_of(50'000'000);
  const auto pieces = pass(between, whole(burst(10), 0));
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].count == 5);
  CHECK(pieces[0].begin == 240 * kMicrosecond);
  CHECK(pieces[0].end == 1200 * kMicrosecond);
}

TEST_CASE("what finds no room is dropped, segment by segment") {
  Link link = link_of(kMillisecondEach, 6000);
  const auto out = pass(link, whole(burst(10), 0));
  std::uint64_t passed = 0;
  for (const Piece& piece : out) {
    passed += piece.count;
  }
  CHECK(passed == 4);
  CHECK(link.counts().segments == 4);
  CHECK(link.counts().dropped == 6);
  CHECK(link.counts().longest_queue == 6000);
  // A millisecond later one has left: there is room for one.
  CHECK(pass(link, whole(burst(2), kMillisecond)).size() == 1);
  CHECK(link.counts().dropped == 7);
  // A small one finds room where a large one does not.
  CHECK(pass(link, whole(tcp(0, 1, 700 - kHeaders), 3 * kMillisecond / 2)).size() == 1);
  CHECK(pass(link, whole(burst(1), 3 * kMillisecond / 2)).empty());
}

TEST_CASE("a burst that comes twice as fast as the link passes it loses every other segment once the queue is full") {
  Link link = link_of(kMillisecondEach, 3000);
  Piece burst_of_40{burst(40), 0, 40, 0, 39 * kMillisecond / 2};
  std::vector<unsigned> firsts;
  for (const Piece& piece : pass(link, burst_of_40)) {
    for (unsigned i = 0; i < piece.count; ++i) {
      firsts.push_back(piece.first + i);
    }
  }
  CHECK(link.counts().segments == 21);
  CHECK(firsts[10] - firsts[9] == 2);
  CHECK(firsts[20] - firsts[19] == 2);
}

TEST_CASE("two bursts that come at half the link's rate each are not held up by one another") {
  Link link = link_of(2 * kMillisecondEach);
  const Duration both = 9 * kMillisecond;
  const auto first = pass(link, {burst(10), 0, 10, 0, both});
  const auto second = pass(link, {burst(10), 0, 10, 0, both});
  CHECK(first.back().end == both + kMillisecond / 2);
  CHECK(second.back().end == both + kMillisecond);
}

TEST_CASE("what waits goes on at the new rate") {
  Link link = link_of(kMillisecondEach);
  pass(link, whole(burst(10), 0));
  link.set(2 * kMillisecond, 4 * kMillisecondEach, 0);  // 8 wait
  CHECK(pass(link, whole(burst(1), 2 * kMillisecond))[0].end == 2 * kMillisecond + 9 * kMillisecond / 4);
  link.set(3 * kMillisecond, 0, 0);
  CHECK(pass(link, whole(burst(1), 3 * kMillisecond))[0].end == 3 * kMillisecond);
}

TEST_CASE("a queue holds what the link passes in 50 ms when nobody says, and never less than two packets") {
  CHECK(link_of(100'000'000).queue() == 625'000);
  CHECK(link_of(100'000'000, 70'000).queue() == 70'000);
  CHECK(link_of(1000).queue() == Link::kLeastQueue);
}
