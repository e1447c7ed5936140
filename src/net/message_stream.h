// Messages {u32 length, body} in both directions of a stream: between a peer and the master.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/limits.h"
#include "net/loop.h"
#include "net/stream.h"

namespace seaway::net {

// Memory that several streams share for messages that have not come to their end.
struct Allowance {
  std::size_t most = 0;
  std::size_t used = 0;
};

struct MessageRate {
  Duration each = kMessageCost;
  std::uint64_t bytes_per_s = kMessageRate;
  Duration burst = kMessageBurst;
};

class MessageStream {
 public:
  using Message = std::function<void(std::span<const std::byte> body)>;
  using Ended = std::function<void(bool closed, const char* why)>;  // closed: FIN or RST from the other end

  // `longest`: of a message that comes. Either callback may destroy this object. `ended` is called once, and nothing after it.
  MessageStream(Loop& loop, std::unique_ptr<Stream> stream, std::uint32_t longest, Message message, Ended ended);
  ~MessageStream();
  MessageStream(const MessageStream&) = delete;
  MessageStream& operator=(const MessageStream&) = delete;

  // `bytes` is a whole message, its length included. It is kept until it is sent; a receiver that takes nothing until 16 MiB
  // wait is given up.
  void send(std::vector<std::byte> bytes);
  const Stream& stream() const;

  // Until lifted: a stream that has to keep more than `shared` has left ends. `shared` outlives the limit.
  void limit(Allowance& shared);
  void lift_limit();

  // From now on takes messages at this rate. What comes faster waits unread, so its sender has to wait, too.
  void limit_rate(const MessageRate& rate = {});

  // Sends what is queued, for a second at most, and closes; `stream` is destroyed then.
  static void close_later(std::unique_ptr<MessageStream> stream);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace seaway::net
