// virtio's header of a packet, as TUN devices use it (VIRTIO 1.2, 5.1.6). Linux' own <linux/virtio_net.h> is no C++. In host
// order.
#pragma once

#include <cstdint>

namespace seaway::lab {

struct VirtioHeader {
  static constexpr std::uint8_t kNeedsChecksum = 1;  // in flags
  static constexpr std::uint8_t kNoGso = 0;          // in gso_type
  static constexpr std::uint8_t kTcp4 = 1;
  static constexpr std::uint8_t kCongestionSeen = 0x80;  // an addition to kTcp4: the first segment has CWR

  std::uint8_t flags = 0;
  std::uint8_t gso_type = kNoGso;
  std::uint16_t header_length = 0;
  std::uint16_t gso_size = 0;         // payload of each segment but the last
  std::uint16_t checksum_start = 0;   // from the IP header on
  std::uint16_t checksum_offset = 0;  // of its place, from checksum_start on
};
static_assert(sizeof(VirtioHeader) == 10);

}  // namespace seaway::lab
