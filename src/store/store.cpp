#include "store/store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/assert.h"

namespace seaway::store {

namespace {

constexpr std::chrono::milliseconds kFirstWait{100};
constexpr std::chrono::milliseconds kLongestWait{2000};

}  // namespace

std::optional<bool> settle(Table& table, Expected expected, const wire::StoredRun& record,
                           const std::function<bool(unsigned failed, const std::string& problem)>& wait) {
  for (unsigned failed = 0;;) {
    std::string problem;
    const Table::Replaced replaced = table.replace(expected, record, problem);
    if (replaced == Table::Replaced::yes) {
      return true;
    }
    if (replaced == Table::Replaced::unknown && !wait(++failed, problem)) {
      return std::nullopt;
    }
    Table::Read read = table.read();
    while (!read.problem.empty()) {
      if (!wait(++failed, read.problem)) {
        return std::nullopt;
      }
      read = table.read();
    }
    if (Expected::of(read.record) != expected) {
      return read.record == record;  // a try that seemed to fail may have written it
    }
  }
}

Store::Store(std::unique_ptr<Table> table, std::function<void(const std::string&)> log)
    : table_(std::move(table)), log_(std::move(log)), thread_([this] { run(); }) {}

Store::~Store() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Store::write(Expected expected, wire::StoredRun record, std::function<void(bool ok)> done) {
  {
    const std::lock_guard lock(mutex_);
    SEAWAY_ASSERT(!next_, "one write at a time");
    next_ = Write{expected, std::move(record), std::move(done)};
  }
  changed_.notify_all();
}

void Store::run() {
  for (;;) {
    std::optional<Write> write;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return over_ || next_; });
      if (over_) {
        return;
      }
      write = std::exchange(next_, std::nullopt);
    }
    const std::optional<bool> ok =
        settle(*table_, write->expected, write->record,
               [&](unsigned failed, const std::string& problem) { return wait(failed, problem); });
    if (!ok) {
      return;
    }
    write->done(*ok);
  }
}

bool Store::wait(unsigned failed, const std::string& problem) {
  // What is decided is said when it is durable: until then the run goes on as it is, and nobody joins or is lost.
  if (failed == 1 || failed % 10 == 0) {
    log_("the state could not be written, nothing is decided until it can: " + problem);
  }
  const auto longer = kFirstWait * (1u << std::min(failed - 1, 5u));
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::min<std::chrono::milliseconds>(longer, kLongestWait), [&] { return over_; });
}

}  // namespace seaway::store
