#include "lab/model/packet.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "lab/model/virtio.h"

namespace seaway::lab {

namespace {

constexpr std::size_t kVirtio = sizeof(VirtioHeader);

template <class Header>
Header read(std::span<const std::byte> bytes, std::size_t at) {
  Header header;
  std::memcpy(&header, bytes.data() + at, sizeof header);
  return header;
}

// The sum of 16-bit words in network order, not yet complemented (RFC 1071).
std::uint16_t folded_sum(std::span<const std::byte> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << 8 | std::to_integer<std::uint32_t>(bytes[i + 1]);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

bool is_gso(const VirtioHeader& header) { return header.gso_type != VirtioHeader::kNoGso; }

}  // namespace

std::shared_ptr<const Packet> Packet::parse(std::span<const std::byte> bytes) {
  if (bytes.size() < kVirtio + sizeof(iphdr)) {
    return nullptr;
  }
  const auto virtio = read<VirtioHeader>(bytes, 0);
  const auto ip = read<iphdr>(bytes, kVirtio);
  const std::size_t ip_header = ip.ihl * 4U;
  if (ip.version != 4 || ip_header < sizeof ip || ntohs(ip.tot_len) != bytes.size() - kVirtio) {
    return nullptr;
  }
  auto packet = std::make_shared<Packet>();
  if (is_gso(virtio)) {
    if ((virtio.gso_type & ~VirtioHeader::kCongestionSeen) != VirtioHeader::kTcp4 || ip.protocol != IPPROTO_TCP ||
        virtio.gso_size == 0 || bytes.size() < kVirtio + ip_header + sizeof(tcphdr)) {
      return nullptr;
    }
    const std::size_t headers = ip_header + read<tcphdr>(bytes, kVirtio + ip_header).doff * 4U;
    if (headers < ip_header + sizeof(tcphdr) || bytes.size() <= kVirtio + headers) {
      return nullptr;
    }
    const std::size_t payload = bytes.size() - kVirtio - headers;
    packet->headers_ = headers;
    packet->segment_size_ = virtio.gso_size;
    packet->segments_ = static_cast<unsigned>((payload + virtio.gso_size - 1) / virtio.gso_size);
  }
  packet->ip_header_ = ip_header;
  packet->bytes_.assign(bytes.begin(), bytes.end());
  return packet;
}

std::uint32_t Packet::source() const { return ntohl(read<iphdr>(bytes_, kVirtio).saddr); }
std::uint32_t Packet::destination() const { return ntohl(read<iphdr>(bytes_, kVirtio).daddr); }

std::uint64_t Packet::segment_bytes(unsigned index) const {
  const std::size_t all = bytes_.size() - kVirtio;
  return headers_ == 0 ? all : headers_ + std::min(segment_size_, all - headers_ - index * segment_size_);
}

Packet::Part Packet::part(unsigned first, unsigned count) const {
  SEAWAY_ASSERT(count > 0 && first + count <= segments_, "a part lies within its packet");
  Part part;
  if (count == segments_) {
    part.head_size = kVirtio;
    std::memcpy(part.head.data(), bytes_.data(), kVirtio);
    part.body = std::span(bytes_).subspan(kVirtio);
    return part;
  }
  const auto payload = std::span(bytes_).subspan(kVirtio + headers_);
  const std::size_t skipped = first * segment_size_;
  part.body = payload.subspan(skipped, std::min(count * segment_size_, payload.size() - skipped));
  part.head_size = kVirtio + headers_;
  std::memcpy(part.head.data(), bytes_.data(), part.head_size);

  auto virtio = read<VirtioHeader>(part.head, 0);
  if (count == 1) {
    virtio.gso_type = VirtioHeader::kNoGso;
    virtio.gso_size = 0;
  }
  auto ip = read<iphdr>(part.head, kVirtio);
  ip.tot_len = htons(static_cast<std::uint16_t>(headers_ + part.body.size()));
  ip.id = htons(static_cast<std::uint16_t>(ntohs(ip.id) + first));
  ip.check = 0;
  std::memcpy(part.head.data() + kVirtio, &ip, sizeof ip);
  ip.check = htons(static_cast<std::uint16_t>(~folded_sum(std::span(part.head).subspan(kVirtio, ip_header_))));
  auto tcp = read<tcphdr>(part.head, kVirtio + ip_header_);
  tcp.th_seq = htonl(ntohl(tcp.th_seq) + static_cast<std::uint32_t>(skipped));
  if (first > 0) {
    tcp.th_flags &= static_cast<std::uint8_t>(~0x80);  // CWR
    virtio.gso_type &= static_cast<std::uint8_t>(~VirtioHeader::kCongestionSeen);
  }
  if (first + count < segments_) {
    tcp.th_flags &= static_cast<std::uint8_t>(~(TH_FIN | TH_PUSH));
  }
  const std::size_t length = headers_ - ip_header_ + part.body.size();
  std::array<std::byte, 8> addresses;
  std::memcpy(addresses.data(), &ip.saddr, 4);
  std::memcpy(addresses.data() + 4, &ip.daddr, 4);
  tcp.check = htons(folded_sum(addresses, static_cast<std::uint32_t>(IPPROTO_TCP + length)));
  std::memcpy(part.head.data(), &virtio, kVirtio);
  std::memcpy(part.head.data() + kVirtio, &ip, sizeof ip);
  std::memcpy(part.head.data() + kVirtio + ip_header_, &tcp, sizeof tcp);
  return part;
}

Piece whole(std::shared_ptr<const Packet> packet, Time now) {
  const unsigned count = packet->segments();
  return {std::move(packet), 0, count, now, now};
}

}  // namespace seaway::lab
