// What keeps a master's record over its death: one record, replaced by compared writes.
//
// A Table is the compared write as a real store has it: it blocks, and may end without anybody knowing whether it was done.
// A Store makes of it what core::Master wants: one write at a time, answered in the end with yes or no.
//
//   Table     read, replace if (term, version) is what is expected
//   SQLite    sqlite_table.h: a file, and a lock against a second master on it
//   etcd      (later) read = range; replace = txn(compare the key's value's (term, version) and the leader key's create
//             revision; put); a lease that is lost is core::LeaseLost, which needs no Table
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "wire/messages.h"

namespace seaway::store {

struct Expected {
  std::uint64_t term = 0;
  std::uint64_t version = 0;
  bool operator==(const Expected&) const = default;

  // What fits this record; none counts as term 0, version 0.
  static Expected of(const std::optional<wire::StoredRun>& record) {
    return record ? Expected{record->term, record->version} : Expected{};
  }
};

class Table {
 public:
  enum class Replaced : std::uint8_t {
    yes = 1,
    other = 2,    // something else than what was expected is there; nothing was written
    unknown = 3,  // it failed: only reading tells
  };
  struct Read {
    std::optional<wire::StoredRun> record;  // nothing: there is none
    std::string problem;                    // in words why it could not be read; "": it was
  };

  virtual ~Table() = default;

  virtual Read read() = 0;
  // `problem` says what failed.
  virtual Replaced replace(Expected expected, const wire::StoredRun& record, std::string& problem) = 0;
};

// The write as its master sees it: whatever fails is read and tried again until it is clear. False: the record is another
// master's. `wait` is called before each new try, with the number of tries that failed and what failed; when it says false
// the write is given up and nothing is returned.
std::optional<bool> settle(Table& table, Expected expected, const wire::StoredRun& record,
                           const std::function<bool(unsigned failed, const std::string& problem)>& wait);

// A Table with a thread of its own, so that a slow disk does not keep a master from hearing its peers.
class Store {
 public:
  // `log` is called on the store's thread.
  Store(std::unique_ptr<Table> table, std::function<void(const std::string&)> log);
  ~Store();  // a write under way is given up, and not answered
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Before the first write.
  Table::Read load() { return table_->read(); }

  // One at a time. `done` is called on the store's thread: the record is durable, or (false) another master's is there.
  void write(Expected expected, wire::StoredRun record, std::function<void(bool ok)> done);

 private:
  struct Write {
    Expected expected;
    wire::StoredRun record;
    std::function<void(bool)> done;
  };

  void run();
  bool wait(unsigned failed, const std::string& problem);

  std::unique_ptr<Table> table_;
  std::function<void(const std::string&)> log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Write> next_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace seaway::store
