// The memory that the engine names: the caller's buffers; scratches, encodings and slots of its own. One thread's.
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
  // Up to `keep` bytes of freed slots, and as many of what ops took, are kept for the next: fresh pages cost more than the
  // reduction.
  Memory(std::uint32_t chunk_bytes, std::uint64_t keep) : chunk_bytes_(chunk_bytes), keep_(keep) {}

  // The caller's pieces for one side of an op, which the engine sees as one buffer. Of `blocks` above 1 each piece has so many,
  // one after the other, and block b of the buffer is that of the first piece, then that of the second, and so on.
  struct Pieces {
    std::vector<Span> spans;
    std::uint64_t blocks = 1;
    std::uint64_t bytes = 0;  // of all; set by `add`
  };

  struct Sides {
    Pieces in;
    Pieces out;  // none: in place, and results go to a scratch as large as the input
    Pieces residual;
    std::uint64_t coded_in = 0;  // bytes of encodings, as large as all chunks together
    std::uint64_t coded_out = 0;
    std::uint64_t partial = 0;  // bytes of a site's sums
  };
  void add(OpHandle op, Sides sides);
  // Room for the result of an op that may be added later, or be removed without.
  void hold(OpHandle op, std::uint64_t scratch_bytes, std::uint64_t coded_bytes);
  void remove(OpHandle op);
  std::uint64_t taken(OpHandle op) const;  // bytes of the library's own that the op uses

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
  // Comes into being when it is first named, and of a large one only those pages that are touched.
  struct Own {
    std::uint64_t bytes = 0;
    Block block;
  };
  struct Buffers {
    Pieces in;
    Pieces out;
    Pieces residual;
    Own scratch;
    Own coded_in;
    Own coded_out;
    Own partial;
  };
  struct Slot {
    Block block;
    std::uint32_t length = 0;
  };

  static Block allocate(std::uint64_t bytes);
  std::byte* slot(const collective::Region& region);
  std::byte* own(Own& own);
  void give_back(Own& own);
  static Own* own_of(Buffers& buffers, collective::Buffer buffer);  // null: one of the caller's
  Buffers& buffers(OpHandle op);

  std::uint32_t chunk_bytes_;
  std::uint64_t keep_;
  std::map<OpHandle, Buffers> ops_;
  std::map<SlotId, Slot> slots_;
  std::vector<Block> spare_slots_;  // of chunk_bytes_ each; the last freed is the first reused: it is in the cache
  std::multimap<std::uint64_t, Block> spare_;  // by size: what ops took
  std::uint64_t spare_bytes_ = 0;
};

}  // namespace seaway::runtime
