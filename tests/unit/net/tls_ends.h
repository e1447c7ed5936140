// Two ends of an encrypted connection on one loop, and a run with its certificates.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/tls.h"
#include "net/tls_context.h"

namespace seaway::net {

inline constexpr std::int64_t kHour = 3600;

inline std::int64_t unix_now() { return std::time(nullptr); }

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Until it is so. False: not within 20 s.
inline bool run_until(Loop& loop, const std::function<bool()>& so) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!so()) {
    if (std::chrono::steady_clock::now() >= limit) {
      return false;
    }
    loop.run_one(limit);
  }
  return true;
}

// Everything that is to be done now.
inline void run_what_there_is(Loop& loop) {
  bool through = false;
  for (int i = 0; i < 4; ++i) {
    through = false;
    Timer timer(loop, [&] { through = true; });
    timer.at(monotonic_now() + 2 * kMillisecond);
    run_until(loop, [&] { return through; });
  }
}

struct Run {
  std::unique_ptr<Authority> authority;
  std::int64_t now = unix_now();
  std::int64_t lifetime_s = 24 * kHour;

  Run() : authority(Authority::make(Uuid{1, 2})) {}
  std::shared_ptr<const Credentials> peer(const CertifiedPeer& name) const {
    const PrivateKey key = PrivateKey::make();
    std::string problem;
    const auto certificate = authority->issue(name, key.public_key(), now, lifetime_s, problem);
    return make_credentials(key, certificate, authority->certificate(), problem);
  }
  std::shared_ptr<TlsContext> for_peer(std::uint64_t number) const {
    return tls_for_peer(peer({{number, number}, number}));
  }
  std::shared_ptr<TlsContext> for_master() const { return tls_for_master(authority->issue_master(now, lifetime_s)); }
  std::shared_ptr<TlsContext> for_enrolment() const { return tls_for_enrolment(authority->pin()); }
};

// An owner of a stream: sends what it is given, keeps what comes.
class End {
 public:
  std::unique_ptr<Stream> stream;
  std::string got;
  Io ended = Io::moved;  // closed or failed, once it is

  void start(std::unique_ptr<Stream> its) {
    stream = std::move(its);
    stream->on_readable([this] { read(); });
    stream->on_writable([this] { write(); });
    stream->watch_read();
  }
  void say(const std::string& text) {
    out_ += text;
    write();
  }
  bool has_sent() const { return sent_ == out_.size(); }

 private:
  void read() {
    for (;;) {
      char buffer[4096];
      iovec into{buffer, sizeof buffer};
      const IoResult result = stream->receive({&into, 1});
      if (result.io == Io::blocked) {
        break;
      }
      if (result.io != Io::moved) {
        ended = result.io;
        return;
      }
      got.append(buffer, result.bytes);
    }
    stream->watch_read();
  }
  void write() {
    while (sent_ < out_.size()) {
      iovec from{out_.data() + sent_, out_.size() - sent_};
      const IoResult result = stream->send({&from, 1});
      if (result.io == Io::blocked) {
        stream->watch_write();
        return;
      }
      if (result.io != Io::moved) {
        ended = result.io;
        return;
      }
      sent_ += result.bytes;
    }
  }

  std::string out_;
  std::size_t sent_ = 0;
};

struct Ends {
  Loop loop;
  int raw[2] = {-1, -1};  // the descriptors, still open as long as the streams are
  std::unique_ptr<Stream> below[2];
  End client;
  End server;

  explicit Ends(int send_bytes = 0) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, raw) == 0) {
      for (int i = 0; i < 2; ++i) {
        if (send_bytes > 0) {
          setsockopt(raw[i], SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
        }
        below[i] = plain_stream(loop, UniqueFd(raw[i]));
      }
    }
  }
  std::unique_ptr<Stream> client_stream(std::shared_ptr<TlsContext> context, Expect expect,
                                        const std::string& session = "") {
    return tls_client(loop, std::move(below[0]), std::move(context), expect, session);
  }
  std::unique_ptr<Stream> server_stream(std::shared_ptr<TlsContext> context) {
    return tls_server(loop, std::move(below[1]), std::move(context));
  }
  void start(std::shared_ptr<TlsContext> of_client, Expect expect, std::shared_ptr<TlsContext> of_server,
             const std::string& session = "") {
    server.start(server_stream(std::move(of_server)));
    client.start(client_stream(std::move(of_client), expect, session));
  }
  // A word each way.
  bool talk() {
    client.say("ping");
    server.say("pong");
    return run_until(loop,
                     [&] {
                       return (client.got == "pong" && server.got == "ping") || client.ended != Io::moved ||
                              server.ended != Io::moved;
                     }) &&
           client.got == "pong" && server.got == "ping";
  }
  // Until both ends have heard that it will not be.
  bool both_end() {
    return run_until(loop, [&] { return client.ended != Io::moved && server.ended != Io::moved; });
  }
};

}  // namespace seaway::net
