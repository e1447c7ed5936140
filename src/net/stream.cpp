#include "net/stream.h"

#include <linux/tcp.h>  // the C library's tcp_info is an older one
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>

namespace seaway::net {

namespace {

// What the kernel holds unsent before it says "writable": less, and the pipe runs dry; more, and frames are bound to a
// connection long before they leave.
constexpr int kUnsentBytes = 256 * 1024;

// Below this round-trip time a path is a LAN or the loopback.
constexpr unsigned kNearMicroseconds = 1000;

// BBR paces what it sends by its model of the path, which pays on long and lossy ones. On a near one the model costs half of
// the speed, and CUBIC has nothing to lose: it is taken there where BBR is what the system would use.
void choose_congestion_control(int fd) {
  std::array<char, 16> name{};
  socklen_t length = name.size();
  tcp_info info{};
  socklen_t info_length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &length) != 0 ||
      std::string_view(name.data()).substr(0, 3) != "bbr" ||
      getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_length) != 0 || info.tcpi_rtt >= kNearMicroseconds) {
    return;
  }
  for (const std::string_view near : {"cubic", "reno"}) {
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, near.data(), static_cast<socklen_t>(near.size())) == 0) {
      return;
    }
  }
}

class PlainStream : public Stream {
 public:
  PlainStream(Loop& loop, UniqueFd fd)
      : fd_(std::move(fd)),
        readiness_(loop, fd_.get()),
        remote_(remote_address(fd_.get())),
        local_(local_address(fd_.get())) {
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof kUnsentBytes);
    // A heartbeat on a path that loses much is sent again every few hundred milliseconds, and not after pauses that double:
    // four losses running are no death. Of connections with little under way alone (Linux: thin streams).
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &on, sizeof on);
    choose_congestion_control(fd_.get());
  }

  IoResult receive(std::span<iovec> into) override {
    msghdr message{};
    message.msg_iov = into.data();
    message.msg_iovlen = std::min<std::size_t>(into.size(), IOV_MAX);
    return outcome(::recvmsg(fd_.get(), &message, 0), Io::closed);
  }

  IoResult send(std::span<iovec> from) override {
    msghdr message{};
    message.msg_iov = from.data();
    message.msg_iovlen = std::min<std::size_t>(from.size(), IOV_MAX);
    return outcome(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL), Io::blocked);
  }

  void on_readable(std::function<void()> what) override { readiness_.on_readable(std::move(what)); }
  void on_writable(std::function<void()> what) override { readiness_.on_writable(std::move(what)); }
  void watch_read() override { readiness_.watch_read(); }
  void watch_write() override { readiness_.watch_write(); }
  const SocketAddress& remote() const override { return remote_; }
  const SocketAddress& local() const override { return local_; }

  void set_user_timeout(Duration timeout) override {
    const auto milliseconds = static_cast<unsigned>(timeout / kMillisecond);
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
  }

  void set_pace(std::uint64_t bytes_per_second) override {
    const std::uint64_t pace = bytes_per_second == 0 ? ~std::uint64_t{0} : bytes_per_second;
    setsockopt(fd_.get(), SOL_SOCKET, SO_MAX_PACING_RATE, &pace, sizeof pace);
  }

  PathFigures path() const override {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
      return {};
    }
    const auto microseconds = [](std::uint64_t count) { return static_cast<Duration>(count) * kMicrosecond; };
    return {.delivered = info.tcpi_delivered,
            .segment = info.tcpi_snd_mss,
            .received = info.tcpi_bytes_received,
            .sent = info.tcpi_bytes_sent,
            .resent = info.tcpi_bytes_retrans,
            .out_of_order = info.tcpi_rcv_ooopack,
            .busy = microseconds(info.tcpi_busy_time),
            .held = microseconds(info.tcpi_sndbuf_limited + info.tcpi_rwnd_limited),
            .rtt = microseconds(info.tcpi_rtt),
            .least_rtt = microseconds(info.tcpi_min_rtt)};
  }

 private:
  static IoResult outcome(ssize_t moved, Io at_zero) {
    if (moved > 0) {
      return {Io::moved, static_cast<std::size_t>(moved)};
    }
    if (moved == 0) {
      return {at_zero, 0};
    }
    const bool again = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS || errno == ENOMEM;
    return {again ? Io::blocked : Io::failed, 0};
  }

  UniqueFd fd_;
  Readiness readiness_;  // before fd_ goes
  SocketAddress remote_;
  SocketAddress local_;
};

}  // namespace

std::unique_ptr<Stream> plain_stream(Loop& loop, UniqueFd fd) {
  return std::make_unique<PlainStream>(loop, std::move(fd));
}

}  // namespace seaway::net
