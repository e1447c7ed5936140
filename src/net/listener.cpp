#include "net/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "net/address.h"

namespace seaway::net {

namespace {

constexpr int kBacklog = 512;
constexpr int kMostAtOnce = 64;                       // accepted before others get their turn
constexpr Duration kOutOfDescriptors = kSecond / 10;  // pause until some may have been closed

UniqueFd bind_to(const addrinfo& info, std::string& problem) {
  UniqueFd fd(::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int off = 0;
  if (fd) {
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (info.ai_family == AF_INET6) {
      setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (::bind(fd.get(), info.ai_addr, info.ai_addrlen) == 0 && ::listen(fd.get(), kBacklog) == 0) {
      return fd;
    }
  }
  problem = std::strerror(errno);
  return UniqueFd();
}

}  // namespace

UniqueFd listen_on(const std::string& address, std::string& problem) {
  const auto parsed = parse_host_port(address, problem);
  if (!parsed) {
    return UniqueFd();
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(parsed->host.empty() ? nullptr : parsed->host.c_str(),
                                std::to_string(parsed->port).c_str(), &hints, &list);
  if (error != 0) {
    problem = "cannot listen on " + address + ": " + gai_strerror(error);
    return UniqueFd();
  }
  UniqueFd fd;
  std::string why = "no such address";
  // "Every address" is tried as IPv6 first, which takes IPv4 too.
  for (const int family : {AF_INET6, AF_INET}) {
    for (const addrinfo* info = list; info != nullptr && !fd; info = info->ai_next) {
      if (info->ai_family == family) {
        fd = bind_to(*info, why);
      }
    }
  }
  freeaddrinfo(list);
  if (!fd) {
    problem = "cannot listen on " + address + ": " + why;
  }
  return fd;
}

struct Listener::Impl {
  Impl(Loop& l, UniqueFd f, Accepted a)
      : loop(&l), fd(std::move(f)), accepted(std::move(a)), readiness(l, fd.get()), pause(l, [this] {
          readiness.watch_read();
        }) {}

  void accept_some() {
    for (int i = 0; i < kMostAtOnce; ++i) {
      UniqueFd next(::accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (next) {
        accepted(plain_stream(*loop, std::move(next)));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause.at(monotonic_now() + kOutOfDescriptors);
        return;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      }
      // Anything else (ECONNABORTED, EPROTO, ...) concerns the one that went away.
    }
    readiness.watch_read();
  }

  Loop* loop;
  UniqueFd fd;
  Accepted accepted;
  Readiness readiness;
  Timer pause;
};

Listener::Listener(Loop& loop, UniqueFd fd, Accepted accepted)
    : impl_(std::make_unique<Impl>(loop, std::move(fd), std::move(accepted))) {
  impl_->readiness.on_readable([impl = impl_.get()] { impl->accept_some(); });
  impl_->readiness.watch_read();
}

Listener::~Listener() = default;

}  // namespace seaway::net
