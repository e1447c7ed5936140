// What one member sends to each other in an exchange, or what it gets from each: so many bytes for each, one after the other in
// the caller's memory. A chunk lies in one portion. It travels under its number within the portion: both ends of a pair know that
// from the pair alone, whatever else each of them sends and gets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "base/ids.h"

namespace seaway::collective {

struct Portion {
  PeerId peer = kNoPeer;
  std::uint64_t start = 0;  // bytes
  std::uint64_t bytes = 0;
  std::uint32_t first = 0;  // its first chunk
  std::uint32_t chunks = 0;
};

struct Portions {
  std::vector<Portion> list;  // in the order of the caller's memory; none is empty
  std::uint32_t chunk_bytes = 1;
  std::uint64_t bytes = 0;
  std::uint32_t chunks = 0;

  void add(PeerId peer, std::uint64_t size) {
    if (size > 0) {
      const auto count = static_cast<std::uint32_t>((size + chunk_bytes - 1) / chunk_bytes);
      list.push_back({peer, bytes, size, chunks, count});
      bytes += size;
      chunks += count;
    }
  }
  const Portion* of(PeerId peer) const {
    const auto it = std::ranges::find(list, peer, &Portion::peer);
    return it == list.end() ? nullptr : &*it;
  }
  const Portion& with(std::uint32_t chunk) const {
    return *std::prev(std::ranges::upper_bound(list, chunk, {}, &Portion::first));
  }
  PeerId peer_of(std::uint32_t chunk) const { return with(chunk).peer; }
  std::uint64_t offset_of(std::uint32_t chunk) const {
    const Portion& portion = with(chunk);
    return portion.start + std::uint64_t{chunk - portion.first} * chunk_bytes;
  }
  std::uint32_t length_of(std::uint32_t chunk) const {
    const Portion& portion = with(chunk);
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(chunk_bytes, portion.start + portion.bytes - offset_of(chunk)));
  }
  std::uint32_t number_of(std::uint32_t chunk) const { return chunk - with(chunk).first; }
  // `chunks` if there is none.
  std::uint32_t chunk_of(PeerId peer, std::uint32_t number) const {
    const Portion* portion = of(peer);
    return portion == nullptr || number >= portion->chunks ? chunks : portion->first + number;
  }
  std::uint32_t chunks_for(PeerId peer) const {
    const Portion* portion = of(peer);
    return portion == nullptr ? 0 : portion->chunks;
  }
};

}  // namespace seaway::collective
