#include "master/authority_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "net/fd.h"
#include "runtime/session.h"

namespace seaway {

namespace {

std::optional<std::string> contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) {
    return std::nullopt;
  }
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

bool fail(const std::string& path, std::string& problem) {
  const bool lacks_room = errno == ENOSPC || errno == EDQUOT;
  problem =
      path + ": " + std::strerror(errno) +
      (lacks_room ? ". Make room on its disk and start again: nothing is lost, leave the folder where it is" : "");
  return false;
}

bool is_private(const std::string& path) {
  struct stat file{};
  return ::stat(path.c_str(), &file) == 0 && (file.st_mode & 0777) == 0600;
}

}  // namespace

bool write_private(const std::string& path, const std::string& contents, std::string& problem) {
  if (is_private(path) && contents_of(path) == contents) {
    return true;
  }
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  const net::UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) {
    return fail(beside, problem);
  }
  const ssize_t wrote = ::write(fd.get(), contents.data(), contents.size());
  if (wrote != static_cast<ssize_t>(contents.size()) || ::fsync(fd.get()) != 0 ||
      ::rename(beside.c_str(), path.c_str()) != 0) {
    fail(beside, problem);
    ::unlink(beside.c_str());
    return false;
  }
  const std::string folder = path.substr(0, path.find_last_of('/'));
  const net::UniqueFd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return (parent && ::fsync(parent.get()) == 0) || fail(folder, problem);
}

std::shared_ptr<const net::Authority> open_authority(const std::string& folder, bool has_run, std::string& problem) {
  const std::string path = folder + "/ca.pem";
  if (const auto contents = contents_of(path)) {
    std::shared_ptr<const net::Authority> authority = net::Authority::load(*contents, *contents, problem);
    if (!authority) {
      problem = path + ": " + problem +
                ". Put a backup in its place: without this key no certificate of the run can be checked or renewed";
    }
    return authority;
  }
  if (has_run) {
    problem = path +
              " is missing, and the run's members know no other authority: put a backup in its place, or move the "
              "folder away to begin a new run";
    return nullptr;
  }
  std::shared_ptr<const net::Authority> authority =
      net::Authority::make({runtime::random_bits(), runtime::random_bits()});
  return write_private(path, authority->key_pem() + authority->certificate_pem(), problem) ? authority : nullptr;
}

}  // namespace seaway
