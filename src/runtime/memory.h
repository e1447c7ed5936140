// The memory that the engine names: the caller's buffers; scratches, encodings and slots of its own. One thread's.
//
// A caller's buffers may be on a device. Then some of the library's own for that op are there too, if there is room, and what crosses
// the bus is in pinned memory of the host's: a device reads and writes that where it lies.
#pragma once

#include <sys/uio.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "collective/boundary.h"
#include "device/library.h"
#include "runtime/communicator.h"

namespace seaway::runtime {

struct Place {
  enum class Kind : std::uint8_t { host, pinned, device };
  Kind kind = Kind::host;
  int device = device::kHost;
  auto operator<=>(const Place&) const = default;
};

class Memory {
 public:
  struct Free {
    Place place;
    void operator()(std::byte* memory) const;
  };
  using Block = std::unique_ptr<std::byte, Free>;

  // Up to `keep` bytes of freed slots, and as many of what ops took, are kept for the next: fresh pages cost more than the
  // reduction. Of what is pinned, or on a device, as much as was in use at once, if that is more.
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
    int device = device::kHost;    // of in, out and residual
    bool lands_on_device = false;  // results land in a scratch that is there, too
    std::uint64_t coded_in = 0;    // bytes of encodings, as large as all chunks together
    std::uint64_t mirror = 0;      // of coded_in, on the device
    std::uint64_t coded_out = 0;
    std::uint64_t partial = 0;  // bytes of a site's sums
  };
  void add(OpHandle op, Sides sides);
  // Room for the result of an op that may be added later, or be removed without.
  void hold(OpHandle op, std::uint64_t scratch_bytes, std::uint64_t coded_bytes);
  void remove(OpHandle op);
  std::uint64_t taken(OpHandle op);  // bytes of the library's own that the op uses

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
  // Where a device may read or write it: on the device, or in pinned memory. Null if it may not, or if it is in several pieces.
  std::byte* within_reach(const collective::Region& region);
  // Of a part of coded_input: where the device has its own, for its own use. Null if it has none.
  std::byte* mirror(const collective::Region& region);
  // Pinned memory for one chunk.
  Block stage();
  void unstage(Block block) { spare_stages_.push_back(std::move(block)); }

 private:
  // Comes into being when it is first named, and of a large one only those pages that are touched, unless it is pinned.
  struct Own {
    std::uint64_t bytes = 0;
    Block block;
    Place place;
  };
  struct Buffers {
    int device = device::kHost;
    Pieces in;
    Pieces out;
    Pieces residual;
    Own scratch;
    Own coded_in;
    Own mirror;
    Own coded_out;
    Own partial;
    std::array<Own*, 5> own() { return {&scratch, &coded_in, &mirror, &coded_out, &partial}; }
  };
  struct Slot {
    Block block;
    std::uint32_t length = 0;
  };

  // What ops took and gave back, by size.
  struct Spare {
    std::multimap<std::uint64_t, Block> blocks;
    std::uint64_t bytes = 0;
    std::uint64_t used = 0;  // by the ops that there are
    std::uint64_t most = 0;  // that were used at once
  };

  static Block allocate(std::uint64_t bytes, const Place& place);  // null: there is none left
  static Block allocated(std::uint64_t bytes, const Place& place);
  std::uint64_t kept_at(const Place& place, const Spare& spares) const;
  Block spare_for(Own& own);
  void take(Own& own);  // none: there is none left
  static const Pieces& side_of(const Buffers& buffers, collective::Buffer buffer);
  void callers_pieces(const Pieces& side, const collective::Region& region, std::uint32_t from,
                      std::vector<iovec>& list);
  std::byte* slot(const collective::Region& region);
  bool is_there(Own& own);
  std::byte* own(Own& own);
  std::byte* part_of(Own& taken, const collective::Region& region);
  void give_back(Own& own);
  static Own* own_of(Buffers& buffers, collective::Buffer buffer);  // null: one of the caller's
  Buffers& buffers(OpHandle op);

  std::uint32_t chunk_bytes_;
  std::uint64_t keep_;
  std::map<OpHandle, Buffers> ops_;
  std::map<SlotId, Slot> slots_;
  std::vector<Block> spare_slots_;  // of chunk_bytes_ each; the last freed is the first reused: it is in the cache
  Place slot_place_;                // pinned once there is a device, which is to reach what lands in them
  std::map<Place, Spare> spare_;
  std::vector<Block> spare_stages_;
};

}  // namespace seaway::runtime
