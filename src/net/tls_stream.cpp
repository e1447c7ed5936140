// A stream whose bytes go through a TlsEnd.
//
//   receive   below -> in(), up to 256 KiB at once -> decrypted, record by record -> the owner's pieces
//   send      the owner's pieces -> encrypted, record by record -> out(), up to 256 KiB -> below, at once
//
// Nothing is encrypted before out() is empty, so what send() says it has taken has left, or is at most one such buffer.
//
//   state       receive()                  send()                   below is watched for
//   handshake   goes on with it; blocked   the same; keeps 16 KiB   reading; writing while out() has bytes
//   open        decrypts                   encrypts                 what the owner watches; writing while out() has bytes
//   failed      failed                     failed                   nothing: a watch calls back by itself
#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"
#include "net/tls_end.h"
#include "net/tls_farewell.h"
#include "net/tls_first_bytes.h"

namespace seaway::net {

namespace {

using Step = TlsEnd::Step;

constexpr std::size_t kEarly = 16ull * 1024;                // plaintext that is kept until the handshake is over
constexpr std::size_t kLeastRead = TlsEnd::kRecord + 1024;  // asked of below, however little the owner wants

// What the owner has set. Outlives the stream while one of its functions runs, which may destroy the stream.
struct Watches {
  std::function<void()> readable;
  std::function<void()> writable;
  bool reads = false;
  bool writes = false;
  bool alive = true;

  void call_readable() {
    if (alive && std::exchange(reads, false)) {
      readable();
    }
  }
  void call_writable() {
    if (alive && std::exchange(writes, false)) {
      writable();
    }
  }
};

class TlsStream final : public Stream {
 public:
  TlsStream(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context, bool is_client,
            Expect expect, std::string session)
      : loop_(&loop),
        below_(std::move(below)),
        is_client_(is_client),
        end_(std::move(context), is_client, expect, std::move(session)),
        watches_(std::make_shared<Watches>()),
        fork_generation_(fork_generation()) {
    // What is below may outlive this, for the bytes that have not left.
    below_->on_readable([this, watches = watches_] {
      if (watches->alive) {
        below_readable();
      }
    });
    below_->on_writable([this, watches = watches_] {
      if (watches->alive) {
        below_writable();
      }
    });
  }

  ~TlsStream() override {
    watches_->alive = false;
    // In a forked child the descriptor is closed, and its number may be somebody else's by now.
    if (state_ == State::open && fork_generation_ == fork_generation()) {
      end_.say_goodbye();
      flush();
      if (end_.holds_output()) {
        send_and_close(*loop_, std::move(below_), end_.context(), std::move(end_.out()));
      }
    }
  }

  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  IoResult receive(std::span<iovec> into) override {
    go_on();
    if (state_ != State::open) {
      return {state_ == State::failed ? Io::failed : Io::blocked, 0};
    }
    std::size_t wanted = 0;
    for (const iovec& piece : into) {
      wanted += piece.iov_len;
    }
    is_dry_ = false;
    std::size_t total = 0;
    Io last = Io::moved;
    for (const iovec& piece : into) {
      for (std::size_t at = 0; at < piece.iov_len && last == Io::moved;) {
        std::size_t got = 0;
        last = decrypt(static_cast<std::byte*>(piece.iov_base) + at, piece.iov_len - at, wanted - total, got);
        at += got;
        total += got;
      }
    }
    flush();  // OpenSSL answers some things by itself: a request for a new key, what it cannot read
    return total > 0 ? IoResult{Io::moved, total} : IoResult{last == Io::moved ? Io::blocked : last, 0};
  }

  IoResult send(std::span<iovec> from) override {
    go_on();
    if (state_ == State::handshake) {
      return keep_early(from);
    }
    flush();
    if (is_out_broken_) {
      fail(why_broken());
    }
    if (state_ == State::failed) {
      return {Io::failed, 0};
    }
    if (end_.holds_output()) {
      return {Io::blocked, 0};
    }
    const std::size_t taken = end_.encrypt(from);
    if (!end_.problem().empty()) {
      fail(end_.problem());
      return {Io::failed, 0};
    }
    flush();
    return {taken > 0 ? Io::moved : Io::blocked, taken};
  }

  void on_readable(std::function<void()> what) override { watches_->readable = std::move(what); }
  void on_writable(std::function<void()> what) override { watches_->writable = std::move(what); }

  void watch_read() override {
    watches_->reads = true;
    go_on();
    if (state_ == State::failed || (state_ == State::open && has_more())) {
      call_later();
    } else {
      below_->watch_read();
    }
  }

  void watch_write() override {
    watches_->writes = true;
    go_on();
    if (state_ == State::open) {
      below_->watch_write();
    } else if (may_write()) {
      call_later();
    }
  }

  const SocketAddress& remote() const override { return below_->remote(); }
  const SocketAddress& local() const override { return below_->local(); }
  void set_user_timeout(Duration timeout) override { below_->set_user_timeout(timeout); }
  void set_pace(std::uint64_t bytes_per_second) override { below_->set_pace(bytes_per_second); }
  PathFigures path() const override { return below_->path(); }

  const PeerIdentity* identity() const override { return end_.identity(); }
  std::vector<std::byte> channel_binding(const char* label) const override { return end_.channel_binding(label); }
  std::string problem() const override { return problem_; }

 private:
  enum class State : std::uint8_t { handshake = 1, open = 2, failed = 3 };

  // --- Between the buffers and the stream below ---

  // As much of out() as below takes. What it does not take leaves when it can, whatever the owner does.
  void flush() {
    TlsBuffer& out = end_.out();
    while (!out.empty()) {
      iovec piece{out.data(), out.size()};
      const IoResult result = is_out_broken_ ? IoResult{Io::failed, 0} : below_->send({&piece, 1});
      if (result.io == Io::blocked) {
        below_->watch_write();
        break;
      }
      // What has come may still say why: so this is send()'s failure, and not yet the stream's.
      is_out_broken_ = result.io != Io::moved;
      out.taken(is_out_broken_ ? out.size() : result.bytes);
    }
    end_.tidy();
  }

  // in() is empty: up to `most` bytes of what has come.
  Io fill(std::size_t most) {
    end_.lend_in();
    TlsBuffer& in = end_.in();
    iovec piece{in.room(), std::min(in.room_bytes(), most)};
    const IoResult result = below_->receive({&piece, 1});
    if (result.io == Io::moved) {
      in.added(result.bytes);
      is_dry_ = result.bytes < piece.iov_len;
    } else {
      is_ended_ = is_ended_ || result.io == Io::closed;
      end_.tidy();
    }
    return result.io;
  }

  // --- The handshake ---

  void go_on() {
    while (state_ == State::handshake) {
      const Step step = end_.handshake();
      flush();
      if (step == Step::done) {
        open();
      } else if (step == Step::failed) {
        fail(end_.problem());
      } else if (!read_handshake()) {
        return;
      }
    }
  }

  // False: nothing has come.
  bool read_handshake() {
    const std::size_t most = is_client_ ? kLeastRead : kMaxStrangerBytes - taken_;
    if (most == 0) {
      fail("more than " + std::to_string(kMaxStrangerBytes) + " bytes, and the handshake is not over");
      return true;
    }
    const Io io = fill(most);
    if (io == Io::blocked) {
      below_->watch_read();
      return false;
    }
    if (io == Io::moved) {
      first_.add({end_.in().data(), end_.in().size()});
      taken_ += end_.in().size();
      if (!first_.may_be_tls()) {
        fail("no TLS: is the other end in plaintext mode?");
      }
    } else if (io == Io::failed) {
      fail("the connection broke during the handshake");
    } else if (taken_ == 0 && is_client_) {
      fail("closed by the other end without a word of TLS: is it in plaintext mode?");
    } else {
      fail("closed by the other end during the handshake");
    }
    return true;
  }

  void open() {
    state_ = State::open;
    const std::vector<std::byte> early = std::exchange(early_, {});
    if (!early.empty()) {
      // The end of the handshake may still be in out(). There is room for both.
      const iovec piece{const_cast<std::byte*>(early.data()), early.size()};
      if (end_.encrypt({&piece, 1}) == 0) {
        fail(end_.problem());
      }
      flush();
    }
    call_later();
  }

  IoResult keep_early(std::span<iovec> from) {
    const std::size_t before = early_.size();
    for (const iovec& piece : from) {
      const auto* first = static_cast<const std::byte*>(piece.iov_base);
      early_.insert(early_.end(), first, first + std::min(piece.iov_len, kEarly - early_.size()));
    }
    const std::size_t taken = early_.size() - before;
    return {taken > 0 ? Io::moved : Io::blocked, taken};
  }

  void fail(std::string why) {
    if (state_ != State::failed) {
      state_ = State::failed;
      problem_ = std::move(why);
      early_ = {};
      end_.in().taken(end_.in().size());
      end_.tidy();
      call_later();
    }
  }

  // --- The open stream ---

  // One record, or what is left of one. `wanted`: how much more the owner has room for.
  Io decrypt(std::byte* to, std::size_t room, std::size_t wanted, std::size_t& got) {
    for (;;) {
      switch (end_.decrypt(to, room, got)) {
        case Step::done:
          return Io::moved;
        case Step::ended:
          is_ended_ = true;
          return Io::closed;
        case Step::failed:
          fail(end_.problem());
          return Io::failed;
        case Step::needs_bytes:
          break;
      }
      if (is_dry_) {
        return Io::blocked;  // asking below again would only say so
      }
      const Io io = fill(std::max(kLeastRead, wanted + (wanted / TlsEnd::kRecord + 1) * TlsEnd::kRecordOverhead));
      if (io == Io::failed) {
        fail("the connection broke");
      }
      if (io != Io::moved) {
        return io;
      }
    }
  }

  // Below takes nothing any more. The other end may have said why before it closed: a server that refuses a client's
  // certificate does, and the client has taken the handshake for done by then.
  std::string why_broken() {
    Step step = end_.look_for_alert();
    while (step == Step::needs_bytes && fill(kLeastRead) == Io::moved) {
      step = end_.look_for_alert();
    }
    return step == Step::failed ? end_.problem() : "the connection broke";
  }

  // Whether receive() has something to say without a new byte from below.
  bool has_more() const { return is_ended_ || end_.holds_input(); }

  // --- The owner's watches ---

  bool may_write() const {
    return state_ == State::handshake ? early_.size() < kEarly : state_ == State::failed || !end_.holds_output();
  }

  void below_readable() {
    const bool was_handshake = state_ == State::handshake;
    go_on();
    if (state_ == State::handshake) {
      return;
    }
    const auto watches = watches_;
    if (was_handshake && may_write()) {
      watches->call_writable();
    }
    watches->call_readable();  // this may be gone
  }

  void below_writable() {
    flush();
    if (state_ != State::handshake && may_write()) {
      const auto watches = watches_;
      watches->call_writable();  // this may be gone
    }
  }

  // Something is worth trying, and the owner is in the middle of something.
  void call_later() {
    if (std::exchange(is_calling_, true)) {
      return;
    }
    loop_->post([this, watches = watches_] {
      if (!watches->alive) {
        return;
      }
      is_calling_ = false;
      if (may_write()) {
        watches->call_writable();
      }
      if (watches->alive && state_ != State::handshake) {
        watches->call_readable();
      }
    });
  }

  Loop* loop_;
  std::unique_ptr<Stream> below_;
  bool is_client_;
  TlsEnd end_;
  std::shared_ptr<Watches> watches_;
  std::uint32_t fork_generation_;
  State state_ = State::handshake;
  std::string problem_;

  bool is_dry_ = false;         // below gave less than it was asked for: it is empty
  bool is_ended_ = false;       // FIN, or the other end's goodbye
  bool is_out_broken_ = false;  // below takes nothing any more
  bool is_calling_ = false;     // call_later() has been called
  std::vector<std::byte> early_;

  std::size_t taken_ = 0;  // from below, during the handshake
  TlsFirstBytes first_;
};

}  // namespace

std::unique_ptr<Stream> tls_client(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context,
                                   Expect expect, std::string session) {
  return std::make_unique<TlsStream>(loop, std::move(below), std::move(context), true, expect, std::move(session));
}

std::unique_ptr<Stream> tls_server(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context) {
  return std::make_unique<TlsStream>(loop, std::move(below), std::move(context), false, Expect::peer, "");
}

}  // namespace seaway::net
