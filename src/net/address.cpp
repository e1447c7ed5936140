#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace seaway::net {

namespace {

const sockaddr_in& as_v4(const SocketAddress& address) { return reinterpret_cast<const sockaddr_in&>(address.storage); }
const sockaddr_in6& as_v6(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr_in6&>(address.storage);
}

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text, std::string& problem) {
  const std::string quoted = "\"" + std::string(text) + "\"";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    problem = quoted + " has no port: write HOST:PORT, as in 10.0.0.1:7117 or [::1]:7117";
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    problem = quoted + " is an IPv6 address without brackets: write [ADDRESS]:PORT";
    return std::nullopt;
  }
  HostPort address{std::string(host), 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    problem = quoted + " has no port between 0 and 65535 after its last colon";
    return std::nullopt;
  }
  // Brackets inside would be read otherwise than they are written; a NUL ends what inet_pton sees.
  const bool is_printable = std::all_of(host.begin(), host.end(), [](char c) { return c > ' ' && c < 127; });
  if (host.size() > 253 || !is_printable || host.find_first_of("/\\[]") != std::string_view::npos) {
    problem = quoted + " names no host";
    return std::nullopt;
  }
  return address;
}

std::string to_string(const HostPort& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

HostPort host_port(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_INET) {
    inet_ntop(AF_INET, &as_v4(address).sin_addr, text, sizeof text);
    return {text, ntohs(as_v4(address).sin_port)};
  }
  const sockaddr_in6& v6 = as_v6(address);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  }
  return {text, ntohs(v6.sin6_port)};
}

std::string to_string(const SocketAddress& address) { return to_string(host_port(address)); }

bool is_loopback(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    return (ntohl(as_v4(address).sin_addr.s_addr) >> 24) == 127;
  }
  const in6_addr& v6 = as_v6(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

bool is_unspecified(const SocketAddress& address) {
  return address.storage.ss_family == AF_INET ? as_v4(address).sin_addr.s_addr == INADDR_ANY
                                              : IN6_IS_ADDR_UNSPECIFIED(&as_v6(address).sin6_addr);
}

std::string share_of(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    return {reinterpret_cast<const char*>(&as_v4(address).sin_addr), sizeof(in_addr)};
  }
  if (address.storage.ss_family != AF_INET6) {
    return "";
  }
  const auto* bytes = reinterpret_cast<const char*>(as_v6(address).sin6_addr.s6_addr);
  constexpr std::size_t kMappedAt = 12;
  return IN6_IS_ADDR_V4MAPPED(&as_v6(address).sin6_addr) ? std::string(bytes + kMappedAt, sizeof(in_addr))
                                                         : std::string(bytes, 8);
}

SocketAddress local_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  return address;
}

SocketAddress remote_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  return address;
}

std::optional<SocketAddress> numeric_address(const HostPort& address) {
  SocketAddress result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.length = sizeof v4;
    return result;
  }
  if (inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.length = sizeof v6;
    return result;
  }
  return std::nullopt;
}

}  // namespace seaway::net
