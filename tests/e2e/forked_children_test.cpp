// Trainers fork: data loaders do. Whatever descriptors of seaway a child kept would keep its parent's connections open when the
// parent dies, and the others would wait for the silence of a process that is gone.
//
// What is measured, from SIGKILL to
//   - FIN or RST on a connection that the test itself has to the victim's port. The library accepted it before the fork and
//     treats it as any other, and the test reads the bare socket, so nothing but the kernel is in between;
//   - the last of the victim's connections having ended at each peer, by the time of its log line: FIN as the library sees it,
//     with whatever its thread was doing just then;
//   - an op without the victim, committed: the loss is noticed, agreed on, and over.
// A socket of the program's own, which the children do inherit, shows that FIN does not come while one of them holds it.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "e2e/cluster.h"
#include "e2e/stranger.h"

namespace seaway::e2e {

namespace {

constexpr unsigned kWorld = 4;
constexpr int kChildren = 4;
constexpr double kPatience = 30;
constexpr double kMostFin = 0.05;  // seconds

// Accepts one connection, of the worker's own.
class Held {
 public:
  Held() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listening_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listening_, 1) == 0);
    ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~Held() {
    ::close(listening_);
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  int port() const { return port_; }
  bool accept() {
    pollfd wait{listening_, POLLIN, 0};
    if (fd_ < 0 && poll(&wait, 1, 0) > 0) {
      fd_ = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    }
    return fd_ >= 0;
  }
  bool is_closed() const {
    pollfd wait{fd_, POLLIN, 0};
    return poll(&wait, 1, 0) > 0;
  }

 private:
  int listening_;
  int fd_ = -1;
  int port_ = 0;
};

// Seconds from SIGKILL until the bare socket is readable: it will not be by anything else than its end.
double kill_and_watch(Cluster& cluster, Worker& victim, const Stranger& stranger, double& killed) {
  pollfd wait{stranger.fd(), POLLIN, 0};
  if (stranger.is_closed()) {
    cluster.fail("the connection to the victim's port ended before it was killed");
  }
  killed = seconds_now();
  cluster.kill_worker(victim);
  const int ready = poll(&wait, 1, 5000);
  const double seconds = seconds_now() - killed;
  if (ready <= 0 || !stranger.is_closed()) {
    cluster.fail("no FIN within 5 s: somebody holds the victim's sockets");
  }
  return seconds;
}

std::vector<double> link_ends(const Worker& peer, const std::string& victim, double since) {
  std::vector<double> times;
  for (const Event& event : peer.log) {
    if (event.time >= since && event.text.starts_with("a connection to peer " + victim + " ended")) {
      times.push_back(event.time - since);
    }
  }
  return times;
}

}  // namespace

TEST_CASE(
    "a worker with 4 live children is killed: its peers see FIN at once, for the children hold nothing of seaway") {
  Cluster cluster(kWorld, {.mib = 1, .ops = 1});
  Worker& victim = cluster.worker(2);
  const std::vector<Worker*> peers{&cluster.worker(0), &cluster.worker(1), &cluster.worker(3)};
  cluster.wait_for_ops(peers, 10, kPatience);

  Held held;
  victim.process().say("hold " + std::to_string(held.port()));
  cluster.wait_for("the worker's own connection", kPatience, [&] { return held.accept(); });
  const Stranger stranger(victim.lives.back().address);
  REQUIRE(stranger.ok());
  // Accepted, so that the children would inherit it: the victim has a socket whose other end this is.
  cluster.wait_for_ops({&victim}, 3, kPatience);
  victim.process().say("fork " + std::to_string(kChildren));
  cluster.wait_for("the children", kPatience, [&] { return victim.children.size() == kChildren; });
  cluster.wait_for_ops({&victim}, 3, kPatience);  // the run does not mind

  std::size_t sockets = 0;
  std::size_t others = 0;
  for (const pid_t child : victim.children) {
    REQUIRE(::kill(child, 0) == 0);
    for (const std::string& what : descriptors(child)) {
      sockets += what.starts_with("socket:") ? 1 : 0;
      others += what.starts_with("anon_inode:") ? 1 : 0;
    }
  }
  const auto own = descriptors(victim.process().pid());
  const auto own_sockets =
      std::count_if(own.begin(), own.end(), [](const std::string& w) { return w.starts_with("socket:"); });
  CHECK(sockets == kChildren);  // the worker's own, in each
  CHECK(own_sockets > 1 + static_cast<std::ptrdiff_t>(peers.size()));

  const std::string incarnation = victim.lives.back().peer;
  double killed = 0;
  const double fin = kill_and_watch(cluster, victim, stranger, killed);
  CHECK(fin < kMostFin);
  CHECK_FALSE(held.is_closed());

  double last = 0;
  double slowest_op = 0;
  std::size_t connections = 0;
  cluster.wait_for("an op without the victim", kPatience, [&] {
    return std::all_of(peers.begin(), peers.end(),
                       [](const Worker* peer) { return peer->ops.back().contributors == "013"; });
  });
  for (const Worker* peer : peers) {
    const std::vector<double> ends = link_ends(*peer, incarnation, killed);
    REQUIRE(!ends.empty());
    connections += ends.size();
    last = std::max(last, *std::max_element(ends.begin(), ends.end()));
    const auto without =
        std::find_if(peer->ops.begin(), peer->ops.end(), [](const Op& op) { return op.contributors == "013"; });
    slowest_op = std::max(slowest_op, without->time - killed);
  }
  CHECK(last < kMostFin);
  for (const pid_t child : victim.children) {
    CHECK(::kill(child, 0) == 0);  // all of that while they live
  }
  CHECK_FALSE(held.is_closed());
  for (const pid_t child : victim.children) {
    ::kill(child, SIGKILL);
  }
  cluster.wait_for("the inherited socket to close with the last child", kPatience, [&] { return held.is_closed(); });
  std::printf(
      "a worker of %zu sockets with %d live children, which hold %zu sockets (the program's own) and %zu other "
      "descriptors\n"
      "  of the kernel; killed: FIN on a bare socket after %.1f ms, all %zu connections seen ended by %zu peers after "
      "%.1f ms,\n"
      "  an op without it after %.3f s; a socket that the children do hold stayed open until they were gone\n",
      static_cast<std::size_t>(own_sockets), kChildren, sockets, others, fin * 1000, connections, peers.size(),
      last * 1000, slowest_op);
  cluster.finish();
}

}  // namespace seaway::e2e
