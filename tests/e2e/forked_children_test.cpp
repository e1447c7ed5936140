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
#include "support/stranger.h"

namespace seaway::e2e {

namespace {

using support::Stranger;

constexpr unsigned kWorld = 5;
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

std::size_t sockets(pid_t pid) {
  const auto list = descriptors(pid);
  return static_cast<std::size_t>(
      std::count_if(list.begin(), list.end(), [](const std::string& what) { return what.starts_with("socket:"); }));
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

struct Measured {
  double fin = 0;
  double links = 0;  // the last connection's end, at the last peer
  double op = 0;
  std::size_t connections = 0;
};

Measured kill_a_parent(Cluster& cluster, Worker& victim, const std::vector<Worker*>& peers) {
  Held held;
  victim.process().say("hold " + std::to_string(held.port()));
  cluster.wait_for("the worker's own connection", kPatience, [&] { return held.accept(); });
  // Accepted before the fork, so that the children would inherit it. From here on the lobby's 5 s run.
  const std::size_t sockets_before = sockets(victim.process().pid());
  const Stranger stranger(victim.lives.back().address);
  REQUIRE(stranger.ok());
  cluster.wait_for("the victim to accept", kPatience, [&] { return sockets(victim.process().pid()) > sockets_before; });
  victim.process().say("fork " + std::to_string(kChildren));
  cluster.wait_for("the children", kPatience, [&] { return victim.children.size() == kChildren; });
  cluster.wait_for_ops({&victim}, 1, kPatience);  // the run does not mind
  for (const pid_t child : victim.children) {
    CHECK(sockets(child) == 1);  // the program's own
  }
  CHECK(sockets(victim.process().pid()) > 1 + peers.size());

  Measured measured;
  double killed = 0;
  measured.fin = kill_and_watch(cluster, victim, stranger, killed);
  std::string without;
  for (const Worker* peer : peers) {
    without += std::to_string(peer->replica());
  }
  cluster.wait_for("an op without the victim", kPatience, [&] {
    return std::all_of(peers.begin(), peers.end(),
                       [&](const Worker* peer) { return peer->ops.back().contributors == without; });
  });
  for (const Worker* peer : peers) {
    const std::vector<double> ends = link_ends(*peer, victim.lives.back().peer, killed);
    REQUIRE(!ends.empty());
    measured.connections += ends.size();
    measured.links = std::max(measured.links, *std::max_element(ends.begin(), ends.end()));
    const auto op =
        std::find_if(peer->ops.begin(), peer->ops.end(), [&](const Op& one) { return one.contributors == without; });
    measured.op = std::max(measured.op, op->time - killed);
  }
  for (const pid_t child : victim.children) {
    CHECK(::kill(child, 0) == 0);  // all of that while they live
  }
  CHECK_FALSE(held.is_closed());
  for (const pid_t child : victim.children) {
    ::kill(child, SIGKILL);
  }
  cluster.wait_for("the inherited socket to close with the last child", kPatience, [&] { return held.is_closed(); });
  return measured;
}

}  // namespace

// Three times, and the middle one counts: one turn of a busy scheduler is as long as what is allowed, whereas a descriptor
// that a child keeps is kept every time, and FIN does not come at all.
TEST_CASE(
    "a worker with 4 live children is killed: its peers see FIN at once, for the children hold nothing of seaway") {
  Cluster cluster(kWorld, {.mib = 1, .ops = 1});
  std::vector<Worker*> peers;
  for (const auto& worker : cluster.workers()) {
    peers.push_back(worker.get());
  }
  cluster.wait_for_ops(peers, 10, kPatience);
  std::vector<double> fins;
  std::vector<double> links;
  std::printf("workers with %d live children each, which hold no socket but the program's own, are killed:\n",
              kChildren);
  while (peers.size() > 2) {
    Worker& victim = *peers.back();
    peers.pop_back();
    const Measured measured = kill_a_parent(cluster, victim, peers);
    fins.push_back(measured.fin);
    links.push_back(measured.links);
    std::printf(
        "  FIN on a bare socket after %.1f ms, all %zu connections seen ended by %zu peers after %.1f ms, an op "
        "without it "
        "after %.3f s\n",
        measured.fin * 1000, measured.connections, peers.size(), measured.links * 1000, measured.op);
  }
  std::printf("  a socket that children do hold stayed open, each time, until they were gone\n");
  std::sort(fins.begin(), fins.end());
  std::sort(links.begin(), links.end());
  CHECK(fins[fins.size() / 2] < kMostFin);
  CHECK(links[links.size() / 2] < kMostFin);
  cluster.finish();
}

}  // namespace seaway::e2e
