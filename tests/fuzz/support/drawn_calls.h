// What members call, drawn from the bytes.
#pragma once

#include <array>
#include <cstdint>

#include "collective/boundary.h"
#include "fuzz/support/input.h"
#include "wire/frame.h"

namespace seaway::fuzz {

inline constexpr std::array<std::uint64_t, 3> kTags{0, 1, collective::kLibraryTags};

collective::Descriptor draw_descriptor(Input& input, PeerId self);
// What a member says of its op, and now and then something that no healthy one would.
wire::QuorumTerms draw_terms(Input& input, const collective::Descriptor& descriptor);

}  // namespace seaway::fuzz
