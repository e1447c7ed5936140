// Where others connect to.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/loop.h"
#include "net/stream.h"

namespace seaway::net {

// A socket that listens on HOST:PORT. An empty host is every address, IPv6 and IPv4; port 0 draws one; names are looked up
// (this may block). No descriptor, and `problem` in words, when that cannot be.
UniqueFd listen_on(const std::string& address, std::string& problem);

class Listener {
 public:
  using Accepted = std::function<void(std::unique_ptr<Stream> stream)>;

  Listener(Loop& loop, UniqueFd fd, Accepted accepted);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seaway::net
