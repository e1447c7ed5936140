// What the CUDA kernels are compared with: the scalar kernels of the CPU, bit for bit. One list of cases for two machines: the host,
// which runs the kernels' bodies (tests/unit/cuda), and a GPU (tests/gpu).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "device/calls.h"

namespace seaway::test {

// Memory that kernels reach, and the kernels. Each call is over when it returns; false: it cannot be done.
class Machine {
 public:
  virtual ~Machine() = default;
  // `bytes` of its arena, of 64 MiB, aligned to 256. All of it is free again after `forget`.
  virtual std::byte* take(std::size_t bytes) = 0;
  virtual void forget() = 0;
  virtual void write(std::byte* to, const void* from, std::size_t bytes) = 0;
  virtual void read(void* to, const std::byte* from, std::size_t bytes) = 0;

  virtual bool encode(const SeawayEncode& call) = 0;
  virtual bool fold(const SeawayFold& call) = 0;
  virtual bool reduce(const SeawayReduce& call) = 0;
  virtual bool hash(std::span<const SeawayLeaf> leaves) = 0;
  virtual bool lincomb(const SeawayLincomb& call) = 0;
  virtual bool outer_step(const SeawayOuterStep& call) = 0;
  virtual bool squares(const SeawaySquares& call) = 0;
};

struct KernelCase {
  const char* name;
  // "" or what differed first. `rounds`: how often it draws; 10 is thorough.
  std::string (*run)(Machine& machine, int rounds);
};
std::span<const KernelCase> kernel_cases();

}  // namespace seaway::test
