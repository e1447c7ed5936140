// Runs the engine's jobs on the memory that they name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "codec/codec.h"
#include "collective/boundary.h"
#include "hash/hash.h"
#include "reduce/reduce.h"
#include "runtime/memory.h"

namespace seaway::runtime {

class JobRunner {
 public:
  explicit JobRunner(Memory& memory);

  std::uint64_t run(const collective::Job& job);  // the hash of dst

 private:
  const std::byte* readable(const collective::Region& region, std::vector<std::byte>& staging);

  std::uint64_t hash(const std::byte* data, std::size_t bytes);
  std::uint64_t reduce(const collective::Job& job, std::byte* dst);  // of sources_
  std::uint64_t fold(const collective::Job& job, std::byte* dst);    // the same, where anything is encoded
  void encode(const collective::Job& job, std::byte* dst);

  Memory* memory_;
  const Kernels* kernels_;
  std::unique_ptr<Hasher64> hasher_;
  std::vector<Source> sources_;
  std::vector<Source> block_;
  const CodecKernels* codecs_;
  std::vector<EncodedSource> encoded_;
  // For regions that lie across the edge between two of the caller's buffers.
  std::vector<std::vector<std::byte>> staged_;
  std::vector<std::byte> staged_dst_;
  std::vector<std::byte> staged_residual_;
};

}  // namespace seaway::runtime
