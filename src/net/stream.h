// A stream of bytes between two processes, non-blocking. The seam where encryption goes: whoever reads and writes frames or
// messages sees this interface and nothing of sockets.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
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

// A connection's path, as the kernel sees it. Bytes are those of the stream, without headers.
struct PathFigures {
  std::uint32_t delivered = 0;  // segments that the other end has, in order or not; wraps around
  std::uint32_t segment = 0;    // the bytes of one: it may change
  std::uint64_t received = 0;
  std::uint64_t sent = 0;  // what was sent again included
  std::uint64_t resent = 0;
  std::uint64_t out_of_order = 0;  // packets that came so
  Duration busy = 0;               // something was under way, or waited to be
  Duration held = 0;               // of busy: for want of room in the send buffer or in the receiver's window
  Duration rtt = 0;
  Duration least_rtt = 0;
};

// What a peer's certificate names.
struct CertifiedPeer {
  Uuid uuid;
  PeerId id = kNoPeer;
  bool operator==(const CertifiedPeer&) const = default;
};

// The other end of an encrypted stream, proven by its certificate.
struct PeerIdentity {
  bool is_master = false;
  CertifiedPeer peer;    // of a peer
  KeyHash key{};         // of its certificate's public key
  bool expired = false;  // or not valid yet; whoever knows the key otherwise may go on
  bool by_pki = false;   // of the operator's own PKI (net/pki.h): it names nobody of this protocol
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

  // At most so many bytes a second are sent; 0: no bound.
  virtual void set_pace(std::uint64_t bytes_per_second) = 0;
  // What the kernel has counted since the connection began.
  virtual PathFigures path() const = 0;

  // Null: the stream is in plaintext, its handshake is not over, or the other end showed no certificate.
  virtual const PeerIdentity* identity() const { return nullptr; }
  // 32 bytes that both ends of this connection, and nobody else, get for `label`. Empty in plaintext, and before the handshake
  // is over.
  virtual std::vector<std::byte> channel_binding(const char* label) const {
    static_cast<void>(label);
    return {};
  }
  // Why the handshake or the connection failed, in words, for logs and counts: "" unless a call returned Io::failed.
  virtual std::string problem() const { return ""; }
};

// TCP as it is. `fd` is connected and non-blocking.
std::unique_ptr<Stream> plain_stream(Loop& loop, UniqueFd fd);

}  // namespace seaway::net
