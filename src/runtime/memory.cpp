#include "runtime/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "device/library.h"

namespace seaway::runtime {

using collective::Buffer;
using collective::Region;

namespace {

bool is_callers(Buffer buffer) {
  return buffer == Buffer::input || buffer == Buffer::output || buffer == Buffer::residual;
}

}  // namespace

void Memory::Free::operator()(std::byte* memory) const {
  if (pinned) {
    device::deallocate(memory);
  } else {
    std::free(memory);
  }
}

Memory::Block Memory::allocate(std::uint64_t bytes, bool pinned) {
  constexpr std::size_t kCacheLine = 64;
  if (pinned) {
    auto* const memory = static_cast<std::byte*>(device::allocate(std::max<std::uint64_t>(bytes, kCacheLine)));
    if (memory == nullptr) {
      throw std::bad_alloc();
    }
    return {memory, Free{true}};
  }
  const std::size_t rounded = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kCacheLine, std::max(rounded, kCacheLine)));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return {memory, Free{}};
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
  buffers.on_device = sides.on_device;
  buffers.in = std::move(sides.in);
  buffers.out = std::move(sides.out);
  buffers.residual = std::move(sides.residual);
  // What was held for it is there already, and holds the result.
  const auto make = [](Own& own, std::uint64_t bytes, bool pinned) {
    own.pinned = own.block ? own.pinned : pinned;
    own.bytes = own.block ? own.bytes : bytes;
  };
  make(buffers.scratch, scratch_bytes, sides.on_device);
  make(buffers.coded_in, sides.coded_in, sides.on_device);
  make(buffers.coded_out, sides.coded_out, false);
  make(buffers.partial, sides.partial, false);
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
  for (Own* taken : {&it->second.scratch, &it->second.coded_in, &it->second.coded_out, &it->second.partial}) {
    give_back(*taken);
  }
  ops_.erase(it);
}

std::uint64_t Memory::taken(OpHandle op) const {
  const auto it = ops_.find(op);
  std::uint64_t bytes = 0;
  if (it != ops_.end()) {
    for (const Own* own : {&it->second.scratch, &it->second.coded_in, &it->second.coded_out, &it->second.partial}) {
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

// A spare one may be larger than what is asked for, but not so much that it would be missed elsewhere.
std::byte* Memory::own(Own& own) {
  if (!own.block) {
    Spare& spares = own.pinned ? spare_pinned_ : spare_;
    const auto spare = spares.blocks.lower_bound(own.bytes);
    if (spare != spares.blocks.end() && spare->first <= own.bytes * 2) {
      own.bytes = spare->first;
      own.block = std::move(spare->second);
      spares.bytes -= spare->first;
      spares.blocks.erase(spare);
    } else {
      own.block = allocate(own.bytes, own.pinned);
    }
  }
  return own.block.get();
}

// The larger ones are dearer to make anew.
void Memory::give_back(Own& own) {
  if (!own.block || own.bytes > keep_) {
    return;
  }
  Spare& spares = own.pinned ? spare_pinned_ : spare_;
  while (spares.bytes + own.bytes > keep_ && spares.blocks.begin()->first < own.bytes) {
    spares.bytes -= spares.blocks.begin()->first;
    spares.blocks.erase(spares.blocks.begin());
  }
  if (spares.bytes + own.bytes <= keep_) {
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
      slot.block = allocate(end);
    } else {
      slot.length = chunk_bytes_;
      if (spare_slots_.empty()) {
        slot.block = allocate(chunk_bytes_);
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
  if (it->second.length == chunk_bytes_ && (spare_slots_.size() + 1) * std::uint64_t{chunk_bytes_} <= keep_) {
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
    SEAWAY_ASSERT(region.offset + region.length <= taken->bytes, "a region lies inside of its buffer");
    list.push_back({own(*taken) + region.offset + from, region.length - from});
    return;
  }
  if (op.on_device) {
    const auto staged = staged_.find({region.owner, region.buffer, region.offset});
    SEAWAY_ASSERT(staged != staged_.end(), "what lies on a device is staged before the host reads or writes it");
    list.push_back({staged->second.get() + from, region.length - from});
    return;
  }
  callers_pieces(side_of(op, region.buffer), region, from, list);
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
  return region.length > 0 && is_callers(region.buffer) && buffers(region.owner).on_device;
}

void Memory::device_pieces(const Region& region, std::vector<iovec>& list) {
  callers_pieces(side_of(buffers(region.owner), region.buffer), region, 0, list);
}

std::byte* Memory::stage(const Region& region) {
  Block block;
  if (spare_stages_.empty()) {
    block = allocate(chunk_bytes_, true);
  } else {
    block = std::move(spare_stages_.back());
    spare_stages_.pop_back();
  }
  SEAWAY_ASSERT(region.length <= chunk_bytes_, "a job is of one chunk");
  return (staged_[{region.owner, region.buffer, region.offset}] = std::move(block)).get();
}

void Memory::unstage(const Region& region) {
  const auto it = staged_.find({region.owner, region.buffer, region.offset});
  spare_stages_.push_back(std::move(it->second));  // no more than jobs that are under way at once
  staged_.erase(it);
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
