// Where accepted connections wait until they have said their first message, {u32 length, body}. A stranger gets nothing: at
// most `most` wait at once (the oldest of the largest share of addresses makes room, so that a flood from one place drives out
// itself and nobody else), each for `patience` and with `longest` bytes. Whoever breaks a
// limit is closed, and counted under a reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/limits.h"
#include "net/loop.h"
#include "net/stream.h"

namespace seaway::net {

struct LobbyLimits {
  std::size_t most = kMaxStrangers;
  Duration patience = kStrangerPatience;
  std::uint32_t longest = kMaxStrangerBytes;
};

class Lobby {
 public:
  // The first message is in; the connection is the callee's. Not a byte beyond the message was read.
  using Introduced = std::function<void(std::unique_ptr<Stream> stream, std::span<const std::byte> body)>;

  Lobby(Loop& loop, LobbyLimits limits, Introduced introduced);
  ~Lobby();

  void enter(std::unique_ptr<Stream> stream);

  // A refusal elsewhere, counted beside the lobby's own.
  void count(const std::string& reason) { ++refusals_[reason]; }
  const std::map<std::string, std::uint64_t>& refusals() const { return refusals_; }
  std::size_t waiting() const { return strangers_.size(); }

 private:
  struct Stranger {
    std::unique_ptr<Stream> stream;
    std::string share;  // of addresses, that it comes from
    Time until = 0;
    std::uint32_t length = 0;  // of the body
    std::uint32_t got = 0;     // of prefix and body
    std::byte prefix[sizeof(std::uint32_t)];
    std::vector<std::byte> body;  // grows with what comes, not with what is announced
  };
  using Place = std::list<Stranger>::iterator;

  void read(Place stranger);
  void refuse(Place stranger, const char* reason);
  void sweep();

  Loop* loop_;
  LobbyLimits limits_;
  Introduced introduced_;
  std::list<Stranger> strangers_;  // the oldest first
  std::map<std::string, std::uint64_t> refusals_;
  Timer timer_;
};

}  // namespace seaway::net
