#include "runtime/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/assert.h"

namespace seaway::runtime {

using collective::Buffer;
using collective::Region;

void Memory::Free::operator()(std::byte* memory) const { std::free(memory); }

Memory::Block Memory::allocate(std::uint64_t bytes) {
  constexpr std::size_t kCacheLine = 64;
  const std::size_t rounded = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kCacheLine, std::max(rounded, kCacheLine)));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return Block(memory);
}

void Memory::add(OpHandle op, Pieces in, Pieces out) {
  for (Pieces* side : {&in, &out}) {
    std::erase_if(side->spans, [](const Span& span) { return span.bytes == 0; });
    side->bytes = 0;
    for (const Span& span : side->spans) {
      SEAWAY_ASSERT(span.bytes % side->blocks == 0, "the blocks of a piece are equal");
      side->bytes += span.bytes;
    }
  }
  const std::uint64_t scratch_bytes = std::max(in.bytes, out.bytes);
  ops_.emplace(op, Buffers{std::move(in), std::move(out), scratch_bytes, nullptr});
}

void Memory::remove(OpHandle op) {
  const auto it = ops_.find(op);
  if (it == ops_.end()) {
    return;
  }
  Buffers& op_buffers = it->second;
  if (op_buffers.scratch && op_buffers.scratch_bytes <= keep_ && op_buffers.scratch_bytes > spare_scratch_bytes_) {
    spare_scratch_ = std::move(op_buffers.scratch);
    spare_scratch_bytes_ = op_buffers.scratch_bytes;
  }
  ops_.erase(it);
}

bool Memory::has_scratch(OpHandle op) const {
  const auto it = ops_.find(op);
  return it != ops_.end() && it->second.scratch != nullptr;
}

Memory::Buffers& Memory::buffers(OpHandle op) {
  const auto it = ops_.find(op);
  SEAWAY_ASSERT(it != ops_.end(), "a region belongs to an op that has not ended");
  return it->second;
}

std::byte* Memory::scratch(Buffers& buffers) {
  if (!buffers.scratch) {
    if (spare_scratch_bytes_ >= buffers.scratch_bytes && spare_scratch_) {
      buffers.scratch = std::move(spare_scratch_);
      spare_scratch_bytes_ = 0;
    } else {
      buffers.scratch = allocate(buffers.scratch_bytes);
    }
  }
  return buffers.scratch.get();
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
  if (region.buffer == Buffer::scratch || (region.buffer == Buffer::output && op.out.spans.empty())) {
    SEAWAY_ASSERT(region.offset + region.length <= op.scratch_bytes, "a region lies inside of its buffer");
    list.push_back({scratch(op) + region.offset + from, region.length - from});
    return;
  }
  const Pieces& side = region.buffer == Buffer::input ? op.in : op.out;
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
