// A call as all members have to state it alike: what is wrong with it, in words, and its digest.
#include <algorithm>
#include <cmath>

#include "base/hex.h"
#include "collective/engine.h"
#include "hash/hash.h"

namespace seaway::collective {

namespace {

// "" or what is wrong with which argument.
std::string what_is_wrong(const Descriptor& d) {
  if (d.kind < OpKind::all_reduce || d.kind > OpKind::transaction) {
    return "kind is none of all_reduce, broadcast, barrier, reduce_scatter, all_gather, exchange, transfer, "
           "transaction";
  }
  if (!is_valid(d.dtype)) {
    return "dtype is none of the element types";
  }
  if (d.weighted && (!reduces(d.kind) || d.reduction != Reduction::avg)) {
    return "weight counts for avg only";
  }
  if (!std::isfinite(d.weight) || d.weight < 0) {
    return "weight must be finite and not negative";
  }
  if (d.kind == OpKind::barrier || d.kind == OpKind::transaction) {
    return d.count == 0 ? "" : "a barrier or a transaction has no data: count must be 0";
  }
  if (d.count > kMostBytes / size_of(d.dtype) / std::max<std::uint64_t>(d.blocks, 1)) {
    return "count is above what one op may carry (2^50 bytes)";
  }
  if (d.kind == OpKind::broadcast) {
    return d.root == kNoPeer ? "root: a broadcast needs the member whose data it sends" : "";
  }
  if (has_blocks(d.kind) && d.in_place) {
    return "in_place: what goes in and what comes out differ in size";
  }
  if (!reduces(d.kind)) {
    return "";
  }
  if (!is_valid(d.reduction)) {
    return "op is none of sum, avg, min, max, prod";
  }
  if (d.reduction == Reduction::avg && !is_floating(d.dtype)) {
    return "op avg needs a floating dtype: an integer average would be rounded; use sum and divide";
  }
  return "";
}

std::string described_codecs(const Descriptor& d) {
  std::string text;
  if (has_codec(d)) {
    text.append(" codec ").append(name_of(d.up));
  }
  if (d.down != Codec::none) {
    text.append(" down ").append(name_of(d.down));
  }
  return text + (d.rounding == Rounding::stochastic ? " stochastic" : "");
}

}  // namespace

std::string describe(const Descriptor& d) {
  std::string text;
  switch (d.kind) {
    case OpKind::barrier:
      text = "barrier";
      break;
    case OpKind::broadcast:
      text =
          std::string("broadcast ") + name_of(d.dtype) + " count " + std::to_string(d.count) + " root " + hex(d.root);
      break;
    case OpKind::all_gather:
      text = std::string("all_gather ") + name_of(d.dtype) + " count " + std::to_string(d.count);
      break;
    case OpKind::exchange:
      text = std::string("exchange ") + name_of(d.dtype);
      break;
    case OpKind::transaction:
      text = "transaction of " + std::to_string(d.count) + " ops";
      break;
    case OpKind::transfer:
      text = std::string("send or recv ") + name_of(d.dtype) + " count " + std::to_string(d.count);
      break;
    case OpKind::all_reduce:
    case OpKind::reduce_scatter:
      text = std::string(d.kind == OpKind::all_reduce ? "all_reduce " : "reduce_scatter ") + name_of(d.reduction) +
             (d.weighted ? " weighted " : " ") + name_of(d.dtype) + " count " + std::to_string(d.count);
      break;
  }
  return text + (d.pieces != 1 ? std::string(" pieces ") + std::to_string(d.pieces) : "") + described_codecs(d) +
         described_quorum(d) + (d.transaction != 0 ? " in a transaction" : "") +
         (d.fail_on_loss ? " on_loss fail" : "") + (d.layout != 0 ? " layout " + hex(d.layout) : "");
}

std::uint64_t digest_of(const Descriptor& descriptor) {
  const std::string text = describe(descriptor);
  const std::uint64_t digest = hash64(std::as_bytes(std::span(text)));
  return digest == 0 ? 1 : digest;  // 0 says "passed without posting"
}

std::string Engine::how_different(const Op& op, PeerId peer, const wire::Ready& theirs) const {
  const std::string name = name_of(peer);
  return theirs.digest == 0 ? "calls differ: " + name + " went on without posting this op"
                            : "calls differ: " + name + " posted \"" + theirs.described + "\", you posted \"" +
                                  described(op) + "\": make the calls alike";
}

// "" or what is wrong with it wherever it is posted.
std::string Engine::wrong(const Descriptor& descriptor) {
  for (const auto& check : {what_is_wrong, wrong_lists, wrong_codecs, wrong_quorum, wrong_transaction}) {
    if (std::string wrong = check(descriptor); !wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

}  // namespace seaway::collective
