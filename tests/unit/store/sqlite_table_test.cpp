#include "store/sqlite_table.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/temporary_folder.h"

namespace seaway::store {
namespace {

using core::Replaced;

struct Folder {
  std::unique_ptr<Table> open() {
    problem.clear();
    return open_sqlite(state, problem);
  }
  // Writes over what the database begins with.
  void damage(std::streamoff at, const std::string& bytes) const {
    std::fstream file(state + "/run.sqlite", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  support::TemporaryFolder folder;
  std::string state = folder.path() + "/state";
  std::string problem;
};

wire::StoredRun a_run(std::uint64_t version) {
  wire::StoredRun run;
  run.term = ~std::uint64_t{0} - 5;
  run.version = version;
  run.run = {1, 2};
  run.epoch = {run.term, 4};
  run.roster.push_back({1, {2, 3}, "paris-0", 0, 0, 1, 500, {"192.0.2.1:7000"}});
  run.decisions.push_back({{0, 1, 5, 2}, wire::Verdict::abort, "cancelled by b"});
  run.stateful = true;
  return run;
}

TEST_CASE("a record outlives whoever has written it") {
  Folder folder;
  std::string problem;
  {
    const auto table = folder.open();
    REQUIRE(table);
    CHECK_FALSE(table->read().record);
    CHECK(table->replace({}, a_run(1), problem) == Replaced::yes);
    CHECK(table->replace({a_run(1).term, 1}, a_run(2), problem) == Replaced::yes);
  }
  const auto table = folder.open();
  REQUIRE(table);
  CHECK(table->read().record == a_run(2));
  CHECK(table->replace({a_run(1).term, 1}, a_run(3), problem) == Replaced::other);
  CHECK(table->replace({}, a_run(3), problem) == Replaced::other);
  CHECK(table->read().record == a_run(2));
}

TEST_CASE("one folder, one master; nobody else may read it") {
  Folder folder;
  const auto table = folder.open();
  REQUIRE(table);
  CHECK_FALSE(open_sqlite(folder.state, folder.problem));
  CHECK(folder.problem.find("belongs to a master that runs") != std::string::npos);
  for (const char* file : {"", "/run.sqlite", "/run.sqlite-wal", "/lock"}) {
    struct stat status{};
    REQUIRE(::stat((folder.state + file).c_str(), &status) == 0);
    CHECK((status.st_mode & 077) == 0);
  }
}

TEST_CASE("a file that is damaged, foreign or newer is refused, in words, and stays as it is") {
  Folder folder;
  std::string problem;
  {
    const auto table = folder.open();
    REQUIRE(table);
    REQUIRE(table->replace({}, a_run(1), problem) == Replaced::yes);
  }
  SUBCASE("no database") {
    folder.damage(0, "this was a database once");
    CHECK_FALSE(folder.open());
    CHECK(folder.problem.find("is damaged") != std::string::npos);
  }
  SUBCASE("torn") {
    std::filesystem::resize_file(folder.state + "/run.sqlite", 4096 + 100);
    CHECK_FALSE(folder.open());
    CHECK(folder.problem.find("run.sqlite") != std::string::npos);
  }
  SUBCASE("of a newer version") {
    folder.damage(60, std::string("\0\0\0\7", 4));  // user_version, big-endian
    CHECK_FALSE(folder.open());
    CHECK(folder.problem.find("format 7") != std::string::npos);
  }
  CHECK(folder.problem.find("backup") != std::string::npos);
}

TEST_CASE("a folder that cannot be made is named") {
  std::string problem;
  CHECK_FALSE(open_sqlite("/proc/seaway-state", problem));
  CHECK(problem.find("/proc/seaway-state: ") == 0);
}

// Every page is sound and the schema is one that SQLite reads, but `one` is no key any more: a record would be written beside
// the one that stands, and the older of them read.
TEST_CASE("a table that is another one by a letter is damage, not a table") {
  Folder folder;
  std::string problem;
  {
    const auto table = folder.open();
    REQUIRE(table);
    REQUIRE(table->replace({}, a_run(1), problem) == Replaced::yes);
  }
  std::ifstream file(folder.state + "/run.sqlite", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::size_t at = bytes.find("INTEGER PRIMARY KEY");
  REQUIRE(at != std::string::npos);
  folder.damage(static_cast<std::streamoff>(at), "INTEGER_PRIMARY KEY");
  CHECK_FALSE(folder.open());
  CHECK(folder.problem.find("other tables") != std::string::npos);
}

}  // namespace
}  // namespace seaway::store
