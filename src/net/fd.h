// Descriptors. Every one that seaway opens is CLOEXEC and known to the fork handler: a child that a trainer forks (data
// loaders do) closes them at once, so that its parent's death is seen by the other peers as FIN.
#pragma once

#include <cstdint>
#include <utility>

namespace seaway::net {

// How often this process has forked, seen from the child: an object that remembers another number than the present one
// belongs to the parent. Installs the fork handler with its first call.
std::uint32_t fork_generation();

// Owns a descriptor. In a forked child the copies are closed by the fork handler and not again by their owners.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd);
  UniqueFd(UniqueFd&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), generation_(std::exchange(other.generation_, 0)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
  std::uint32_t generation_ = 0;
};

}  // namespace seaway::net
