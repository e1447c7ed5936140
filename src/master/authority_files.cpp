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
  problem = path + ": " + std::strerror(errno);
  return false;
}

}  // namespace

bool write_private(const std::string& path, const std::string& contents, std::string& problem) {
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

std::shared_ptr<const net::Authority> open_authority(const std::string& folder, std::string& problem) {
  const std::string key_path = folder + "/ca.key";
  const std::string certificate_path = folder + "/ca.crt";
  const auto key = contents_of(key_path);
  const auto certificate = contents_of(certificate_path);
  if (key && certificate) {
    std::shared_ptr<const net::Authority> authority = net::Authority::load(*key, *certificate, problem);
    if (!authority) {
      problem = key_path + ", " + certificate_path + ": " + problem +
                ". Put a backup in their place: without this key no certificate of the run can be checked or renewed";
    }
    return authority;
  }
  if (key || certificate) {
    problem = (key ? certificate_path : key_path) + " is missing beside " + (key ? key_path : certificate_path) +
              ": put a backup in its place, or move the folder away to begin a new run";
    return nullptr;
  }
  std::shared_ptr<const net::Authority> authority =
      net::Authority::make({runtime::random_bits(), runtime::random_bits()});
  // The certificate first: a key alone would look like a loss.
  if (!write_private(certificate_path, authority->certificate_pem(), problem) ||
      !write_private(key_path, authority->key_pem(), problem)) {
    return nullptr;
  }
  return authority;
}

}  // namespace seaway
