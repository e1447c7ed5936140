// What connects to a port of a run without belonging to it: a bare socket that says whatever the test wants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"

namespace seaway::support {

using Bytes = std::vector<std::byte>;

class Stranger {
 public:
  // Connects to HOST:PORT of this machine; ok() says whether that went.
  explicit Stranger(const std::string& address);
  ~Stranger();
  Stranger(Stranger&& other) noexcept;
  Stranger& operator=(Stranger&&) = delete;

  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // As much as goes in without waiting.
  void say(std::span<const std::byte> bytes) const;
  // Whether the other end has closed it. What it says first is thrown away.
  bool is_closed() const;

 private:
  int fd_ = -1;
};

Bytes random_bytes(Random& random, std::size_t length);
Bytes with_length(std::uint32_t length, std::span<const std::byte> body);  // {u32 length, body}
Bytes operator+(const Bytes& left, const Bytes& right);
// Some of its bytes are others.
Bytes mutated(Random& random, Bytes bytes);

// So many descriptors may this process have open, after raising that.
std::size_t raise_descriptor_limit();

}  // namespace seaway::support
