#include "net/message_stream.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace seaway::net {

namespace {

constexpr std::size_t kReadBytes = 64ull * 1024;
constexpr std::size_t kMostQueued = 16u << 20;
constexpr Duration kLinger = kSecond;
constexpr std::size_t kPrefix = sizeof(std::uint32_t);

}  // namespace

struct MessageStream::Impl : std::enable_shared_from_this<MessageStream::Impl> {
  Impl(Loop& l, std::unique_ptr<Stream> s, std::uint32_t most) : loop(&l), stream(std::move(s)), longest(most) {}

  void read() {
    const auto self = shared_from_this();
    if (must_wait()) {
      return;
    }
    // What is kept of a stream is what came of a message: many may be idle, and some for ever in the middle of one.
    static thread_local std::array<std::byte, kReadBytes> buffer;
    for (int turns = 0; turns < 16 && open; ++turns) {
      iovec into{buffer.data(), buffer.size()};
      const IoResult result = stream->receive({&into, 1});
      reading.insert(reading.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(result.bytes));
      if (result.io == Io::blocked) {
        break;
      }
      if (result.io != Io::moved) {
        end(true, result.io == Io::closed ? "closed by the other end" : "the connection broke");
        return;
      }
      deliver();
      if (reading.empty()) {
        reading.shrink_to_fit();
      }
      if (open && !charge(reading.size())) {
        end(false, "too much that strangers have not ended");
        return;
      }
      if (open && must_wait()) {
        return;
      }
    }
    if (open) {
      stream->watch_read();
    }
  }

  void deliver() {
    std::size_t at = 0;
    while (open && reading.size() - at >= kPrefix) {
      std::uint32_t length = 0;
      std::memcpy(&length, reading.data() + at, kPrefix);
      if (length > longest) {
        end(false, "a message is longer than allowed");
        return;
      }
      if (reading.size() - at - kPrefix < length) {
        break;
      }
      const std::span<const std::byte> body(reading.data() + at + kPrefix, length);
      at += kPrefix + length;
      if (pause) {
        paid_until = std::max(paid_until, monotonic_now()) + rate.each +
                     static_cast<Duration>(body.size() * static_cast<std::uint64_t>(kSecond) / rate.bytes_per_s);
      }
      message(body);
    }
    reading.erase(reading.begin(), reading.begin() + static_cast<std::ptrdiff_t>(std::min(at, reading.size())));
  }

  // Whether more has come than the rate allows: then it is read later. A leaky bucket, whose level is a time.
  bool must_wait() {
    if (!pause || paid_until <= monotonic_now() + rate.burst) {
      return false;
    }
    pause->at(paid_until - rate.burst);
    return true;
  }

  // False: the allowance is used up.
  bool charge(std::size_t bytes) {
    if (allowance == nullptr) {
      return true;
    }
    allowance->used += bytes - charged;
    charged = bytes;
    return allowance->used <= allowance->most;
  }

  void lift_limit() {
    charge(0);
    allowance = nullptr;
  }

  void write() {
    while (open && !queue.empty()) {
      std::array<iovec, 16> pieces;
      std::size_t count = 0;
      std::size_t skip = sent;
      for (const auto& bytes : queue) {
        if (count == pieces.size()) {
          break;
        }
        pieces[count++] = {const_cast<std::byte*>(bytes.data()) + skip, bytes.size() - skip};
        skip = 0;
      }
      const IoResult result = stream->send({pieces.data(), count});
      if (result.io == Io::blocked) {
        stream->watch_write();
        return;
      }
      if (result.io != Io::moved) {
        // Not from here: whoever called send() is in the middle of something.
        loop->post([self = shared_from_this()] { self->end(true, "the connection broke"); });
        queue.clear();
        return;
      }
      sent += result.bytes;
      queued -= result.bytes;
      while (!queue.empty() && sent >= queue.front().size()) {
        sent -= queue.front().size();
        queue.pop_front();
      }
    }
    if (open && lingering && queue.empty()) {
      loop->post([self = shared_from_this()] { self->drop(); });
    }
  }

  void end(bool closed, const char* why) {
    if (!open) {
      return;
    }
    const Ended callback = ended;
    if (lingering) {
      drop();
      return;
    }
    open = false;
    callback(closed, why);
  }

  void drop() {
    open = false;
    linger.reset();
    keep.reset();
  }

  Loop* loop;
  std::unique_ptr<Stream> stream;
  std::uint32_t longest;
  Message message;
  Ended ended;
  bool open = true;
  std::vector<std::byte> reading;
  Allowance* allowance = nullptr;  // null: none
  std::size_t charged = 0;         // to it
  std::unique_ptr<Timer> pause;    // null: messages are taken at any rate
  MessageRate rate;
  Time paid_until = 0;  // what has come is as much as the rate allows until then
  std::deque<std::vector<std::byte>> queue;
  std::size_t sent = 0;  // of queue.front()
  std::size_t queued = 0;
  bool lingering = false;
  std::unique_ptr<Timer> linger;
  std::shared_ptr<Impl> keep;  // itself, while lingering
};

MessageStream::MessageStream(Loop& loop, std::unique_ptr<Stream> stream, std::uint32_t longest, Message message,
                             Ended ended)
    : impl_(std::make_shared<Impl>(loop, std::move(stream), longest)) {
  impl_->message = std::move(message);
  impl_->ended = std::move(ended);
  impl_->stream->on_readable([impl = impl_.get()] { impl->read(); });
  impl_->stream->on_writable([impl = impl_.get()] { impl->write(); });
  impl_->stream->watch_read();
}

MessageStream::~MessageStream() {
  if (impl_) {
    impl_->lift_limit();
    impl_->open = false;
    impl_->pause.reset();
    impl_->stream.reset();
  }
}

void MessageStream::send(std::vector<std::byte> bytes) {
  if (!impl_->open) {
    return;
  }
  impl_->queued += bytes.size();
  impl_->queue.push_back(std::move(bytes));
  if (impl_->queued > kMostQueued) {
    impl_->loop->post([impl = impl_] { impl->end(false, "the other end takes nothing"); });
    return;
  }
  if (impl_->queue.size() == 1) {
    impl_->write();
  }
}

void MessageStream::limit(Allowance& shared) { impl_->allowance = &shared; }
void MessageStream::lift_limit() { impl_->lift_limit(); }

void MessageStream::limit_rate(const MessageRate& rate) {
  impl_->rate = rate;
  impl_->pause = std::make_unique<Timer>(*impl_->loop, [impl = impl_.get()] { impl->read(); });
}

const Stream& MessageStream::stream() const { return *impl_->stream; }

void MessageStream::close_later(std::unique_ptr<MessageStream> stream) {
  const std::shared_ptr<Impl> impl = std::exchange(stream->impl_, nullptr);
  impl->lift_limit();
  impl->pause.reset();
  if (!impl->open || impl->queue.empty()) {
    impl->open = false;
    impl->loop->post([impl] { impl->stream.reset(); });
    return;
  }
  impl->lingering = true;
  impl->message = [](std::span<const std::byte>) {};
  impl->keep = impl;
  impl->linger = std::make_unique<Timer>(*impl->loop, [raw = impl.get()] { raw->drop(); });
  impl->linger->at(monotonic_now() + kLinger);
}

}  // namespace seaway::net
