// One replacement of the master's record in a store that may fail without saying whether it has written: what to do next,
// until it is clear. A state machine without I/O, so that the simulator's store can lie to it.
//
// | to do    | came of it                         | to do next           |
// |----------|------------------------------------|----------------------|
// | replace  | yes                                | nothing: it is done  |
// |          | other: something else was expected | read                 |
// |          | unknown                            | read, after a wait   |
// | read     | failed                             | read, after a wait   |
// |          | what was expected                  | replace              |
// |          | this record                        | nothing: it is done  |
// |          | anything else                      | nothing: it is another master's |
//
// A try that was given up for unknown may still take effect later, even after the next one has: the comparison makes the
// second of them fail, and what is read is this record. `StoredRun::author` tells it from that of another master which
// started from the same record and would write the same.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/time.h"
#include "wire/messages.h"

namespace seaway::core {

// The place of a record in the order of all records; a write takes effect where the one that it follows stands.
struct Place {
  std::uint64_t term = 0;
  std::uint64_t version = 0;
  bool operator==(const Place&) const = default;

  static Place of(const std::optional<wire::StoredRun>& record) {  // none: the place before the first
    return record ? Place{record->term, record->version} : Place{};
  }
};

enum class Replaced : std::uint8_t {
  yes = 1,
  other = 2,    // something else than what was expected is there; nothing was written
  unknown = 3,  // it failed: only reading tells
};

class ComparedWrite {
 public:
  enum class Next : std::uint8_t { replace = 1, read = 2, done = 3 };

  ComparedWrite(Place expected, wire::StoredRun record) : expected_(expected), record_(std::move(record)) {}

  Next next() const { return next_; }
  unsigned failed() const { return failed_; }  // tries so far
  bool ok() const { return ok_; }              // once done: the record is there; false: another master's is
  Place expected() const { return expected_; }
  const wire::StoredRun& record() const { return record_; }

  // How long after the so-manieth try that failed.
  static Duration pause_after(unsigned failed);

  // True: it failed, so pause before what is next.
  bool on_replaced(Replaced replaced);
  bool on_read_failed();
  void on_read(const std::optional<wire::StoredRun>& found);

 private:
  Place expected_;
  wire::StoredRun record_;
  Next next_ = Next::replace;
  unsigned failed_ = 0;
  bool ok_ = false;
};

}  // namespace seaway::core
