#include "store/store.h"

#include <chrono>
#include <utility>

#include "base/assert.h"

namespace seaway::store {

std::optional<bool> settle(Table& table, core::ComparedWrite write,
                           const std::function<bool(unsigned failed, const std::string& problem)>& wait) {
  using Next = core::ComparedWrite::Next;
  while (write.next() != Next::done) {
    std::string problem;
    bool failed = false;
    if (write.next() == Next::replace) {
      failed = write.on_replaced(table.replace(write.expected(), write.record(), problem));
    } else if (const Table::Read read = table.read(); read.problem.empty()) {
      write.on_read(read.record);
    } else {
      problem = read.problem;
      failed = write.on_read_failed();
    }
    if (failed && !wait(write.failed(), problem)) {
      return std::nullopt;
    }
  }
  return write.ok();
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

void Store::write(core::Place expected, wire::StoredRun record, std::function<void(bool ok)> done) {
  {
    const std::lock_guard lock(mutex_);
    SEAWAY_ASSERT(!next_, "one write at a time");
    next_ = Write{{expected, std::move(record)}, std::move(done)};
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
        settle(*table_, std::move(write->what),
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
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::nanoseconds(core::ComparedWrite::pause_after(failed)),
                            [&] { return over_; });
}

}  // namespace seaway::store
