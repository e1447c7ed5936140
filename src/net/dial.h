// Connecting: names are looked up, addresses tried one after the other.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/stream.h"

namespace seaway::net {

// One attempt to connect to a host that has these addresses (HOST:PORT). Calls `done` once, later: with a stream, or with
// none and what went wrong with each address, in words. Nothing is called after it is destroyed.
class Dial {
 public:
  using Done = std::function<void(std::unique_ptr<Stream> stream, const std::string& problem)>;

  // `patience`: for each address.
  Dial(Loop& loop, std::vector<std::string> addresses, Duration patience, Done done);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace seaway::net
