#include "runtime/link_connection.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <variant>

#include "net/loop.h"
#include "runtime/kill_point.h"

namespace seaway::runtime {

using collective::Region;
using net::Io;
using net::IoResult;

namespace {

constexpr std::size_t kReadTurn = 1u << 19;   // bytes read before others get their turn, and results leave the cache
constexpr std::size_t kWriteTurn = 4u << 20;  // bytes sent, the same
constexpr std::size_t kPull = 1u << 20;       // about what one sendmsg takes

constexpr std::size_t kNowhere = 64ull * 1024;

// Payload that nobody wants any more is read to here.
std::byte* nowhere() {
  static thread_local std::array<std::byte, kNowhere> bytes;
  return bytes.data();
}

}  // namespace

LinkConnection::LinkConnection(LinkOwner& owner, ConnId id, PeerId peer, bool control, bool dialled,
                               std::unique_ptr<net::Stream> stream)
    : owner_(&owner),
      id_(id),
      peer_(peer),
      control_(control),
      dialled_(dialled),
      stream_(std::move(stream)),
      staging_(kStaging) {}

void LinkConnection::start() {
  stream_->on_readable([this] {
    const auto self = shared_from_this();
    read();
  });
  stream_->on_writable([this] {
    const auto self = shared_from_this();
    is_full_ = false;
    write();
    if (open_) {
      owner_->settle();
    }
  });
  stream_->watch_read();
}

void LinkConnection::close() {
  open_ = false;
  stream_.reset();
}

void LinkConnection::end(bool closed, const std::string& why) {
  if (open_) {
    open_ = false;
    owner_->connection_ended(id_, closed, why);
  }
}

// --- In -------------------------------------------------------------------------------------------------------------

void LinkConnection::read() {
  std::size_t bytes = 0;
  bool more = true;
  while (open_ && more && bytes < kReadTurn) {
    more = receive_once(bytes);
  }
  if (open_) {
    stream_->watch_read();
    owner_->settle();
  }
}

// One recvmsg and what it brought. False when there is nothing more now.
bool LinkConnection::receive_once(std::size_t& bytes) {
  in_.clear();
  std::size_t payload = 0;
  if (header_ && !is_message_) {
    payload = header_->length - got_;
    if (region_) {
      owner_->memory().pieces(*region_, got_, in_);
    } else {
      payload = std::min(payload, kNowhere);
      in_.push_back({nowhere(), payload});
    }
  }
  // While a payload comes in the staging buffer is empty: what it held has gone to the payload.
  if (staged_from_ > 0) {
    std::memmove(staging_.data(), staging_.data() + staged_from_, staged_to_ - staged_from_);
    staged_to_ -= staged_from_;
    staged_from_ = 0;
  }
  if (payload == 0 || header_->length - got_ == payload) {
    const std::size_t room = staging_.size() - staged_to_;
    in_.push_back({staging_.data() + staged_to_, payload > 0 ? std::min(room, kAhead) : room});
  }
  const std::size_t wanted = std::accumulate(in_.begin(), in_.end(), std::size_t{0},
                                             [](std::size_t sum, const iovec& i) { return sum + i.iov_len; });
  const IoResult result = stream_->receive(in_);
  if (result.io == Io::blocked) {
    return false;
  }
  if (result.io != Io::moved) {
    end(true, result.io == Io::closed ? "closed by the other end" : "the connection broke");
    return false;
  }
  bytes += result.bytes;
  const std::size_t to_payload = std::min(result.bytes, payload);
  staged_to_ += result.bytes - to_payload;
  owner_->engine().on_bytes(id_, net::monotonic_now());
  if (to_payload > 0) {
    got_ += static_cast<std::uint32_t>(to_payload);
    if (got_ == header_->length && !end_payload()) {
      return false;
    }
  }
  return parse() && result.bytes == wanted;  // less: the socket is empty, and asking it again would only say so
}

// Frames that stand in the staging buffer. False when the connection is over.
bool LinkConnection::parse() {
  while (open_) {
    const std::size_t have = staged_to_ - staged_from_;
    if (!header_) {
      if (have < wire::kFrameHeaderBytes) {
        return true;
      }
      if (!begin_frame()) {
        return false;
      }
      continue;
    }
    if (is_message_) {
      if (have < header_->length) {
        return true;
      }
      const std::span<const std::byte> payload(staging_.data() + staged_from_, header_->length);
      staged_from_ += header_->length;
      header_.reset();
      owner_->engine().on_message(id_, payload, net::monotonic_now());
      continue;
    }
    if (have == 0) {
      return true;
    }
    const std::size_t take = std::min<std::size_t>(have, header_->length - got_);
    if (region_) {
      in_.clear();
      owner_->memory().pieces(*region_, got_, in_);
      const std::byte* from = staging_.data() + staged_from_;
      std::size_t left = take;
      for (const iovec& piece : in_) {
        const std::size_t part = std::min(left, piece.iov_len);
        std::memcpy(piece.iov_base, from, part);
        from += part;
        left -= part;
      }
    }
    staged_from_ += take;
    got_ += static_cast<std::uint32_t>(take);
    if (got_ == header_->length && !end_payload()) {
      return false;
    }
  }
  return false;
}

bool LinkConnection::begin_frame() {
  const std::span<const std::byte, wire::kFrameHeaderBytes> bytes(staging_.data() + staged_from_,
                                                                  wire::kFrameHeaderBytes);
  const auto header = wire::decode_frame_header(bytes);
  if (!header || !is_intact(bytes)) {
    end(false, "what came is no frame");
    return false;
  }
  staged_from_ += wire::kFrameHeaderBytes;
  const collective::Landing landing = owner_->engine().on_header(id_, *header, net::monotonic_now());
  if (const auto* refuse = std::get_if<collective::Refuse>(&landing)) {
    end(false, refuse->reason);
    return false;
  }
  header_ = header;
  got_ = 0;
  is_message_ = std::holds_alternative<collective::Message>(landing);
  region_.reset();
  if (const auto* land = std::get_if<collective::Land>(&landing)) {
    region_ = land->region;
  }
  if (header->length > 0) {
    return true;
  }
  if (is_message_) {
    return true;  // parse() hands it over
  }
  return end_payload();
}

bool LinkConnection::end_payload() {
  header_.reset();
  region_.reset();
  owner_->engine().on_landed(id_, net::monotonic_now());
  owner_->run_jobs();
  return open_;
}

// --- Out ------------------------------------------------------------------------------------------------------------

// The pieces of what is queued, from where it was left. Returns their bytes.
std::size_t LinkConnection::fill(std::vector<iovec>& list) {
  list.clear();
  std::size_t skip = sent_;
  std::size_t bytes = 0;
  for (Outgoing& out : out_) {
    bytes += out.total() - skip;
    if (skip < out.header.size()) {
      list.push_back({out.header.data() + skip, out.header.size() - skip});
      skip = out.header.size();
    }
    const auto from = static_cast<std::uint32_t>(skip - out.header.size());
    if (out.is_aside) {
      list.push_back({out.aside.data() + from, out.aside.size() - from});
    } else if (out.frame.region.length > 0) {
      owner_->memory().pieces(out.frame.region, from, list);
    } else if (from < out.frame.message.size()) {
      list.push_back({out.frame.message.data() + from, out.frame.message.size() - from});
    }
    skip = 0;
  }
  return bytes;
}

void LinkConnection::write() {
  std::size_t turn = 0;
  while (open_ && !is_full_) {
    if (out_.empty()) {
      if (!owner_->engine().wants_to_send(id_)) {
        return;
      }
      if (turn >= kWriteTurn) {
        is_full_ = true;  // not really: the others first
        stream_->watch_write();
        return;
      }
      pulled_.clear();
      owner_->engine().pull(id_, kPull, pulled_, net::monotonic_now());
      for (collective::OutFrame& frame : pulled_) {
        out_.push_back({encode_checked(frame.header), std::move(frame), {}, false});
      }
      if (out_.empty()) {
        return;
      }
    }
    fill(out_pieces_);
    const IoResult result = stream_->send(out_pieces_);
    if (result.io == Io::blocked) {
      is_full_ = true;
      stream_->watch_write();
      return;
    }
    if (result.io != Io::moved) {
      end(true, "the connection broke");
      return;
    }
    turn += result.bytes;
    sent_ += result.bytes;
    while (!out_.empty() && sent_ >= out_.front().total()) {
      sent_ -= out_.front().total();
      SEAWAY_KILL_POINT_SENT(out_.front().frame.header);
      out_.pop_front();
    }
  }
}

void LinkConnection::release(const collective::Release& effect) {
  if (region_ && concerns(effect, *region_)) {
    region_.reset();
  }
  for (Outgoing& out : out_) {
    if (!out.is_aside && concerns(effect, out.frame.region)) {
      out.aside.resize(out.frame.region.length);
      owner_->memory().copy_out(out.frame.region, out.aside.data());
      out.is_aside = true;
    }
  }
}

}  // namespace seaway::runtime
