#include "runtime/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/assert.h"

namespace seaway::runtime {

using collective::Buffer;
using collective::Region;

void Memory::Free::operator()(std::byte* memory) const {
  if (place.kind == Place::Kind::host) {
    std::free(memory);
  } else {
    device::deallocate(memory, place.device);
  }
}

Memory::Block Memory::allocate(std::uint64_t bytes, const Place& place) {
  constexpr std::size_t kCacheLine = 64;
  const std::size_t rounded = (std::max<std::uint64_t>(bytes, 1) + kCacheLine - 1) / kCacheLine * kCacheLine;
  void* const memory = place.kind == Place::Kind::host ? std::aligned_alloc(kCacheLine, rounded)
                                                       : device::allocate(rounded, place.device);
  return {static_cast<std::byte*>(memory), Free{place}};
}

Memory::Block Memory::allocated(std::uint64_t bytes, const Place& place) {
  Block block = allocate(bytes, place);
  if (!block) {
    throw std::bad_alloc();
  }
  return block;
}

void Memory::add(OpHandle op, Sides sides) {
  for (Pieces* side : {&sides.in, &sides.out, &sides.residual}) {
    std::erase_if(side->spans, [](const Span& span) { return span.bytes == 0; });
    side->bytes = 0;
    for (const Span& span : side->spans) {
      SEAWAY_ASSERT(span.bytes % side->blocks == 0, "the blocks of a piece are equal");
      side->bytes += span.bytes;
    }
  }
  const std::uint64_t scratch_bytes = std::max(sides.in.bytes, sides.out.bytes);
  Buffers& buffers = ops_[op];
  buffers.device = sides.device;
  buffers.in = std::move(sides.in);
  buffers.out = std::move(sides.out);
  buffers.residual = std::move(sides.residual);
  const bool has_device = sides.device != device::kHost;
  const Place crossing{has_device ? Place::Kind::pinned : Place::Kind::host, device::kHost};
  const Place there{Place::Kind::device, sides.device};
  if (has_device && std::exchange(slot_place_, crossing) != crossing) {
    spare_slots_.clear();
  }
  // What was held for it is there already, and holds the result: where the device reaches it, if there is one.
  const auto make = [&](Own& own, std::uint64_t length, const Place& place) {
    if (own.block && has_device) {
      Own held = std::exchange(own, {own.bytes, nullptr, crossing});
      std::memcpy(this->own(own), held.block.get(), held.bytes);
      give_back(held);
    }
    own.place = own.block ? own.block.get_deleter().place : place;
    own.bytes = own.block ? own.bytes : length;
  };
  make(buffers.scratch, scratch_bytes, sides.lands_on_device ? there : crossing);
  make(buffers.coded_in, sides.coded_in, crossing);
  make(buffers.mirror, sides.mirror, there);
  make(buffers.coded_out, sides.coded_out, crossing);
  make(buffers.partial, sides.partial, crossing);
}

void Memory::hold(OpHandle op, std::uint64_t scratch_bytes, std::uint64_t coded_bytes) {
  Buffers& buffers = ops_[op];
  buffers.scratch.bytes = scratch_bytes;
  buffers.coded_out.bytes = coded_bytes;
}

void Memory::remove(OpHandle op) {
  const auto it = ops_.find(op);
  if (it == ops_.end()) {
    return;
  }
  for (Own* taken : it->second.own()) {
    give_back(*taken);
  }
  ops_.erase(it);
}

std::uint64_t Memory::taken(OpHandle op) {
  const auto it = ops_.find(op);
  std::uint64_t bytes = 0;
  if (it != ops_.end()) {
    for (const Own* own : it->second.own()) {
      bytes += own->block ? own->bytes : 0;
    }
  }
  return bytes;
}

Memory::Buffers& Memory::buffers(OpHandle op) {
  const auto it = ops_.find(op);
  SEAWAY_ASSERT(it != ops_.end(), "a region belongs to an op that has not ended");
  return it->second;
}

// Pinning memory, unpinning it and freeing a device's hold up the device's other work: ops that come again have what they had.
std::uint64_t Memory::kept_at(const Place& place, const Spare& spares) const {
  return place.kind == Place::Kind::host ? keep_ : std::max(keep_, spares.most);
}

// A spare one may be larger than what is asked for, but not so much that it would be missed elsewhere: unless one that is made would not
// be kept beside it, and would be made anew each time.
Memory::Block Memory::spare_for(Own& own) {
  Spare& spares = spare_[own.place];
  const auto spare = spares.blocks.lower_bound(own.bytes);
  const bool is_kept = own.place.kind == Place::Kind::host || spares.bytes + own.bytes <= kept_at(own.place, spares);
  if (spare == spares.blocks.end() || (spare->first > own.bytes * 2 && is_kept)) {
    return nullptr;
  }
  own.bytes = spare->first;
  Block block = std::move(spare->second);
  spares.bytes -= spare->first;
  spares.blocks.erase(spare);
  return block;
}

void Memory::take(Own& own) {
  own.block = spare_for(own);
  if (!own.block) {
    own.block = allocate(own.bytes, own.place);
  }
  Spare& spares = spare_[own.place];
  if (!own.block && !spares.blocks.empty()) {
    spares.blocks.clear();
    spares.bytes = 0;
    own.block = allocate(own.bytes, own.place);
  }
  if (own.block) {
    spares.used += own.bytes;
    spares.most = std::max(spares.most, spares.used);
  }
}

// Whether it is on a device. That may have no memory left which its user does not need: then the host's serves, and the jobs run there.
bool Memory::is_there(Own& own) {
  if (own.place.kind == Place::Kind::device && !own.block) {
    take(own);
    own.place = own.block ? own.place : Place{Place::Kind::pinned, device::kHost};
  }
  return own.place.kind == Place::Kind::device;
}

std::byte* Memory::own(Own& own) {
  if (!is_there(own) && !own.block) {
    take(own);
    if (!own.block) {
      throw std::bad_alloc();
    }
  }
  return own.block.get();
}

// The larger ones are dearer to make anew.
void Memory::give_back(Own& own) {
  if (!own.block) {
    return;
  }
  Spare& spares = spare_[own.place];
  spares.used -= own.bytes;
  const std::uint64_t keep = kept_at(own.place, spares);
  if (own.bytes > keep) {
    return;
  }
  while (spares.bytes + own.bytes > keep && spares.blocks.begin()->first < own.bytes) {
    spares.bytes -= spares.blocks.begin()->first;
    spares.blocks.erase(spares.blocks.begin());
  }
  if (spares.bytes + own.bytes <= keep) {
    spares.bytes += own.bytes;
    spares.blocks.emplace(own.bytes, std::move(own.block));
  }
}

Memory::Own* Memory::own_of(Buffers& buffers, Buffer buffer) {
  switch (buffer) {
    case Buffer::output:
      return buffers.out.spans.empty() ? &buffers.scratch : nullptr;
    case Buffer::scratch:
      return &buffers.scratch;
    case Buffer::coded_input:
      return &buffers.coded_in;
    case Buffer::coded_result:
      return &buffers.coded_out;
    case Buffer::partial:
      return &buffers.partial;
    default:
      return nullptr;
  }
}

std::byte* Memory::slot(const Region& region) {
  Slot& slot = slots_[region.owner];
  const std::uint64_t end = region.offset + region.length;
  if (!slot.block) {
    SEAWAY_ASSERT(end <= chunk_bytes_, "a slot holds one chunk");
    if (end * 2 <= chunk_bytes_) {
      slot.length = static_cast<std::uint32_t>(end);
      slot.block = allocated(end, {});
    } else {
      slot.length = chunk_bytes_;
      if (spare_slots_.empty()) {
        slot.block = allocated(chunk_bytes_, slot_place_);
      } else {
        slot.block = std::move(spare_slots_.back());
        spare_slots_.pop_back();
      }
    }
  }
  SEAWAY_ASSERT(end <= slot.length, "a slot keeps the length that it was first named with");
  return slot.block.get() + region.offset;
}

void Memory::free_slot(SlotId id) {
  const auto it = slots_.find(id);
  if (it == slots_.end()) {
    return;  // named and never touched
  }
  const bool is_usual = it->second.length == chunk_bytes_ && it->second.block.get_deleter().place == slot_place_;
  const bool is_pinned = slot_place_.kind == Place::Kind::pinned;
  if (is_usual && (is_pinned || (spare_slots_.size() + 1) * std::uint64_t{chunk_bytes_} <= keep_)) {
    spare_slots_.push_back(std::move(it->second.block));
  }
  slots_.erase(it);
}

void Memory::pieces(const Region& region, std::uint32_t from, std::vector<iovec>& list) {
  if (from >= region.length) {
    return;
  }
  if (region.buffer == Buffer::slot) {
    list.push_back({slot(region) + from, region.length - from});
    return;
  }
  Buffers& op = buffers(region.owner);
  if (Own* const taken = own_of(op, region.buffer)) {
    SEAWAY_ASSERT(taken->place.kind != Place::Kind::device, "the host does not read or write what lies on a device");
    list.push_back({part_of(*taken, region) + from, region.length - from});
    return;
  }
  SEAWAY_ASSERT(op.device == device::kHost, "the host does not read or write what lies on a device");
  callers_pieces(side_of(op, region.buffer), region, from, list);
}

std::byte* Memory::part_of(Own& taken, const Region& region) {
  SEAWAY_ASSERT(region.offset + region.length <= taken.bytes, "a region lies inside of its buffer");
  return own(taken) + region.offset;
}

const Memory::Pieces& Memory::side_of(const Buffers& buffers, Buffer buffer) {
  return buffer == Buffer::input ? buffers.in : buffer == Buffer::output ? buffers.out : buffers.residual;
}

void Memory::callers_pieces(const Pieces& side, const Region& region, std::uint32_t from, std::vector<iovec>& list) {
  SEAWAY_ASSERT(region.offset + region.length <= side.bytes, "a region lies inside of its buffer");
  const std::uint64_t block_bytes = side.bytes / side.blocks;
  const std::uint64_t block = (region.offset + from) / block_bytes;
  std::uint64_t skip = (region.offset + from) % block_bytes;
  std::uint64_t left = region.length - from;
  for (const Span& span : side.spans) {
    const std::uint64_t bytes = span.bytes / side.blocks;
    if (skip >= bytes) {
      skip -= bytes;
      continue;
    }
    const std::uint64_t take = std::min(left, bytes - skip);
    list.push_back({span.data + block * bytes + skip, take});
    left -= take;
    skip = 0;
    if (left == 0) {
      break;
    }
  }
  SEAWAY_ASSERT(left == 0, "an op's buffers are as long as it says");
}

std::byte* Memory::whole(const Region& region) {
  static thread_local std::vector<iovec> list;
  list.clear();
  pieces(region, 0, list);
  return list.size() == 1 ? static_cast<std::byte*>(list.front().iov_base) : nullptr;
}

bool Memory::is_on_device(const Region& region) {
  if (region.length == 0 || region.buffer == Buffer::slot) {
    return false;
  }
  Buffers& op = buffers(region.owner);
  Own* const taken = own_of(op, region.buffer);
  return taken != nullptr ? is_there(*taken) || mirror(region) != nullptr : op.device != device::kHost;
}

void Memory::device_pieces(const Region& region, std::vector<iovec>& list) {
  Buffers& op = buffers(region.owner);
  if (Own* const taken = own_of(op, region.buffer)) {
    list.push_back({part_of(*taken, region), region.length});
  } else {
    callers_pieces(side_of(op, region.buffer), region, 0, list);
  }
}

std::byte* Memory::within_reach(const Region& region) {
  if (region.buffer == Buffer::slot) {
    std::byte* const at = slot(region);
    return slots_.at(region.owner).block.get_deleter().place.kind == Place::Kind::pinned ? at : nullptr;
  }
  Buffers& op = buffers(region.owner);
  Own* const taken = own_of(op, region.buffer);
  return taken != nullptr && taken->place.kind != Place::Kind::host ? part_of(*taken, region) : nullptr;
}

std::byte* Memory::mirror(const Region& region) {
  if (region.buffer != Buffer::coded_input) {
    return nullptr;
  }
  Own& mirror = buffers(region.owner).mirror;
  return mirror.bytes > 0 && is_there(mirror) ? part_of(mirror, region) : nullptr;
}

Memory::Block Memory::stage() {
  if (spare_stages_.empty()) {
    return allocated(chunk_bytes_, {Place::Kind::pinned, device::kHost});
  }
  Block block = std::move(spare_stages_.back());
  spare_stages_.pop_back();
  return block;
}

void Memory::copy_out(const Region& region, std::byte* to) {
  std::vector<iovec> list;
  pieces(region, 0, list);
  for (const iovec& piece : list) {
    std::memcpy(to, piece.iov_base, piece.iov_len);
    to += piece.iov_len;
  }
}

void Memory::copy_in(const Region& region, const std::byte* from) {
  std::vector<iovec> list;
  pieces(region, 0, list);
  for (const iovec& piece : list) {
    std::memcpy(piece.iov_base, from, piece.iov_len);
    from += piece.iov_len;
  }
}

}  // namespace seaway::runtime
