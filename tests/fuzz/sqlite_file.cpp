// The state file of a master, damaged: it gives a record, or what is wrong with it in words.
//
// Most inputs are changes to a sound database that a master has written, since few random bytes look like one: the input says
// which bytes of it are others. Its first byte chooses.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fuzz/support/input.h"
#include "fuzz/support/require.h"
#include "store/sqlite_table.h"

using namespace seaway;

namespace {

// A folder in memory where there is one: an input takes a dozen synchronous writes.
class Folder {
 public:
  Folder() {
    for (const char* name : {"/dev/shm/seaway-fuzz-XXXXXX", "/tmp/seaway-fuzz-XXXXXX"}) {
      std::string path = name;
      if (::mkdtemp(path.data()) != nullptr) {
        path_ = path;
        return;
      }
    }
    FUZZ_REQUIRE(false, "no folder can be made");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const char* name) const { return path_ + "/" + name; }
  void clear() const {
    for (const char* name : {"run.sqlite", "run.sqlite-wal", "run.sqlite-shm", "run.sqlite-journal"}) {
      ::unlink(file(name).c_str());
    }
  }

 private:
  std::string path_;
};

wire::StoredRun some_record() {
  wire::StoredRun record;
  record.term = 1;
  record.version = 1;
  record.epoch = {1, 2};
  record.roster.push_back({7, {1, 2}, "a", 0, 0, 1, 0, {"10.0.0.1:1"}});
  record.bases.push_back({1, {{7, 0, 0, false}}});
  return record;
}

std::vector<char> sound_database(const Folder& folder) {
  std::string problem;
  {
    const auto table = store::open_sqlite(folder.path(), problem);
    FUZZ_REQUIRE(table != nullptr, "an empty folder can be used");
    FUZZ_REQUIRE(table->replace({}, some_record(), problem) == core::Replaced::yes, "and written to");
  }
  std::ifstream file(folder.file("run.sqlite"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const char* bytes, std::size_t size) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  FUZZ_REQUIRE(file >= 0 && ::write(file, bytes, size) == static_cast<ssize_t>(size), "a file can be written");
  ::close(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  static const std::vector<char> sound = sound_database(folder);
  fuzz::Input input(data, size);
  folder.clear();
  const std::uint8_t how = input.byte();
  if ((how & 1) == 0) {
    std::vector<char> bytes = sound;
    if ((how & 2) != 0) {
      bytes.resize(input.number<std::uint16_t>() % (bytes.size() + 1));
    }
    while (!input.empty() && !bytes.empty()) {
      const std::size_t place = input.number<std::uint16_t>() % bytes.size();
      bytes[place] = input.number<char>();
    }
    write_file(folder.file("run.sqlite"), bytes.data(), bytes.size());
  } else {
    const auto rest = input.rest();
    const char* name = (how & 2) == 0 ? "run.sqlite" : (how & 4) == 0 ? "run.sqlite-wal" : "run.sqlite-journal";
    if ((how & 2) != 0) {
      write_file(folder.file("run.sqlite"), sound.data(), sound.size());
    }
    write_file(folder.file(name), reinterpret_cast<const char*>(rest.data()), rest.size());
  }

  std::string problem;
  const auto table = store::open_sqlite(folder.path(), problem);
  FUZZ_REQUIRE((table == nullptr) == !problem.empty(), "a table, or what is wrong");
  if (table == nullptr) {
    return 0;
  }
  const store::Table::Read before = table->read();
  FUZZ_REQUIRE(before.problem.empty() || !before.record, "a record, or what is wrong");
  if (!before.problem.empty()) {
    return 0;
  }
  wire::StoredRun next = before.record.value_or(wire::StoredRun{});
  const core::Place expected = core::Place::of(before.record);
  next.version = expected.version + 1;
  const core::Replaced replaced = table->replace(expected, next, problem);
  FUZZ_REQUIRE(replaced == core::Replaced::yes || !problem.empty(), "it is written, or something is wrong");
  if (replaced == core::Replaced::yes) {
    FUZZ_REQUIRE(table->read().record == next, "what is written is read");
  }
  return 0;
}
