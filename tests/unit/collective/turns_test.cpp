#include "collective/turns.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace seaway::collective {
namespace {

std::vector<OpHandle> take(Turns& turns, int count, const std::vector<OpHandle>& ready,
                           const std::vector<OpHandle>& over = {}) {
  const auto is_in = [](const std::vector<OpHandle>& list) {
    return [&list](OpHandle op) { return std::find(list.begin(), list.end(), op) != list.end(); };
  };
  std::vector<OpHandle> taken;
  for (int i = 0; i < count; ++i) {
    taken.push_back(turns.next(is_in(ready), is_in(over)));
  }
  return taken;
}

TEST_CASE("ops of one priority take turns, those of a higher one go first") {
  Turns turns;
  CHECK(take(turns, 1, {}) == std::vector<OpHandle>{0});
  turns.add(0, 5);
  turns.add(0, 7);
  turns.add(0, 6);
  turns.add(0, 6);
  CHECK(take(turns, 5, {5, 6, 7}) == std::vector<OpHandle>{5, 6, 7, 5, 6});
  turns.add(1, 9);
  turns.add(-1, 2);
  CHECK(take(turns, 3, {2, 5, 6, 7, 9}) == std::vector<OpHandle>{9, 9, 9});
  CHECK(take(turns, 4, {2, 5, 7}) == std::vector<OpHandle>{5, 7, 5, 7});
  CHECK(take(turns, 2, {2}) == std::vector<OpHandle>{2, 2});
  CHECK(turns.any([](OpHandle op) { return op == 6; }));
}

TEST_CASE("ops that are over are forgotten when they are met") {
  Turns turns;
  turns.add(0, 5);
  turns.add(0, 6);
  turns.add(0, 7);
  CHECK(take(turns, 1, {6}, {5}) == std::vector<OpHandle>{6});
  CHECK_FALSE(turns.any([](OpHandle op) { return op == 5; }));
  CHECK(take(turns, 1, {}, {7}) == std::vector<OpHandle>{0});
  CHECK(take(turns, 2, {6}) == std::vector<OpHandle>{6, 6});
  CHECK_FALSE(turns.any([](OpHandle op) { return op == 7; }));
}

}  // namespace
}  // namespace seaway::collective
