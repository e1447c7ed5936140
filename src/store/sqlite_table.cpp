#include "store/sqlite_table.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace seaway::store {

namespace {

using core::Replaced;

constexpr int kBusy_ms = 2000;  // a backup or a curious operator may have the database open
constexpr int kFormat = 1;      // of the tables; the record has one of its own
constexpr const char* kTable =
    "run (one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL, version INTEGER NOT NULL, record BLOB NOT "
    "NULL)";

struct Closed {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Closed>;
using Statement = std::unique_ptr<sqlite3_stmt, Closed>;

class SqliteTable : public Table {
 public:
  SqliteTable(Database database, int lock) : database_(std::move(database)), lock_(lock) {}
  ~SqliteTable() override {
    database_.reset();
    ::close(lock_);
  }
  SqliteTable(const SqliteTable&) = delete;
  SqliteTable& operator=(const SqliteTable&) = delete;

  // Of what was done last.
  bool lacks_room() const { return sqlite3_errcode(database_.get()) == SQLITE_FULL; }

  // "" or what is wrong with the file.
  std::string prepare() {
    if (const std::string damage = text_of("PRAGMA quick_check(1)"); damage != "ok") {
      return "is damaged: " + damage;
    }
    const std::string format = text_of("PRAGMA user_version");
    if (format != "0" && format != std::to_string(kFormat)) {
      return "is of format " + format + ", this version of seaway reads " + std::to_string(kFormat);
    }
    // FULL: a commit is on the disk before it is answered, also in WAL mode.
    const std::string create = std::string("CREATE TABLE IF NOT EXISTS ") + kTable;
    for (const char* sql :
         {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", create.c_str(), "PRAGMA user_version = 1"}) {
      if (!run(sql)) {
        return "cannot be used: " + said();
      }
    }
    // The check above looks at pages. A table that is another one by a few letters would take a record and give another.
    if (text_of("SELECT group_concat(sql) FROM sqlite_master") != std::string("CREATE TABLE ") + kTable) {
      return "has other tables than a master makes";
    }
    return read().problem;
  }

  Read read() override {
    const Statement select = statement("SELECT term, version, record FROM run");
    const int got = select ? sqlite3_step(select.get()) : SQLITE_ERROR;
    if (got == SQLITE_DONE) {
      return {};
    }
    if (got != SQLITE_ROW) {
      return {std::nullopt, "cannot be read: " + said()};
    }
    const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(select.get(), 2));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(select.get(), 2));
    auto record = wire::decode_stored({bytes, size});
    if (!record || record->term != number(select, 0) || record->version != number(select, 1)) {
      return {std::nullopt, "holds no record that this version of seaway can read"};
    }
    return {std::move(record), ""};
  }

  Replaced replace(core::Place expected, const wire::StoredRun& record, std::string& problem) override {
    if (!run("BEGIN IMMEDIATE")) {
      problem = said();
      return Replaced::unknown;
    }
    const Read there = read();
    if (!there.problem.empty() || core::Place::of(there.record) != expected) {
      problem = there.problem;
      run("ROLLBACK");
      return there.problem.empty() ? Replaced::other : Replaced::unknown;
    }
    const std::vector<std::byte> bytes = wire::encode(record);
    const Statement insert = statement("INSERT OR REPLACE INTO run VALUES (1, ?, ?, ?)");
    const bool inserted =
        insert && sqlite3_bind_int64(insert.get(), 1, std::bit_cast<std::int64_t>(record.term)) == SQLITE_OK &&
        sqlite3_bind_int64(insert.get(), 2, std::bit_cast<std::int64_t>(record.version)) == SQLITE_OK &&
        sqlite3_bind_blob(insert.get(), 3, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(insert.get()) == SQLITE_DONE;
    if (!inserted || !run("COMMIT")) {
      problem = said();
      run("ROLLBACK");
      return Replaced::unknown;
    }
    return Replaced::yes;
  }

 private:
  Statement statement(const char* sql) {
    sqlite3_stmt* made = nullptr;
    sqlite3_prepare_v2(database_.get(), sql, -1, &made, nullptr);
    return Statement(made);
  }
  bool run(const char* sql) { return sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK; }
  std::string text_of(const char* sql) {
    const Statement select = statement(sql);
    if (!select || sqlite3_step(select.get()) != SQLITE_ROW) {
      return said();
    }
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(select.get(), 0));
    return text == nullptr ? "" : text;
  }
  static std::uint64_t number(const Statement& row, int column) {
    return std::bit_cast<std::uint64_t>(static_cast<std::int64_t>(sqlite3_column_int64(row.get(), column)));
  }
  std::string said() const { return sqlite3_errmsg(database_.get()); }

  Database database_;
  int lock_;  // a descriptor
};

std::string why() { return std::strerror(errno); }

// The lock's descriptor, or -1. The number in the file is for whoever asks who has it.
int take_lock(const std::string& folder, std::string& problem) {
  const std::string path = folder + "/lock";
  const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    problem = path + ": " + why();
    return -1;
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 16> pid{};
    const bool known = ::pread(lock, pid.data(), pid.size() - 1, 0) > 0;
    problem = folder + " belongs to a master that runs" +
              (known ? " (process " + std::string(pid.data()) + ")" : std::string()) +
              ": one master has one folder. Stop it, or give this one another --state";
    ::close(lock);
    return -1;
  }
  const std::string own = std::to_string(::getpid());
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, own.data(), own.size(), 0) < 0) {
    problem = path + ": " + why();
    ::close(lock);
    return -1;
  }
  return lock;
}

}  // namespace

std::unique_ptr<Table> open_sqlite(const std::string& folder, std::string& problem) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    problem = folder + ": " + why();
    return nullptr;
  }
  const int lock = take_lock(folder, problem);
  if (lock < 0) {
    return nullptr;
  }
  const std::string path = folder + "/run.sqlite";
  // SQLite gives its other files the mode of this one.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    problem = path + ": " + why();
    ::close(lock);
    return nullptr;
  }
  ::close(file);
  sqlite3* opened = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr);
  Database database(opened);
  if (result != SQLITE_OK) {
    problem = path + " cannot be opened: " + (opened != nullptr ? sqlite3_errmsg(opened) : sqlite3_errstr(result));
    ::close(lock);
    return nullptr;
  }
  sqlite3_busy_timeout(opened, kBusy_ms);
  auto table = std::make_unique<SqliteTable>(std::move(database), lock);
  if (const std::string wrong = table->prepare(); !wrong.empty()) {
    problem =
        path + " " + wrong +
        (table->lacks_room()
             ? ". Make room on its disk and start again: nothing is lost, leave the folder where it is"
             : ". Put a backup in its place, or remove it (and keep ca.pem): peers that still run bring their run "
               "back");
    return nullptr;
  }
  return table;
}

}  // namespace seaway::store
