#include "chaos/lab.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace seaway::chaos {

namespace {

constexpr const char* kPath = "PATH=\"$PATH:/usr/sbin:/sbin\"; ";  // a user's often lacks these
constexpr Host kHosts = kMasterHost + 1;
constexpr const char* kBridge = "10.77.0.254";  // strangers come from there
// A record of a few KiB, and SQLite's log of at most some MiB beside it.
constexpr const char* kDiskSize = "size=16m,mode=0700";

struct Said {
  bool ok = false;
  std::string text;
};
Said shell(const std::string& command) {
  Said said;
  std::FILE* pipe = popen((kPath + ("{ " + command) + "; } 2>&1").c_str(), "re");
  if (pipe == nullptr) {
    return said;
  }
  std::array<char, 4096> buffer;
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    said.text += buffer.data();
  }
  said.ok = pclose(pipe) == 0;
  return said;
}

// A namespace's own loopback is down at first. Not by `ip`, which may not be there: then everything is on it.
void raise_loopback() {
  const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  ::ioctl(any, SIOCGIFFLAGS, &request);
  request.ifr_flags |= IFF_UP;
  ::ioctl(any, SIOCSIFFLAGS, &request);
  ::close(any);
}

std::string why(const std::string& what) { return what + ": " + std::strerror(errno); }

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

}  // namespace

std::string name_of(Host host) {
  return host == kMasterHost ? "master" : std::string("r").append(std::to_string(host));
}

Lab::Lab(std::string folder) : folder_(std::move(folder)), state_(folder_ + "/state") {
  mkdir(state_.c_str(), 0700);
  const std::string alone = enter_namespaces();
  why_not_[Ability::network] = alone.empty() ? make_network() : alone;
  why_not_[Ability::disk] = alone.empty() ? make_disk() : alone;
  why_not_[Ability::clock] = make_clocks();
}

Lab::~Lab() { umount2(state_.c_str(), MNT_DETACH); }

// --- Making it ------------------------------------------------------------------------------------------------------

// A root of this machine needs no user namespace; anybody else is root in one of his own, where the system lets him.
std::string Lab::enter_namespaces() const {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
      return why("no namespaces of its own");
    }
    if (!write_file("/proc/self/setgroups", "deny") ||
        !write_file("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
        !write_file("/proc/self/gid_map", "0 " + std::to_string(group) + " 1")) {
      return why("no user namespace");
    }
  }
  raise_loopback();
  // `ip netns` keeps its names in /run/netns; these are nobody else's.
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") != 0) {
    return why("no mounts of its own");
  }
  return "";
}

std::string Lab::make_network() const {
  std::string commands =
      "set -e; for tool in ip nft ss nsenter; do command -v $tool >/dev/null || { echo no $tool; exit 1; }; done; "
      "ip link add name sw type bridge; ip addr add " +
      std::string(kBridge) + "/24 dev sw; ip link set sw up; ";
  for (Host host = 0; host < kHosts; ++host) {
    const std::string name = name_of(host);
    commands += "ip netns add " + name + "; ip link add name " + name + " type veth peer name eth0 netns " + name +
                "; ip link set dev " + name + " master sw up; ip -n " + name + " link set lo up; ip -n " + name +
                " addr add 10.77.0." + std::to_string(host + 1) + "/24 dev eth0; ip -n " + name + " link set eth0 up; ";
  }
  commands +=
      "nft add table bridge lab; nft 'add chain bridge lab drops { type filter hook forward priority 0; }'; "
      "nsenter --net=/run/netns/r0 ss -K dst 10.77.0.253";
  const Said said = shell(commands);
  return said.ok ? "" : "no network of its own: " + said.text.substr(0, said.text.find('\n'));
}

std::string Lab::make_disk() const {
  return mount("tmpfs", state_.c_str(), "tmpfs", 0, kDiskSize) == 0 ? "" : why("no file system of its own");
}

std::string Lab::make_clocks() const {
  for (Host host = 0; host < kHosts; ++host) {
    set_clock(host, 0);
  }
  return access(SEAWAY_CLOCK_SHIM, R_OK) == 0 ? "" : why(SEAWAY_CLOCK_SHIM);
}

// --- Where processes are --------------------------------------------------------------------------------------------

std::string Lab::ip(Host host) const {
  return can(Ability::network) ? "10.77.0." + std::to_string(host + 1) : "127.0.0.1";
}

std::unique_ptr<support::Process> Lab::start(Host host, const std::string& program, std::vector<std::string> words,
                                             support::Process::Environment environment) const {
  if (can(Ability::clock)) {
    environment.insert(environment.end(), {{"LD_PRELOAD", SEAWAY_CLOCK_SHIM}, {"SEAWAY_WALL_CLOCK", clock_file(host)}});
  }
  if (!can(Ability::network)) {
    return std::make_unique<support::Process>(program, words, environment);
  }
  // nsenter becomes the program: signals meet that one.
  words.insert(words.begin(), {"--net=/run/netns/" + name_of(host), "--", program});
  return std::make_unique<support::Process>("/usr/bin/nsenter", words, environment);
}

// --- What is done to them -------------------------------------------------------------------------------------------

void Lab::drop(const std::vector<Edge>& edges) {
  dropped_.insert(edges.begin(), edges.end());
  write_firewall();
}

void Lab::let_pass(const std::vector<Edge>& edges) {
  for (const Edge& edge : edges) {
    if (const auto one = dropped_.find(edge); one != dropped_.end()) {
      dropped_.erase(one);
    }
  }
  write_firewall();
}

// On the bridge, where a packet vanishes without its sender being told.
void Lab::write_firewall() const {
  std::string rules = "flush chain bridge lab drops\n";
  for (const auto& [from, to] : dropped_) {
    rules += "add rule bridge lab drops ip saddr " + ip(from) + " ip daddr " + ip(to) + " drop\n";
  }
  const std::string file = folder_ + "/firewall";
  write_file(file, rules);
  if (const Said said = shell("nft -f " + file); !said.ok) {
    throw std::runtime_error("nft: " + said.text);
  }
}

std::vector<Lab::Connection> Lab::connections(Host host) const {
  std::istringstream lines(shell("nsenter --net=/run/netns/" + name_of(host) + " ss -Htn state established").text);
  std::vector<Connection> list;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string queued;
    std::string unsent;
    Connection connection;
    if (words >> queued >> unsent >> connection.local >> connection.remote && !connection.remote.starts_with(kBridge)) {
      list.push_back(connection);
    }
  }
  return list;
}

void Lab::reset(Host host, const Connection& connection) const {
  shell("nsenter --net=/run/netns/" + name_of(host) + " ss -K src " + connection.local + " dst " + connection.remote);
}

void Lab::fill_disk() const {
  const int fd = ::open(filler().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const std::vector<char> nothing(1 << 16);
  // The last bytes too: a page of SQLite's may be smaller than a piece.
  for (std::size_t piece = nothing.size(); fd >= 0 && piece > 0;) {
    if (::write(fd, nothing.data(), piece) <= 0) {
      piece /= 2;
    }
  }
  ::close(fd);
}

void Lab::empty_disk() const { ::unlink(filler().c_str()); }

std::string Lab::clock_file(Host host) const { return folder_ + "/clock-" + name_of(host); }

// Written in place: the processes have it mapped.
void Lab::set_clock(Host host, std::int64_t offset_s) const {
  const std::int64_t offset_ns = offset_s * 1'000'000'000;
  const int fd = ::open(clock_file(host).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  [[maybe_unused]] const ssize_t written = ::pwrite(fd, &offset_ns, sizeof offset_ns, 0);
  ::close(fd);
}

}  // namespace seaway::chaos
