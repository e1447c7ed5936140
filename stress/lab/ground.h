// What the lab stands on: a network namespace for each site, with a TUN device `wan` whose other end is ours. All of it lives in
// namespaces of this program and is gone with it and with what it started; nothing outside is touched. Its user needs to be
// root, or allowed to be root in a user namespace of his own, and to open /dev/net/tun.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seaway::lab {

class Ground {
 public:
  struct Sysctl {
    std::string path;  // below /proc/sys: "net/ipv4/tcp_congestion_control"
    std::string value;
  };

  Ground() = default;
  ~Ground();
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  // "" or why the system does not allow it. Before the program has a second thread.
  std::string make(unsigned sites, const std::vector<Sysctl>& sysctls);

  int tun(unsigned site) const { return sites_[site].tun; }
  // A path by which others enter the site's namespace: setns, or nsenter --net=PATH.
  std::string space(unsigned site) const;
  // Moves the calling thread into it, and back.
  bool enter(unsigned site) const;
  bool go_home() const;
  // Packets that the site's own kernel dropped before they came to us: the lab was too slow.
  std::uint64_t dropped_by_kernel(unsigned site) const;

  static std::string address(unsigned site);  // "10.78.0.1"

 private:
  struct Site {
    int tun = -1;
    int space = -1;
    int counters = -1;  // /proc/net/dev of that namespace
  };
  std::string make_site(unsigned index, const std::vector<Sysctl>& sysctls);

  int home_ = -1;
  std::vector<Site> sites_;
};

}  // namespace seaway::lab
