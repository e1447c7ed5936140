// Runs the engine's jobs on the memory that they name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collective/boundary.h"
#include "reduce/reduce.h"
#include "runtime/memory.h"

namespace seaway::runtime {

// The fastest kernels that this processor runs; SEAWAY_KERNELS=scalar|avx2 in the environment forces one.
const Kernels& pick_kernels();

class JobRunner {
 public:
  explicit JobRunner(Memory& memory) : memory_(&memory), kernels_(&pick_kernels()) {}

  std::uint64_t run(const collective::Job& job);  // the hash of dst

 private:
  const std::byte* readable(const collective::Region& region, std::vector<std::byte>& staging);

  Memory* memory_;
  const Kernels* kernels_;
  // For regions that lie across the edge between two of the caller's buffers.
  std::vector<std::vector<std::byte>> staged_;
  std::vector<std::byte> staged_dst_;
};

}  // namespace seaway::runtime
