// What holds for every decoder: bytes that decode encode again to the same bytes, so nothing of them was lost, and what is
// decoded takes memory in proportion to them, whatever lengths they promise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "fuzz/support/allocations.h"
#include "fuzz/support/require.h"

namespace seaway::fuzz {

// An empty string in a list takes 4 bytes on the wire and 32 in memory, and a list that grows is copied several times.
inline constexpr std::size_t kBytesPerByte = 64;
inline constexpr std::size_t kBytesAlways = 4096;

// `skipped`: what the encoding begins with and the decoder is not given, as the length of a message.
template <class Decode, class Encode>
void check_decoder(std::span<const std::byte> bytes, std::size_t skipped, Decode&& decode, Encode&& encode) {
  const Watch watch;
  const auto message = decode(bytes);
  FUZZ_REQUIRE(watch.bytes() <= kBytesPerByte * bytes.size() + kBytesAlways, "memory out of proportion to the input");
  if (!message) {
    return;
  }
  const auto again = encode(*message);
  FUZZ_REQUIRE(again.size() == skipped + bytes.size() &&
                   std::equal(bytes.begin(), bytes.end(), again.begin() + static_cast<std::ptrdiff_t>(skipped)),
               "what was decoded is encoded as other bytes");
}

}  // namespace seaway::fuzz
