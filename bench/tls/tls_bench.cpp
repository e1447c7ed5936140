// seaway_tls_bench: what encryption costs. One connection over the loopback, a thread and a loop for each end; and handshakes,
// both ends on one thread.
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/listener.h"
#include "net/loop.h"
#include "net/tls.h"

namespace seaway::bench {

namespace {

constexpr const char* kHelp =
    R"(seaway_tls_bench - what encryption costs

  --mib N          sent over one connection in a run (default 2048)
  --runs N         of each kind, taking turns (default 5)
  --handshakes N   of each kind (default 1000)

Printed: GB/s, and CPU seconds per GiB of the sender's and the receiver's thread, user and system, as medians of the runs; for
handshakes the CPU microseconds of both ends together, the connection and a word each way included.
)";

constexpr std::size_t kChunk = 512ull * 1024;
constexpr double kGiB = 1024.0 * 1024 * 1024;
constexpr auto kEver = std::chrono::steady_clock::time_point::max();

struct Options {
  std::size_t mib = 2048;
  std::size_t runs = 5;
  std::size_t handshakes = 1000;
};

// Of this thread; what getrusage() says is counted in ticks of the scheduler.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// A peer that accepts and one that dials.
struct Contexts {
  std::shared_ptr<net::TlsContext> server;
  std::shared_ptr<net::TlsContext> client;
};

Contexts new_contexts() {
  const auto authority = net::Authority::make(Uuid{1, 1});
  const auto context = [&](PeerId id) {
    const net::PrivateKey key = net::PrivateKey::make();
    std::string problem;
    const auto certificate = authority->issue({{1, id}, id}, key.public_key(), std::time(nullptr), 86400, problem);
    return net::tls_for_peer(net::make_credentials(key, certificate, authority->certificate(), problem));
  };
  return {context(1), context(2)};
}

// Two ends of a TCP connection over the loopback; without descriptors when that cannot be.
std::pair<net::UniqueFd, net::UniqueFd> connection(int listening) {
  const net::SocketAddress address = net::local_address(listening);
  net::UniqueFd one(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(one.get(), address.get(), address.length) != 0) {
    return {};
  }
  net::UniqueFd other;
  while (!other) {
    other = net::UniqueFd(::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  ::fcntl(one.get(), F_SETFL, O_NONBLOCK);
  return {std::move(one), std::move(other)};
}

// --- One connection -------------------------------------------------------------------------------------------------

// Headers and chunks, as the runtime has them, until at least `bytes` have gone; then waits for the other end's FIN.
class Sender {
 public:
  Sender(std::unique_ptr<net::Stream> stream, std::size_t bytes) : stream_(std::move(stream)), bytes_(bytes) {
    stream_->on_readable([this] { read(); });
    stream_->on_writable([this] { write(); });
    stream_->watch_read();
    write();
  }
  bool is_over() const { return is_over_; }

 private:
  void write() {
    while (sent_ < bytes_) {
      const std::size_t at = sent_ % (header_.size() + chunk_.size());  // what was taken may have ended anywhere
      iovec pieces[4];
      std::size_t count = 0;
      if (at < header_.size()) {
        pieces[count++] = {header_.data() + at, header_.size() - at};
      }
      const std::size_t skip = at - std::min(at, header_.size());
      pieces[count++] = {chunk_.data() + skip, chunk_.size() - skip};
      pieces[count++] = {header_.data(), header_.size()};
      pieces[count++] = {chunk_.data(), chunk_.size()};
      const net::IoResult result = stream_->send({pieces, count});
      if (result.io == net::Io::blocked) {
        stream_->watch_write();
        return;
      }
      if (result.io != net::Io::moved) {
        is_over_ = true;
        return;
      }
      sent_ += result.bytes;
    }
  }
  void read() {
    std::byte nothing[64];
    iovec into{nothing, sizeof nothing};
    const net::Io io = stream_->receive({&into, 1}).io;
    is_over_ = io == net::Io::closed || io == net::Io::failed;
    stream_->watch_read();
  }

  std::unique_ptr<net::Stream> stream_;
  std::size_t bytes_;
  std::vector<std::byte> header_ = std::vector<std::byte>(64);
  std::vector<std::byte> chunk_ = std::vector<std::byte>(kChunk);
  std::size_t sent_ = 0;
  bool is_over_ = false;
};

class Receiver {
 public:
  Receiver(std::unique_ptr<net::Stream> stream, std::size_t bytes) : stream_(std::move(stream)), bytes_(bytes) {
    stream_->on_readable([this] { read(); });
    stream_->watch_read();
  }
  bool is_over() const { return is_over_; }
  bool is_whole() const { return got_ >= bytes_; }

 private:
  void read() {
    for (;;) {
      iovec pieces[2] = {{chunk_.data(), chunk_.size()}, {staging_.data(), staging_.size()}};
      const net::IoResult result = stream_->receive({pieces, 2});
      if (result.io == net::Io::blocked) {
        stream_->watch_read();
        return;
      }
      got_ += result.bytes;
      if (result.io != net::Io::moved || is_whole()) {
        is_over_ = true;
        return;
      }
    }
  }

  std::unique_ptr<net::Stream> stream_;
  std::size_t bytes_;
  std::vector<std::byte> chunk_ = std::vector<std::byte>(kChunk);
  std::vector<std::byte> staging_ = std::vector<std::byte>(4096);
  std::size_t got_ = 0;
  bool is_over_ = false;
};

struct Transfer {
  double seconds = 0;  // 0: it broke
  double sender_cpu_s = 0;
  double receiver_cpu_s = 0;
};

// Without contexts: in plaintext.
Transfer transfer(int listening, const Contexts* tls, std::size_t bytes) {
  auto [one, other] = connection(listening);
  if (!one) {
    return {};
  }
  Transfer result;
  const Time began = net::monotonic_now();
  std::thread sender([&result, tls, bytes, &fd = one] {
    const double before = cpu_seconds();
    net::Loop loop;
    auto stream = net::plain_stream(loop, std::move(fd));
    if (tls != nullptr) {
      stream = net::tls_client(loop, std::move(stream), tls->client, net::Expect::peer, "");
    }
    Sender end(std::move(stream), bytes);
    while (!end.is_over()) {
      loop.run_one(kEver);
    }
    result.sender_cpu_s = cpu_seconds() - before;
  });
  bool is_whole = false;
  {
    const double before = cpu_seconds();
    net::Loop loop;
    auto stream = net::plain_stream(loop, std::move(other));
    if (tls != nullptr) {
      stream = net::tls_server(loop, std::move(stream), tls->server);
    }
    Receiver end(std::move(stream), bytes);
    while (!end.is_over()) {
      loop.run_one(kEver);
    }
    is_whole = end.is_whole();
    result.receiver_cpu_s = cpu_seconds() - before;
  }
  const Time ended = net::monotonic_now();
  sender.join();
  result.seconds = is_whole ? static_cast<double>(ended - began) / static_cast<double>(kSecond) : 0;
  return result;
}

bool print_transfers(int listening, const Options& options) {
  const std::size_t bytes = options.mib << 20;
  std::vector<double> rate[2];
  std::vector<double> sender[2];
  std::vector<double> receiver[2];
  for (std::size_t run = 0; run <= options.runs; ++run) {
    for (const int is_tls : {0, 1}) {
      const Contexts contexts = new_contexts();
      const Transfer one = transfer(listening, is_tls == 1 ? &contexts : nullptr, bytes);
      if (one.seconds == 0) {
        return false;
      }
      if (run > 0) {  // the first one finds caches cold
        rate[is_tls].push_back(static_cast<double>(bytes) / 1e9 / one.seconds);
        sender[is_tls].push_back(one.sender_cpu_s * kGiB / static_cast<double>(bytes));
        receiver[is_tls].push_back(one.receiver_cpu_s * kGiB / static_cast<double>(bytes));
      }
    }
  }
  std::printf("                 GB/s   sender, CPU s/GiB   receiver, CPU s/GiB\n");
  for (const int is_tls : {0, 1}) {
    std::printf("%-12s %8.2f %19.3f %21.3f\n", is_tls == 1 ? "TLS" : "plaintext", median(rate[is_tls]),
                median(sender[is_tls]), median(receiver[is_tls]));
  }
  return true;
}

// --- Handshakes -----------------------------------------------------------------------------------------------------

// Connects, says a word each way. False: it broke.
bool greet(int listening, const Contexts* tls, const std::string& session) {
  auto [one, other] = connection(listening);
  if (!one) {
    return false;
  }
  net::Loop loop;
  std::unique_ptr<net::Stream> ends[2] = {net::plain_stream(loop, std::move(one)),
                                          net::plain_stream(loop, std::move(other))};
  if (tls != nullptr) {
    ends[0] = net::tls_client(loop, std::move(ends[0]), tls->client, net::Expect::peer, session);
    ends[1] = net::tls_server(loop, std::move(ends[1]), tls->server);
  }
  int heard = 0;
  bool broke = false;
  for (auto& end : ends) {
    end->on_readable([&] {
      std::byte word[64];
      iovec into{word, sizeof word};
      const net::Io io = end->receive({&into, 1}).io;
      heard += io == net::Io::moved ? 1 : 0;
      broke = broke || io == net::Io::closed || io == net::Io::failed;
      end->watch_read();
    });
    end->watch_read();
    std::byte word[8]{};
    iovec from{word, sizeof word};
    end->send({&from, 1});
  }
  while (heard < 2 && !broke) {
    loop.run_one(kEver);
  }
  return !broke;
}

bool print_handshakes(int listening, const Options& options) {
  const Contexts contexts = new_contexts();
  const struct {
    const char* what;
    const Contexts* tls;
    const char* session;
  } kinds[] = {{"plaintext", nullptr, ""}, {"full", &contexts, ""}, {"resumed", &contexts, "peer"}};
  double cpu[3] = {};
  if (!greet(listening, &contexts, "peer")) {  // leaves a session
    return false;
  }
  for (std::size_t i = 0; i < options.handshakes; ++i) {
    for (std::size_t kind = 0; kind < 3; ++kind) {
      const double before = cpu_seconds();
      if (!greet(listening, kinds[kind].tls, kinds[kind].session)) {
        return false;
      }
      cpu[kind] += cpu_seconds() - before;
    }
  }
  const net::TlsCounts counts = net::counts_of(*contexts.client);
  std::printf("\n                 CPU us, both ends   without the connection\n");
  for (std::size_t kind = 0; kind < 3; ++kind) {
    const double each = 1e6 / static_cast<double>(options.handshakes);
    std::printf("%-12s %21.0f %24.0f\n", kinds[kind].what, cpu[kind] * each, (cpu[kind] - cpu[0]) * each);
  }
  std::printf("resumed / full: %.2f (%llu resumed, %llu not)\n", (cpu[2] - cpu[0]) / (cpu[1] - cpu[0]),
              static_cast<unsigned long long>(counts.resumed), static_cast<unsigned long long>(counts.full));
  return true;
}

bool parse(const std::vector<std::string_view>& words, Options& options) {
  for (std::size_t i = 0; i < words.size(); i += 2) {
    std::size_t* target = words[i] == "--mib"          ? &options.mib
                          : words[i] == "--runs"       ? &options.runs
                          : words[i] == "--handshakes" ? &options.handshakes
                                                       : nullptr;
    if (target == nullptr || i + 1 == words.size()) {
      return false;
    }
    const char* end = words[i + 1].data() + words[i + 1].size();
    const auto [stopped, error] = std::from_chars(words[i + 1].data(), end, *target);
    if (error != std::errc{} || stopped != end || *target == 0) {
      return false;
    }
  }
  return true;
}

int run(const std::vector<std::string_view>& words) {
  Options options;
  if (!parse(words, options)) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  std::string problem;
  const net::UniqueFd listening = net::listen_on("127.0.0.1:0", problem);
  if (!listening || !print_transfers(listening.get(), options) || !print_handshakes(listening.get(), options)) {
    std::fprintf(stderr, "seaway_tls_bench: a connection over the loopback broke %s\n", problem.c_str());
    return 1;
  }
  return 0;
}

}  // namespace

}  // namespace seaway::bench

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    std::fputs(seaway::bench::kHelp, stdout);
    return 0;
  }
  return seaway::bench::run(words);
}
