// core::ComparedWrite over a store that fails as the bytes say.
//
// A try may time out and take effect then, later, or never, and another master may write in between. In the end it is done,
// and ok exactly when the record was written before anybody else's in its place.
#include "core/compared_write.h"

#include <optional>
#include <vector>

#include "fuzz/support/input.h"
#include "fuzz/support/require.h"

using namespace seaway;
using core::ComparedWrite;
using core::Place;
using core::Replaced;

namespace {

constexpr unsigned kMostTries = 200;

struct Store {
  std::optional<wire::StoredRun> there;
  std::vector<wire::StoredRun> written;  // by anybody, in order
  std::vector<std::pair<Place, wire::StoredRun>> late;

  bool replace(const Place& expected, const wire::StoredRun& record) {
    if (Place::of(there) != expected) {
      return false;
    }
    there = record;
    written.push_back(record);
    return true;
  }
};

wire::StoredRun after(const Place& place, std::uint64_t author, bool new_term) {
  wire::StoredRun record;
  record.term = place.term + (new_term ? 1 : 0);
  record.version = place.version + 1;
  record.author = author;
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Store store;
  if (input.one_in(2)) {
    store.there = after({3, 4}, 1, false);
  }
  const Place start = Place::of(store.there);
  const wire::StoredRun mine = after(start, 2, input.one_in(2));
  ComparedWrite write(start, mine);
  for (unsigned tries = 0; write.next() != ComparedWrite::Next::done; ++tries) {
    const std::uint8_t what = tries < kMostTries ? input.byte() : 0;  // then nothing fails any more
    if ((what & 1) != 0 && !store.late.empty()) {
      const auto [expected, record] = store.late.back();
      store.late.pop_back();
      store.replace(expected, record);
    }
    if ((what & 6) == 6) {
      store.replace(Place::of(store.there), after(Place::of(store.there), 3, (what & 8) != 0));
    }
    bool failed = false;
    const unsigned before = write.failed();
    if (write.next() == ComparedWrite::Next::replace) {
      if ((what & 16) == 0) {
        failed = write.on_replaced(store.replace(write.expected(), write.record()) ? Replaced::yes : Replaced::other);
      } else {
        if ((what & 32) != 0) {
          store.replace(write.expected(), write.record());
        } else if ((what & 64) != 0) {
          store.late.emplace_back(write.expected(), write.record());
        }
        failed = write.on_replaced(Replaced::unknown);
        FUZZ_REQUIRE(failed, "a try of which nobody knows what became has failed");
      }
    } else if ((what & 16) != 0) {
      failed = write.on_read_failed();
      FUZZ_REQUIRE(failed, "so has a read");
    } else {
      write.on_read(store.there);
    }
    FUZZ_REQUIRE(write.failed() == before + (failed ? 1 : 0), "tries that failed are counted");
    FUZZ_REQUIRE(ComparedWrite::pause_after(write.failed()) > 0, "and followed by a pause");
    FUZZ_REQUIRE(tries < kMostTries + 4, "it ends once nothing fails");
  }
  const bool first = !store.written.empty() && store.written.front() == mine;
  const bool last = store.there == mine;
  FUZZ_REQUIRE(!write.ok() || first, "what is ok was written, in its place");
  FUZZ_REQUIRE(write.ok() || !last, "what is there is ok");
  return 0;
}
