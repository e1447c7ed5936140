// The floor: what no collective over this path can be faster than. Two processes, each sends a message and waits for the
// other's; over the streams and the loop of net/, so with the socket options and the readiness of the runtime, on one
// thread each and with nothing else in between.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/commands.h"
#include "collectives/report.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/stream.h"

namespace seaway::bench {

namespace {

class Exchange {
 public:
  Exchange(net::Loop& loop, std::unique_ptr<net::Stream> stream, std::size_t bytes, unsigned runs)
      : loop_(&loop), stream_(std::move(stream)), out_(bytes), in_(bytes), runs_(runs) {
    stream_->on_readable([this] { read(); });
    stream_->on_writable([this] { write(); });
    begin();
  }

  const std::vector<double>& seconds() const { return seconds_; }
  bool failed() const { return failed_; }

 private:
  // A small message leaves at once. A large one goes piece by piece, as the runtime's frames do, while the other's comes.
  static constexpr std::size_t kPiece = 1u << 20;

  void begin() {
    began_ = net::monotonic_now();
    got_ = 0;
    sent_ = 0;
    stream_->watch_read();
    write();
  }

  void fail() {
    failed_ = true;
    loop_->stop();
  }

  void write() {
    while (sent_ < out_.size()) {
      iovec piece{out_.data() + sent_, std::min(kPiece, out_.size() - sent_)};
      const net::IoResult result = stream_->send({&piece, 1});
      if (result.io == net::Io::blocked) {
        stream_->watch_write();
        return;
      }
      if (result.io != net::Io::moved) {
        fail();
        return;
      }
      sent_ += result.bytes;
    }
    end_if_through();
  }

  void read() {
    iovec piece{in_.data() + got_, std::min(kPiece, in_.size() - got_)};
    const net::IoResult result = stream_->receive({&piece, 1});
    if (result.io != net::Io::moved && result.io != net::Io::blocked) {
      fail();
      return;
    }
    got_ += result.bytes;
    if (got_ < in_.size()) {
      stream_->watch_read();
      return;
    }
    end_if_through();
  }

  void end_if_through() {
    if (got_ < in_.size() || sent_ < out_.size()) {
      return;
    }
    seconds_.push_back(static_cast<double>(net::monotonic_now() - began_) / static_cast<double>(kSecond));
    if (seconds_.size() < runs_) {
      begin();
    } else {
      loop_->stop();
    }
  }

  net::Loop* loop_;
  std::unique_ptr<net::Stream> stream_;
  std::vector<std::byte> out_;
  std::vector<std::byte> in_;
  std::size_t got_ = 0;
  std::size_t sent_ = 0;
  unsigned runs_;
  Time began_ = 0;
  bool failed_ = false;
  std::vector<double> seconds_;
};

// One end: that which listens, or that which dials `address`. Empty when something broke.
std::vector<double> exchange(std::size_t bytes, unsigned runs, net::UniqueFd listening, const std::string& address) {
  net::Loop loop;
  std::unique_ptr<Exchange> exchange;
  const auto begin = [&](std::unique_ptr<net::Stream> stream) {
    if (stream) {
      exchange = std::make_unique<Exchange>(loop, std::move(stream), bytes, runs);
    } else {
      loop.stop();
    }
  };
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<net::Dial> dial;
  if (listening) {
    listener = std::make_unique<net::Listener>(loop, std::move(listening), begin);
  } else {
    dial = std::make_unique<net::Dial>(
        loop, std::vector{address}, 5 * kSecond,
        [&](std::unique_ptr<net::Stream> stream, const std::string&) { begin(std::move(stream)); });
  }
  loop.run();
  return exchange && !exchange->failed() ? exchange->seconds() : std::vector<double>{};
}

}  // namespace

int run_floor(const Options& options) {
  std::string problem;
  net::UniqueFd listening = net::listen_on("127.0.0.1:0", problem);
  int ends[2];
  if (!listening || pipe(ends) != 0) {
    std::fprintf(stderr, "seaway_bench: cannot listen on the loopback: %s\n", problem.c_str());
    return 1;
  }
  const std::string address = net::to_string(net::local_address(listening.get()));
  const unsigned all = options.warmup + options.runs;
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    listening.reset();
    const std::vector<double> seconds = exchange(options.bytes, all, {}, address);
    const std::size_t size = seconds.size() * sizeof(double);
    const char* at = reinterpret_cast<const char*>(seconds.data());
    for (std::size_t sent = 0; sent < size;) {
      const ssize_t now = write(ends[1], at + sent, size - sent);
      if (now <= 0) {
        break;
      }
      sent += static_cast<std::size_t>(now);
    }
    _exit(seconds.size() == all ? 0 : 1);
  }
  close(ends[1]);
  std::vector<double> mine = exchange(options.bytes, all, std::move(listening), address);
  std::vector<double> theirs(all);
  std::size_t got = 0;
  while (got < theirs.size() * sizeof(double)) {
    const ssize_t now =
        read(ends[0], reinterpret_cast<char*>(theirs.data()) + got, theirs.size() * sizeof(double) - got);
    if (now <= 0) {
      break;
    }
    got += static_cast<std::size_t>(now);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (mine.size() != all || got != theirs.size() * sizeof(double)) {
    std::fprintf(stderr, "seaway_bench: the two processes lost one another\n");
    return 1;
  }
  std::vector<double> slower;
  for (unsigned run = options.warmup; run < all; ++run) {
    slower.push_back(std::max(mine[run], theirs[run]));
  }
  print_floor(options, slower);
  return 0;
}

}  // namespace seaway::bench
