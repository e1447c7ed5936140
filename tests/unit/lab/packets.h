// Packets as a TUN device gives them, made by hand.
#pragma once

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/random.h"
#include "lab/model/network.h"
#include "lab/model/packet.h"
#include "lab/model/virtio.h"

namespace seaway::lab {

using Bytes = std::vector<std::byte>;

inline constexpr std::size_t kHeaders = 20 + 32;  // TCP with its timestamps
inline constexpr std::size_t kMss = 1448;         // so that a full segment is a packet of 1500 bytes

// The sum of RFC 1071, over bytes of even or odd length.
inline std::uint16_t internet_sum(std::span<const std::byte> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

inline std::uint16_t pseudo_sum(const iphdr& ip, std::size_t tcp_length) {
  std::uint32_t sum = IPPROTO_TCP + static_cast<std::uint32_t>(tcp_length);
  for (const std::uint32_t address : {ntohl(ip.saddr), ntohl(ip.daddr)}) {
    sum += (address >> 16) + (address & 0xffff);
  }
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}

// A burst of TCP with `payload` bytes of drawn content; no burst when they fit into one segment.
inline Bytes tcp_bytes(unsigned from, unsigned to, std::size_t payload, std::uint8_t flags = TH_ACK,
                       std::uint64_t seed = 1) {
  VirtioHeader virtio;
  virtio.flags = VirtioHeader::kNeedsChecksum;
  virtio.checksum_start = 20;
  virtio.checksum_offset = 16;
  if (payload > kMss) {
    virtio.gso_type = VirtioHeader::kTcp4 | ((flags & 0x80) != 0 ? VirtioHeader::kCongestionSeen : 0);
    virtio.gso_size = kMss;
    virtio.header_length = kHeaders;
  }
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.tot_len = htons(static_cast<std::uint16_t>(kHeaders + payload));
  ip.id = htons(0xfffe);
  ip.frag_off = htons(0x4000);
  ip.ttl = 64;
  ip.protocol = IPPROTO_TCP;
  ip.saddr = htonl(Network::address(from));
  ip.daddr = htonl(Network::address(to));
  const std::span<const std::byte> ip_bytes = std::as_bytes(std::span(&ip, 1));
  ip.check = htons(static_cast<std::uint16_t>(~internet_sum(ip_bytes)));
  tcphdr tcp{};
  tcp.th_sport = htons(40000);
  tcp.th_dport = htons(5201);
  tcp.th_seq = htonl(0xfffffe00);
  tcp.th_off = 8;
  tcp.th_flags = flags;
  tcp.th_sum = htons(pseudo_sum(ip, 32 + payload));
  Bytes bytes(sizeof virtio + kHeaders + payload);
  std::memcpy(bytes.data(), &virtio, sizeof virtio);
  std::memcpy(bytes.data() + 10, &ip, sizeof ip);
  std::memcpy(bytes.data() + 30, &tcp, sizeof tcp);
  Random random(seed);
  for (std::size_t i = 50; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(random.below(256));
  }
  return bytes;
}

inline std::shared_ptr<const Packet> tcp(unsigned from, unsigned to, std::size_t payload) {
  return Packet::parse(tcp_bytes(from, to, payload));
}
// Of so many full segments, 1500 bytes each.
inline std::shared_ptr<const Packet> burst(unsigned segments, unsigned from = 0, unsigned to = 1) {
  return tcp(from, to, segments * kMss);
}

}  // namespace seaway::lab
