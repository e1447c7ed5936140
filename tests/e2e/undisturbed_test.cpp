// Large ops while nothing else happens: every step of an op has to lead to the next by itself.
#include <doctest/doctest.h>

#include <cstdio>
#include <vector>

#include "e2e/cluster.h"

namespace seaway::e2e {

namespace {

// A heartbeat comes every 50 s then: an op that waits for whatever happens next would not end in time.
constexpr unsigned kTimeScale = 100;
constexpr double kPatience = 30;

void commits(Load load) {
  load.time_scale = kTimeScale;
  Cluster cluster(2, load);
  const double seconds = cluster.wait_for_ops({&cluster.worker(0), &cluster.worker(1)}, 2 * load.ops, kPatience);
  std::printf("undisturbed, %u x %u MiB%s: 2 steps in %.3f s\n", load.ops, load.mib, load.in_place ? " in place" : "",
              seconds);
  cluster.finish();
}

}  // namespace

TEST_CASE("large ops end without the help of a heartbeat") {
  SUBCASE("in place: at its end as many copies as it has chunks") { commits({.mib = 48, .ops = 1, .in_place = true}); }
  SUBCASE("out of place") { commits({.mib = 48, .ops = 1}); }
  SUBCASE("many at once") { commits({.mib = 4, .ops = 24}); }
}

}  // namespace seaway::e2e
