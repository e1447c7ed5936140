#include "core/relay_desk.h"

#include <doctest/doctest.h>

namespace seaway::core {
namespace {

wire::LinkHello wish(PeerId from, PeerId to, bool control = true) { return {1, {}, from, to, control, 9}; }

TEST_CASE("relay desk: two that ask for one another meet, once") {
  RelayDesk desk(8);
  CHECK(!desk.ask(1, wish(40, 60)).met);
  CHECK(!desk.ask(2, wish(60, 40, false)).met);  // a data connection is no control connection
  CHECK(!desk.ask(3, wish(60, 41)).met);
  CHECK(desk.ask(4, wish(60, 40)).met == 1);
  CHECK(desk.ask(5, wish(40, 60, false)).met == 2);
  CHECK(desk.waiting() == 1);
  CHECK(!desk.ask(6, wish(60, 40)).met);
}

TEST_CASE("relay desk: who asks again takes its own place, and the oldest of too many makes room") {
  RelayDesk desk(2);
  desk.ask(1, wish(40, 60));
  const RelayDesk::Answer again = desk.ask(2, wish(40, 60));
  CHECK(again.dropped == 1);
  CHECK(!again.met);
  CHECK(!desk.ask(3, wish(41, 60)).dropped);
  CHECK(desk.ask(4, wish(42, 60)).dropped == 2);
  desk.gone(3);
  desk.gone(3);
  CHECK(!desk.ask(5, wish(60, 41)).met);
  CHECK(desk.waiting() == 2);
}

}  // namespace
}  // namespace seaway::core
