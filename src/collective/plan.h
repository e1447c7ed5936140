// How an op runs: which member is the root of which chunk. A pure function, so that every member computes the same
// plan from what all of them know: the base roster of the op's generation, the roster of the attempt, the size.
//
// one-shot: everybody sends its whole payload to everybody and reduces locally; every member is root of every chunk.
//           For small ops, which READY asks for in one go, and for two members, who send as much either way.
// direct:   chunk c has one root. Contributors send their part of c to it, it reduces and sends the result to all.
//           Member i is root of a share w_i of the chunks: traffic of i is S(1 + (n-2) w_i), so
//           w_i = clamp((t B_i / S - 1) / (n - 2), 0, 1) with the t for which the shares sum to 1 makes all finish
//           at t; n = 2: w = 1/2 (DESIGN 5). Members that say no rate count as fast as the mean of those that do.
// hierarchical (collective/sites.h): where several members of the base are at one site. As direct, but what a site contributes
//           to a chunk is summed by its gateway for the chunk and crosses the trunk as one PARTIAL, and a result enters a
//           site once, by the gateway, which passes it on.
// A root that is lost has its chunks dealt to the attempt's roster; nobody else's chunks move, so that contributions
// which were received stay useful.
//
// Ops of blocks (collective/block_plan.cpp) have one block for each member of the base, in its order, and no results that a
// root sends on. Their plan is the same in every attempt: whom a block belongs to does not change when its owner is lost.
// gathered: everybody is root of every chunk, and has it from the owner of its block.
// scattered: the owner of a block is the root of its chunks, and nobody else gets them.
// exchanged: as gathered, but a member has of each other what that one sends to it (collective/portions.h).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "codec/codec.h"
#include "collective/boundary.h"
#include "collective/portions.h"
#include "collective/sites.h"

namespace seaway::collective {

struct PlanMember {
  PeerId id = kNoPeer;
  std::uint32_t rate_mbps = 0;
  std::uint16_t site = 0;  // the same number: the same site
};

enum class Blocks : std::uint8_t { none, gathered, scattered, exchanged };

struct Plan {
  bool one_shot = false;
  bool ready_asks = false;  // one-shot, and so little that nobody has to ask for it piece by piece
  std::uint64_t bytes = 0;
  std::uint32_t chunk_bytes = 0;  // of every chunk but the last
  std::uint32_t chunks = 0;
  std::vector<PeerId> roots;  // of each chunk; empty when one-shot, and with blocks
  Sites sites;                // none: not hierarchical

  Blocks blocks = Blocks::none;
  std::vector<PeerId> owners;  // of each block
  std::uint64_t block_bytes = 0;
  std::uint32_t block_chunks = 0;
  Portions portions;  // exchanged: what comes

  std::uint64_t offset_of(std::uint32_t chunk) const {
    if (blocks == Blocks::exchanged) {
      return portions.offset_of(chunk);
    }
    return blocks == Blocks::none
               ? std::uint64_t{chunk} * chunk_bytes
               : chunk / block_chunks * block_bytes + std::uint64_t{chunk % block_chunks} * chunk_bytes;
  }
  std::uint32_t length_of(std::uint32_t chunk) const {
    if (blocks == Blocks::exchanged) {
      return portions.length_of(chunk);
    }
    const std::uint64_t end = blocks == Blocks::none ? bytes : (chunk / block_chunks + 1) * block_bytes;
    const std::uint64_t left = end - offset_of(chunk);
    return left < chunk_bytes ? static_cast<std::uint32_t>(left) : chunk_bytes;
  }
  // The chunk as it travels, and where it stands among the others in a buffer that holds them so. Chunks of ops with a codec
  // are whole blocks of it, so that the bits of a result do not depend on how it was cut.
  std::uint32_t coded_length_of(Codec codec, std::uint32_t chunk) const {
    return codec == Codec::none ? length_of(chunk)
                                : static_cast<std::uint32_t>(encoded_bytes(codec, length_of(chunk) / sizeof(float)));
  }
  std::uint64_t coded_offset_of(Codec codec, std::uint32_t chunk) const;

  bool is_root(PeerId peer, std::uint32_t chunk) const {
    return one_shot || (blocks == Blocks::scattered ? owner_of(chunk) : roots[chunk]) == peer;
  }
  // It asks for contributions to the chunk: a root, and a gateway for its site.
  bool collects(PeerId peer, std::uint32_t chunk) const {
    return sites.empty() ? is_root(peer, chunk) : sites.collector(peer, chunk, roots[chunk]) == peer;
  }
  // Whom a member's contribution to the chunk goes to; itself, where it collects. Not of one-shot plans, nor with blocks.
  PeerId collector_for(PeerId sender, std::uint32_t chunk) const {
    return sites.empty() ? roots[chunk] : sites.collector(sender, chunk, roots[chunk]);
  }
  // What `sender` has for `receiver`, of whichever chunk, are its site's sums, and no contributions of its own.
  bool sends_partials(PeerId sender, PeerId receiver) const {
    return !sites.empty() && sites.sums(sender) && !sites.together(sender, receiver);
  }
  // From whom `receiver` has the result of a chunk that it is not the root of; it may be anybody where everybody is a root.
  bool has_result_from(PeerId receiver, PeerId sender, std::uint32_t chunk) const {
    return one_shot || (sites.empty() ? roots[chunk] : sites.forwarder(receiver, chunk, roots[chunk])) == sender;
  }
  PlanKind kind() const {
    return one_shot ? PlanKind::one_shot : sites.empty() ? PlanKind::direct : PlanKind::hierarchical;
  }
  // The chunks that it collects contributions to, in the order in which it asks for them.
  std::vector<std::uint32_t> chunks_of(PeerId peer) const;

  // Nobody else has what this member gets.
  bool is_own_alone() const { return blocks == Blocks::scattered || blocks == Blocks::exchanged; }
  // Each chunk comes from one member, and is copied.
  bool is_from_owner() const { return blocks == Blocks::gathered || blocks == Blocks::exchanged; }
  // The number under which a chunk, or a contribution to it, travels, and the chunk of such a number; `chunks` if it is none.
  std::uint32_t number_of(std::uint32_t chunk) const {
    return blocks == Blocks::exchanged ? portions.number_of(chunk) : chunk;
  }
  std::uint32_t chunk_of(PeerId sender, std::uint32_t number) const {
    return blocks == Blocks::exchanged ? portions.chunk_of(sender, number) : number;
  }

  // Of ops of blocks.
  PeerId owner_of(std::uint32_t chunk) const {
    return blocks == Blocks::exchanged ? portions.peer_of(chunk) : owners[chunk / block_chunks];
  }
  std::uint64_t start_of(PeerId owner) const;  // of its block
  // One of each block and then the next of each, from the peer's own on: so that everybody sends at once, each to others.
  std::vector<std::uint32_t> chunks_in_turn(PeerId peer) const;

  // Not everybody sends to everybody who collects.
  bool is_selective() const { return blocks != Blocks::none || !sites.empty(); }
  // Of selective plans: whether `collector` has the chunk, a contribution to it or a site's sum of it from `sender`.
  bool sends(PeerId sender, PeerId collector, std::uint32_t chunk) const {
    if (sites.empty()) {
      return owner_of(chunk) == (is_from_owner() ? sender : collector);
    }
    return sends_partials(sender, collector) ? roots[chunk] == collector && collects(sender, chunk)
                                             : collector_for(sender, chunk) == collector;
  }
};

// `base` and `roster` in roster order; `roster` is a part of `base`, not empty. Every chunk but the last is whole grains: an
// element, or with a codec a block of it (kCodecGrain).
Plan make_plan(std::span<const PlanMember> base, std::span<const PeerId> roster, std::uint64_t bytes,
               std::uint32_t grain, const Limits& limits);
inline constexpr std::uint32_t kCodecGrain = kPieceGrain * sizeof(float);

// Whether a plan over this base is hierarchical: there are several sites, and several members at one of them.
bool has_sites(std::span<const PlanMember> base);
// Roots and gateways of a hierarchical plan whose chunks are cut (collective/site_plan.cpp).
void deal_by_sites(Plan& plan, std::span<const PlanMember> base, std::span<const PeerId> roster);

// How much an all-reduce that is not one-shot sends on the link between `self` and each other member, each way, in shares of its
// data.
std::vector<std::pair<PeerId, double>> link_traffic(std::span<const PlanMember> base, PeerId self);

// Of an op with a block of `block_bytes` for each member of the base.
Plan make_block_plan(Blocks blocks, std::span<const PlanMember> base, std::uint64_t block_bytes, std::uint32_t grain,
                     const Limits& limits);

// Chunks small enough that each of `members` roots has a few, in whole grains.
std::uint32_t chunk_size(std::uint64_t bytes, std::size_t members, std::uint32_t grain, const Limits& limits);

// Whole numbers that sum to `total`, as near to the shares as cumulative rounding brings them.
std::vector<std::uint32_t> apportion(std::span<const double> shares, std::uint32_t total);

// The shares of the direct plan; they sum to 1. Exposed for tests and for whoever shows a plan.
std::vector<double> direct_shares(std::span<const PlanMember> members);

// When the last of `present`, a part of `base`, ends an op of one unit of data that is planned over `base`, if its rate is what
// `present` says; all are known. Lost members' chunks are dealt out as in make_plan.
double direct_time(std::span<const PlanMember> base, std::span<const PlanMember> present);

}  // namespace seaway::collective
