// One connection of a link, from the exchange of hellos on: frames in, into the memory that the engine names; frames out,
// straight from it.
//
//   receive  recvmsg {rest of the payload -> its region, the next headers and messages -> a small staging buffer}: one
//            copy of each payload byte, from the kernel to its place
//   send     one sendmsg from what the engine's pull named: headers, messages, regions
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collective/boundary.h"
#include "collective/engine.h"
#include "net/stream.h"
#include "runtime/frame_check.h"
#include "runtime/memory.h"

namespace seaway::runtime {

// What a connection needs of the peer that it belongs to.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  virtual collective::Engine& engine() = 0;
  virtual Memory& memory() = 0;
  // A payload has landed: run what became possible while its bytes are in the cache.
  virtual void run_jobs() = 0;
  // Whatever the engine or the peer wants now. Called after a batch of bytes.
  virtual void settle() = 0;
  // The connection is over; it is destroyed by this, or soon. closed: FIN or RST from the other end.
  virtual void connection_ended(ConnId conn, bool closed, const std::string& why) = 0;
};

class LinkConnection : public std::enable_shared_from_this<LinkConnection> {
 public:
  LinkConnection(LinkOwner& owner, ConnId id, PeerId peer, bool control, bool dialled,
                 std::unique_ptr<net::Stream> stream);

  PeerId peer() const { return peer_; }
  bool control() const { return control_; }
  bool dialled() const { return dialled_; }
  net::PathFigures path() const { return stream_->path(); }
  void set_pace(std::uint64_t bytes_per_second) { stream_->set_pace(bytes_per_second); }

  void start();  // once the engine knows it
  void write();  // sends what the engine has, unless the socket is known to be full
  // The op's buffers are somebody else's from now on: what is half sent is copied, what is half received goes nowhere.
  void release(const collective::Release& effect);
  void close();  // nothing is called any more

 private:
  static constexpr std::size_t kStaging = 32ull * 1024;  // holds a header and the longest message
  static constexpr std::size_t kAhead = 4ull * 1024;     // read beyond a payload: the next headers

  struct Outgoing {
    HeaderBytes header;
    collective::OutFrame frame;
    std::vector<std::byte> aside;  // the payload, copied because its op has ended
    bool is_aside = false;
    std::size_t total() const { return header.size() + frame.header.length; }
  };

  void read();
  bool receive_once(std::size_t& bytes);
  bool parse();
  bool begin_frame();
  bool end_payload();
  void end(bool closed, const std::string& why);
  std::size_t fill(std::vector<iovec>& list);

  LinkOwner* owner_;
  ConnId id_;
  PeerId peer_;
  bool control_;
  bool dialled_;
  std::unique_ptr<net::Stream> stream_;
  bool open_ = true;

  // In
  std::vector<std::byte> staging_;
  std::size_t staged_from_ = 0;
  std::size_t staged_to_ = 0;
  std::optional<wire::FrameHeader> header_;   // of the frame whose payload is coming in
  bool is_message_ = false;                   // it goes through the staging buffer
  std::optional<collective::Region> region_;  // none: it goes nowhere
  std::uint32_t got_ = 0;
  std::vector<iovec> in_;

  // Out
  std::deque<Outgoing> out_;
  std::size_t sent_ = 0;  // of out_.front()
  bool is_full_ = false;  // the socket; the loop will say when it is not
  std::vector<collective::OutFrame> pulled_;
  std::vector<iovec> out_pieces_;
};

}  // namespace seaway::runtime
