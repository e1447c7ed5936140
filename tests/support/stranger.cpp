#include "support/stranger.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace seaway::support {

Stranger::Stranger(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1))));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 10, .tv_usec = 0};  // the kernel repeats a SYN that found the queue full
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(std::exchange(fd_, -1));
    return;
  }
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

Stranger::Stranger(Stranger&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Stranger::~Stranger() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void Stranger::say(std::span<const std::byte> bytes) const {
  [[maybe_unused]] const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

bool Stranger::is_closed() const {
  std::array<char, 4096> nowhere;
  for (;;) {
    const ssize_t got = ::recv(fd_, nowhere.data(), nowhere.size(), 0);
    if (got <= 0) {
      return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    }
  }
}

Bytes random_bytes(Random& random, std::size_t length) {
  Bytes bytes(length);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random.next());
  }
  return bytes;
}

Bytes with_length(std::uint32_t length, std::span<const std::byte> body) {
  Bytes bytes(sizeof length + body.size());
  std::memcpy(bytes.data(), &length, sizeof length);
  std::copy(body.begin(), body.end(), bytes.begin() + sizeof length);
  return bytes;
}

Bytes operator+(const Bytes& left, const Bytes& right) {
  Bytes bytes(left.size() + right.size());
  std::copy(right.begin(), right.end(), std::copy(left.begin(), left.end(), bytes.begin()));
  return bytes;
}

Bytes mutated(Random& random, Bytes bytes) {
  for (std::uint64_t changes = random.between(1, 4); changes > 0 && !bytes.empty(); --changes) {
    bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
  }
  return bytes;
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

}  // namespace seaway::support
