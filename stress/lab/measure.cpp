#include "lab/measure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "lab/model/network.h"
#include "lab/programs.h"

namespace seaway::lab {

namespace {

constexpr unsigned kConnects = 5;
constexpr unsigned kSlowStart = 2;  // seconds

sockaddr_in socket_address(unsigned site, in_port_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(Network::address(site));
  address.sin_port = port;
  return address;
}

// A socket belongs to the namespace in which it is made.
int socket_in(const Ground& ground, unsigned site) {
  ground.enter(site);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ground.go_home();
  return fd;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The number behind the first `key` after `section` in iperf3's JSON; negative when there is none.
double number_after(const std::string& json, const std::string& section, const std::string& key) {
  const std::size_t begin = json.find("\"" + section + "\"");
  const std::string name = "\"" + key + "\":";
  const std::size_t at = begin == std::string::npos ? begin : json.find(name, begin);
  return at == std::string::npos ? -1 : std::atof(json.c_str() + at + name.size());
}

std::string text_after(const std::string& json, const std::string& key) {
  const std::string name = "\"" + key + "\":";
  std::size_t at = json.find(name);
  at = at == std::string::npos ? at : json.find('"', at + name.size());
  const std::size_t end = at == std::string::npos ? at : json.find('"', at + 1);
  return end == std::string::npos ? "" : json.substr(at + 1, end - at - 1);
}

}  // namespace

double measure_rtt_ms(const Ground& ground, unsigned from, unsigned to, unsigned connects) {
  const int listener = socket_in(ground, to);
  sockaddr_in at = socket_address(to, 0);
  socklen_t length = sizeof at;
  std::vector<double> times;
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 &&
      ::listen(listener, static_cast<int>(connects)) == 0 &&
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &length) == 0) {
    for (unsigned i = 0; i < connects; ++i) {
      const int fd = socket_in(ground, from);
      const timeval patience{5, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      const double began = seconds_now();
      if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) {
        times.push_back((seconds_now() - began) * 1000);
      }
      ::close(fd);
    }
  }
  ::close(listener);
  return times.size() < connects ? -1 : *std::min_element(times.begin(), times.end());
}

std::string measure(const Ground& ground, const Measurement& what, Measured& measured) {
  measured.rtt_ms = measure_rtt_ms(ground, what.from, what.to, kConnects);
  if (measured.rtt_ms < 0) {
    return "no connection gets through";
  }
  Helper server(ground, what.to, {"iperf3", "--server", "--one-off", "--forceflush"});
  if (!server.until("listening")) {
    return "iperf3 does not start; is it installed? script/bootstrap does that";
  }
  std::vector<std::string> words{"iperf3", "--client", Ground::address(what.to), "--json"};
  for (const auto& [name, value] :
       {std::pair("--parallel", what.streams), std::pair("--time", what.seconds), std::pair("--omit", kSlowStart)}) {
    words.insert(words.end(), {name, std::to_string(value)});
  }
  if (!what.congestion.empty()) {
    words.insert(words.end(), {"--congestion", what.congestion});
  }
  Helper client(ground, what.from, words);
  std::string json;
  if (!client.finish(json)) {
    return "iperf3 failed: " + text_after(json, "error");
  }
  measured.received_mbit = number_after(json, "sum_received", "bits_per_second") / 1e6;
  measured.retransmitted = number_after(json, "sum_sent", "retransmits");
  measured.congestion = text_after(json, "sender_tcp_congestion");
  return measured.received_mbit > 0 ? "" : "iperf3 said nothing of what it received";
}

}  // namespace seaway::lab
