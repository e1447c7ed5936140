#include "net/dial.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <deque>

#include "net/address.h"
#include "net/fd.h"

namespace seaway::net {

// Asio's resolver needs the io_context; loop.cpp owns it.
asio::io_context& context_of(Loop& loop);

struct Dial::Impl : std::enable_shared_from_this<Dial::Impl> {
  Impl(Loop& l, std::vector<std::string> addresses, Duration p, Done d)
      : loop(&l),
        names(addresses.begin(), addresses.end()),
        patience(p),
        done(std::move(d)),
        resolver(context_of(l)),
        timer(l, [this] { failed("no answer in time"); }) {}

  // Takes the next address; when none is left says so.
  void next() {
    while (candidates.empty() && !names.empty()) {
      name = names.front();
      names.pop_front();
      std::string problem;
      const auto address = parse_host_port(name, problem);
      if (!address) {
        note(problem);
      } else if (const auto numeric = numeric_address(*address)) {
        candidates.push_back(*numeric);
      } else {
        resolve(*address);
        return;
      }
    }
    if (candidates.empty()) {
      finish(nullptr);
      return;
    }
    const SocketAddress address = candidates.front();
    candidates.pop_front();
    connect(address);
  }

  void resolve(const HostPort& address) {
    // A thread of Asio's looks names up: the loop goes on.
    resolver.async_resolve(address.host, std::to_string(address.port),
                           [self = shared_from_this()](const asio::error_code& error, const auto& results) {
                             if (!self->done) {
                               return;
                             }
                             if (error) {
                               self->note(self->name + ": the name cannot be looked up (" + error.message() + ")");
                             }
                             for (const auto& entry : results) {
                               SocketAddress candidate;
                               candidate.length = static_cast<socklen_t>(entry.endpoint().size());
                               std::memcpy(&candidate.storage, entry.endpoint().data(), candidate.length);
                               self->candidates.push_back(candidate);
                             }
                             self->next();
                           });
  }

  void connect(const SocketAddress& address) {
    trying = to_string(address);
    fd = UniqueFd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) {
      failed(std::strerror(errno));
      return;
    }
    if (::connect(fd.get(), address.get(), address.length) != 0 && errno != EINPROGRESS) {
      failed(std::strerror(errno));
      return;
    }
    readiness = std::make_unique<Readiness>(*loop, fd.get());
    readiness->on_writable([this] { connected(); });
    readiness->watch_write();
    timer.at(monotonic_now() + patience);
  }

  void connected() {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      failed(std::strerror(error));
      return;
    }
    readiness.reset();
    finish(plain_stream(*loop, std::move(fd)));
  }

  void failed(const std::string& why) {
    note((trying == name ? name : name + " (" + trying + ")") + ": " + why);
    timer.at(kNever);
    readiness.reset();
    fd.reset();
    next();
  }

  void note(const std::string& text) { problems += (problems.empty() ? "" : "; ") + text; }

  void finish(std::unique_ptr<Stream> stream) {
    timer.at(kNever);
    const Done callback = std::exchange(done, nullptr);
    callback(std::move(stream), problems.empty() ? "no address is known" : problems);
  }

  Loop* loop;
  std::deque<std::string> names;
  Duration patience;
  Done done;
  asio::ip::tcp::resolver resolver;
  Timer timer;

  std::string name;    // as it was given
  std::string trying;  // the number that it stands for
  std::deque<SocketAddress> candidates;
  UniqueFd fd;
  std::unique_ptr<Readiness> readiness;
  std::string problems;
};

Dial::Dial(Loop& loop, std::vector<std::string> addresses, Duration patience, Done done)
    : impl_(std::make_shared<Impl>(loop, std::move(addresses), patience, std::move(done))) {
  // Never from the constructor: whoever dials has not stored this object yet.
  loop.post([weak = std::weak_ptr(impl_)] {
    if (const auto impl = weak.lock(); impl && impl->done) {
      impl->next();
    }
  });
}

Dial::~Dial() {
  impl_->done = nullptr;
  impl_->timer.at(kNever);
  impl_->readiness.reset();
  impl_->resolver.cancel();
}

}  // namespace seaway::net
