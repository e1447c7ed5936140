// The reference of promise 1: what the bits of a result have to be, computed in the longest way from the definition
// and sharing no line with src/reduce.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "collective/boundary.h"

namespace seaway::sim {

struct ReferenceInput {
  std::vector<std::byte> data;
  double weight = 1;
};

// `inputs` in roster order, at least one.
std::vector<std::byte> reference(const collective::Descriptor& descriptor, std::span<const ReferenceInput> inputs);

}  // namespace seaway::sim
