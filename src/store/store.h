// What keeps a master's record over its death: one record, replaced by compared writes.
//
// A Table is the compared write as a real store has it: it blocks, and may end without anybody knowing whether it was done.
// A Store makes of it what core::Master wants: one write at a time, answered in the end with yes or no.
//
//   Table     read, replace if (term, version) is what is expected
//   SQLite    sqlite_table.h: a file, and a lock against a second master on it
//   etcd      (later) docs/OPERATIONS.md, section Another store, says how it fits
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/compared_write.h"

namespace seaway::store {

class Table {
 public:
  struct Read {
    std::optional<wire::StoredRun> record;  // nothing: there is none
    std::string problem;                    // in words why it could not be read; "": it was
  };

  virtual ~Table() = default;

  virtual Read read() = 0;
  // `problem` says what failed.
  virtual core::Replaced replace(core::Place expected, const wire::StoredRun& record, std::string& problem) = 0;
};

// Carries the write out, whatever fails on the way. False: the record is another master's. `wait` is called after each try
// that failed; when it says false the write is given up and nothing is returned.
std::optional<bool> settle(Table& table, core::ComparedWrite write,
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
  void write(core::Place expected, wire::StoredRun record, std::function<void(bool ok)> done);

 private:
  struct Write {
    core::ComparedWrite what;
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
