// The check of a frame's header: a hash of its bytes, the check's own excluded. It finds a stream that was cut or shifted, not
// an attacker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "hash/hash.h"
#include "wire/frame.h"

namespace seaway::runtime {

inline constexpr std::size_t kCheckOffset = 36;

using HeaderBytes = std::array<std::byte, wire::kFrameHeaderBytes>;

inline std::uint32_t check_of(std::span<const std::byte, wire::kFrameHeaderBytes> header) {
  HeaderBytes bytes;
  std::memcpy(bytes.data(), header.data(), bytes.size());
  std::memset(bytes.data() + kCheckOffset, 0, sizeof(std::uint32_t));
  return static_cast<std::uint32_t>(hash64(bytes));
}

inline HeaderBytes encode_checked(const wire::FrameHeader& header) {
  HeaderBytes bytes = wire::encode(header);
  const std::uint32_t check = check_of(bytes);
  std::memcpy(bytes.data() + kCheckOffset, &check, sizeof check);
  return bytes;
}

inline bool is_intact(std::span<const std::byte, wire::kFrameHeaderBytes> header) {
  std::uint32_t said = 0;
  std::memcpy(&said, header.data() + kCheckOffset, sizeof said);
  return said == check_of(header);
}

}  // namespace seaway::runtime
