#include "fuzz/support/drawn_calls.h"

#include <array>

#include "base/dtype.h"
#include "collective/engine.h"

namespace seaway::fuzz {

using namespace collective;

namespace {

constexpr std::array<std::uint64_t, 5> kCounts{16, 1, 40, 100, 0};

}  // namespace

Descriptor draw_descriptor(Input& input, PeerId self) {
  Descriptor d;
  d.kind = static_cast<OpKind>(1 + input.below(7));
  const std::uint8_t flags = input.byte();
  d.count = d.kind == OpKind::barrier ? 0 : kCounts[flags % kCounts.size()];
  if (d.kind == OpKind::exchange) {
    d.count = 0;
    for (std::vector<Share>* list : {&d.sends, &d.receives}) {
      for (std::uint32_t left = input.below(3); left > 0; --left) {
        list->push_back({self + input.below(4), kCounts[input.below(kCounts.size())]});
      }
    }
  }
  d.in_place = (flags & 8) != 0 && d.kind == OpKind::all_reduce;
  d.on_device = (flags & 4) != 0;
  d.fail_on_loss = (flags & 16) != 0;
  d.has_data = (flags & 32) != 0 && !has_blocks(d.kind) && d.kind != OpKind::exchange && d.kind != OpKind::transfer;
  d.blocks = has_blocks(d.kind) && d.count > 0 ? 1 + input.below(4) : 0;
  d.root = (flags & 64) != 0 ? self : self + 1;
  d.target = d.kind == OpKind::transfer ? (d.root == self ? self + 1 : self) : kNoPeer;
  if ((flags & 128) != 0 && reduces(d.kind)) {
    d.reduction = Reduction::avg;
    d.weighted = true;
    d.weight = input.below(3);
  }
  d.tag = input.one_of(kTags);
  if (input.one_in(8)) {
    d.no_progress = kSecond;
  }
  if (input.one_in(3)) {
    d.up = kAllCodecs[input.below(std::size(kAllCodecs))];
    d.down = d.kind == OpKind::all_reduce || input.one_in(8) ? kAllCodecs[input.below(std::size(kAllCodecs))] : d.down;
    d.dtype = input.one_in(8) ? d.dtype : DType::f32;
    d.feeds_back = input.one_in(2);
  }
  if (input.one_in(4)) {
    d.quorum = 1 + input.below(4);
    d.grace = input.below(3) * 100 * kMillisecond;
  }
  return d;
}

wire::QuorumTerms draw_terms(Input& input, const Descriptor& d) {
  wire::QuorumTerms terms = collective::terms_of(d);
  if (input.one_in(8)) {
    terms.count = input.number<std::uint64_t>();
    terms.kind = input.byte();
    terms.up = input.byte();
    terms.quorum = input.byte();
  }
  return terms;
}

}  // namespace seaway::fuzz
