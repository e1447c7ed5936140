// HOST:PORT, as written by people and as the kernel has it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace seaway::net {

struct HostPort {
  std::string host;  // a name or a number, without brackets; "" is every address
  std::uint16_t port = 0;
};

// "HOST:PORT", "[IPv6]:PORT", ":PORT". nullopt, and `problem` in words, for anything else.
std::optional<HostPort> parse_host_port(std::string_view text, std::string& problem);
std::string to_string(const HostPort& address);  // brackets round an IPv6 number

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "10.0.0.1:7117", "[::1]:7117"; an IPv4 address that is mapped into IPv6 is written as IPv4.
std::string to_string(const SocketAddress& address);
HostPort host_port(const SocketAddress& address);
bool is_loopback(const SocketAddress& address);
bool is_unspecified(const SocketAddress& address);  // 0.0.0.0 or ::
// What one customer of a network has: an IPv4 address, the first 64 bits of an IPv6 one. "" for what is neither.
std::string share_of(const SocketAddress& address);

SocketAddress local_address(int fd);
SocketAddress remote_address(int fd);

// A number, no name: nothing is looked up.
std::optional<SocketAddress> numeric_address(const HostPort& address);

}  // namespace seaway::net
