// The memory that the engine names: the caller's buffers; scratches, encodings and slots of its own. One thread's.
//
// A caller's buffers may be on a device. Then their regions lie nowhere on the host but while they are staged.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
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
    bool on_device = false;      // in, out and residual; what is copied from and to them is pinned
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

  bool is_on_device(const collective::Region& region);
  // Where such a region lies on its device, in order.
  void device_pieces(const collective::Region& region, std::vector<iovec>& list);
  // From here on it lies in pinned memory of the host's, whatever is there, until `unstage`.
  std::byte* stage(const collective::Region& region);
  void unstage(const collective::Region& region);

 private:
  struct Free {
    Free() : Free(false) {}
    explicit Free(bool is_pinned) : pinned(is_pinned) {}
    bool pinned;
    void operator()(std::byte* memory) const;
  };
  using Block = std::unique_ptr<std::byte, Free>;
  // Comes into being when it is first named, and of a large one only those pages that are touched.
  struct Own {
    std::uint64_t bytes = 0;
    Block block;
    bool pinned = false;
  };
  struct Buffers {
    bool on_device = false;
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

  // What ops took, by size.
  struct Spare {
    std::multimap<std::uint64_t, Block> blocks;
    std::uint64_t bytes = 0;
  };
  using Staged = std::tuple<OpHandle, collective::Buffer, std::uint64_t>;  // the offset

  static Block allocate(std::uint64_t bytes, bool pinned = false);
  static const Pieces& side_of(const Buffers& buffers, collective::Buffer buffer);
  void callers_pieces(const Pieces& side, const collective::Region& region, std::uint32_t from,
                      std::vector<iovec>& list);
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
  Spare spare_;
  Spare spare_pinned_;
  std::map<Staged, Block> staged_;
  std::vector<Block> spare_stages_;
};

}  // namespace seaway::runtime
