#include "lab/ground.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "lab/model/network.h"

namespace seaway::lab {

namespace {

constexpr const char* kDevice = "wan";
constexpr const char* kOwnSpace = "/proc/thread-self/ns/net";
// Packets between the site's kernel and us: what arrives while the lab is kept from running. Each may be of 64 KiB.
constexpr int kDeviceQueue = 4000;

std::string why(const std::string& what) { return what + ": " + std::strerror(errno); }

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// A root of this machine needs no user namespace; anybody else is root in one of his own, where the system lets him.
std::string leave_home() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWNET) == 0) {
    return "";
  }
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return why("no network namespace");
  }
  if (!write_file("/proc/self/setgroups", "deny") ||
      !write_file("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
      !write_file("/proc/self/gid_map", "0 " + std::to_string(group) + " 1")) {
    return why("no user namespace");
  }
  return "";
}

// Devices are configured by the old ioctls: a machine may lack `ip`.
class Configurer {
 public:
  explicit Configurer(const char* device) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::strcpy(request_.ifr_name, device);
  }
  ~Configurer() { ::close(socket_); }
  Configurer(const Configurer&) = delete;
  Configurer& operator=(const Configurer&) = delete;

  bool raise() {
    if (::ioctl(socket_, SIOCGIFFLAGS, &request_) != 0) {
      return false;
    }
    request_.ifr_flags |= IFF_UP;
    return ::ioctl(socket_, SIOCSIFFLAGS, &request_) == 0;
  }
  // Only root of the machine may; anybody else keeps the usual 500, and the report says what it lost.
  void set_queue(int packets) {
    request_.ifr_qlen = packets;
    ::ioctl(socket_, SIOCSIFTXQLEN, &request_);
  }
  bool set_address(unsigned long what, std::uint32_t address) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(address);
    std::memcpy(&request_.ifr_addr, &in, sizeof in);
    return ::ioctl(socket_, what, &request_) == 0;
  }

 private:
  int socket_;
  ifreq request_{};
};

}  // namespace

Ground::~Ground() {
  for (const Site& site : sites_) {
    for (const int fd : {site.tun, site.space, site.counters}) {
      if (fd >= 0) {
        ::close(fd);
      }
    }
  }
  if (home_ >= 0) {
    ::close(home_);
  }
}

std::string Ground::make(unsigned sites, const std::vector<Sysctl>& sysctls) {
  if (std::string problem = leave_home(); !problem.empty()) {
    return problem;
  }
  home_ = ::open(kOwnSpace, O_RDONLY | O_CLOEXEC);
  Configurer("lo").raise();
  sites_.resize(sites);
  for (unsigned index = 0; index < sites; ++index) {
    if (std::string problem = make_site(index, sysctls); !problem.empty()) {
      return problem;
    }
  }
  return go_home() ? "" : why("no way back to the first namespace");
}

// A TUN device belongs to the namespace in which it is made: one after the other the thread goes into each.
std::string Ground::make_site(unsigned index, const std::vector<Sysctl>& sysctls) {
  Site& site = sites_[index];
  if (unshare(CLONE_NEWNET) != 0) {
    return why("no network namespace");
  }
  site.space = ::open(kOwnSpace, O_RDONLY | O_CLOEXEC);
  site.counters = ::open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
  site.tun = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (site.tun < 0) {
    return why("/dev/net/tun");
  }
  ifreq request{};
  std::strcpy(request.ifr_name, kDevice);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  // Only with these the kernel hands over bursts of 64 KiB whose checksum is not computed.
  if (::ioctl(site.tun, TUNSETIFF, &request) != 0 || ::ioctl(site.tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) {
    return why("no TUN device");
  }
  // Its announcements would be the only packets of a quiet site. Not there on a machine without IPv6.
  write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
  for (const Sysctl& sysctl : sysctls) {
    if (!write_file("/proc/sys/" + sysctl.path, sysctl.value)) {
      return why("/proc/sys/" + sysctl.path + " does not take \"" + sysctl.value + "\"");
    }
  }
  Configurer wan(kDevice);
  wan.set_queue(kDeviceQueue);
  if (!Configurer("lo").raise() || !wan.set_address(SIOCSIFADDR, Network::address(index)) ||
      !wan.set_address(SIOCSIFNETMASK, 0xffffff00) || !wan.raise()) {
    return why("a TUN device cannot be configured");
  }
  return "";
}

std::string Ground::space(unsigned site) const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(sites_[site].space);
}

bool Ground::enter(unsigned site) const { return setns(sites_[site].space, CLONE_NEWNET) == 0; }
bool Ground::go_home() const { return setns(home_, CLONE_NEWNET) == 0; }

std::uint64_t Ground::dropped_by_kernel(unsigned site) const {
  std::array<char, 4096> text{};
  if (::pread(sites_[site].counters, text.data(), text.size() - 1, 0) <= 0) {
    return 0;
  }
  const char* line = std::strstr(text.data(), kDevice);
  unsigned long long dropped = 0;
  // Eight figures of what it received, then bytes, packets, errors and drops of what it sent.
  if (line == nullptr || std::sscanf(line, "wan: %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &dropped) != 1) {
    return 0;
  }
  return dropped;
}

std::string Ground::address(unsigned site) {
  const in_addr address{htonl(Network::address(site))};
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &address, text.data(), text.size());
  return text.data();
}

}  // namespace seaway::lab
