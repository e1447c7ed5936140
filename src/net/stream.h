// A stream of bytes between two processes, non-blocking. The seam where encryption goes: whoever reads and writes frames or
// messages sees this interface and nothing of sockets.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/time.h"
#include "net/address.h"
#include "net/fd.h"
#include "net/loop.h"

namespace seaway::net {

enum class Io : std::uint8_t {
  moved = 1,    // bytes > 0
  blocked = 2,  // not now: watch
  closed = 3,   // FIN
  failed = 4,   // RST, or a time-out of the kernel's
};
struct IoResult {
  Io io = Io::blocked;
  std::size_t bytes = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;  // closes it; nothing is called any more

  // One attempt, as much as goes at once. Never blocks.
  virtual IoResult receive(std::span<iovec> into) = 0;
  virtual IoResult send(std::span<iovec> from) = 0;

  // Set once. Each watch calls its callback once, when the attempt is worth repeating.
  virtual void on_readable(std::function<void()> what) = 0;
  virtual void on_writable(std::function<void()> what) = 0;
  virtual void watch_read() = 0;
  virtual void watch_write() = 0;

  virtual const SocketAddress& remote() const = 0;
  virtual const SocketAddress& local() const = 0;

  // The kernel gives a connection up when what was sent is not acknowledged for that long.
  virtual void set_user_timeout(Duration timeout) = 0;
};

// TCP as it is. `fd` is connected and non-blocking.
std::unique_ptr<Stream> plain_stream(Loop& loop, UniqueFd fd);

}  // namespace seaway::net
