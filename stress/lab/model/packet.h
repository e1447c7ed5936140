// A packet as a TUN device with IFF_VNET_HDR gives it: a virtio header, then an IPv4 packet, which may be a GSO packet: up to
// 64 KiB of one TCP connection under one header, that a network card would cut into segments. The lab thinks in these segments
// and keeps them together as long as nothing happens to one of them; `part` makes of a range of them a packet of its own.
//
//   in the header of a part   is that of the packet, but
//   IP length, checksum       of the part
//   IP id, TCP sequence       advanced by the segments before it, by their bytes
//   TCP CWR                   on the first segment only
//   TCP FIN, PSH              on the last segment only
//   TCP checksum              still to be completed (virtio's NEEDS_CSUM): the sum of the pseudo header, with the part's length
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/time.h"

namespace seaway::lab {

class Packet {
 public:
  // Nothing when it is not IPv4, or does not keep to its own lengths.
  static std::shared_ptr<const Packet> parse(std::span<const std::byte> bytes);

  std::uint32_t source() const;       // in host order
  std::uint32_t destination() const;  // in host order
  unsigned segments() const { return segments_; }
  // On the wire: from its IP header on.
  std::uint64_t segment_bytes(unsigned index) const;

  // What is to be written to a TUN device: head, then body. The body is this packet's memory.
  struct Part {
    static constexpr std::size_t kMostHead = 10 + 60 + 60;  // virtio, IP, TCP
    std::array<std::byte, kMostHead> head;
    std::size_t head_size = 0;
    std::span<const std::byte> body;
  };
  Part part(unsigned first, unsigned count) const;

 private:
  std::vector<std::byte> bytes_;
  std::size_t ip_header_ = 0;     // its length
  std::size_t headers_ = 0;       // IP and TCP; 0 when it is no GSO packet
  std::size_t segment_size_ = 0;  // payload of each segment but the last
  unsigned segments_ = 1;
};

// Some consecutive segments of a packet that move together, and when the first and the last of them are wholly there. Those in
// between come at even distances.
struct Piece {
  std::shared_ptr<const Packet> packet;
  unsigned first = 0;
  unsigned count = 0;
  Time begin = 0;
  Time end = 0;
};
Piece whole(std::shared_ptr<const Packet> packet, Time now);

}  // namespace seaway::lab
