// A folder of a test's own, gone with everything in it when the test ends.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace seaway::support {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/seaway-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) {
      throw std::runtime_error("no folder can be made in /tmp");
    }
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace seaway::support
