// The memory that the engine names: the caller's buffers, scratches, slots. One thread's.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "collective/boundary.h"
#include "runtime/communicator.h"

namespace seaway::runtime {

class Memory {
 public:
  // Up to `keep` bytes of freed slots and scratches are kept for the next op: fresh pages cost more than the reduction.
  Memory(std::uint32_t chunk_bytes, std::uint64_t keep) : chunk_bytes_(chunk_bytes), keep_(keep) {}

  // The caller's pieces for one side of an op, which the engine sees as one buffer. Of `blocks` above 1 each piece has so many,
  // one after the other, and block b of the buffer is that of the first piece, then that of the second, and so on.
  struct Pieces {
    std::vector<Span> spans;
    std::uint64_t blocks = 1;
    std::uint64_t bytes = 0;  // of all; set by `add`
  };

  // In place, without an output, results go to a scratch as large as the input.
  void add(OpHandle op, Pieces in, Pieces out);
  void remove(OpHandle op);
  bool has_scratch(OpHandle op) const;

  // Appends where `region` lies, from its byte `from` on, in order. A slot or a scratch comes into being here.
  void pieces(const collective::Region& region, std::uint32_t from, std::vector<iovec>& list);
  // The same when it is one piece; null when it is several.
  std::byte* whole(const collective::Region& region);
  void copy_out(const collective::Region& region, std::byte* to);
  void copy_in(const collective::Region& region, const std::byte* from);

  void free_slot(SlotId slot);

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  using Block = std::unique_ptr<std::byte, Free>;
  struct Buffers {
    Pieces in;
    Pieces out;
    std::uint64_t scratch_bytes = 0;
    Block scratch;
  };
  struct Slot {
    Block block;
    std::uint32_t length = 0;
  };

  static Block allocate(std::uint64_t bytes);
  std::byte* slot(const collective::Region& region);
  std::byte* scratch(Buffers& buffers);
  Buffers& buffers(OpHandle op);

  std::uint32_t chunk_bytes_;
  std::uint64_t keep_;
  std::map<OpHandle, Buffers> ops_;
  std::map<SlotId, Slot> slots_;
  std::vector<Block> spare_slots_;  // of chunk_bytes_ each; the last freed is the first reused: it is in the cache
  Block spare_scratch_;
  std::uint64_t spare_scratch_bytes_ = 0;
};

}  // namespace seaway::runtime
