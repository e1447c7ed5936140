// What the program does between two updates, and with which data: drawn by the seed, the same for everybody.
#include <algorithm>
#include <bit>
#include <cstring>

#include "sim/program.h"

namespace seaway::sim {

using collective::Descriptor;
using collective::OpKind;

namespace {

Descriptor draw_op(Random& random, std::uint32_t most_elements) {
  Descriptor op;
  constexpr OpKind kDrawn[] = {OpKind::barrier,        OpKind::broadcast,  OpKind::broadcast, OpKind::reduce_scatter,
                               OpKind::reduce_scatter, OpKind::all_gather, OpKind::all_gather};
  const std::uint64_t kind = random.below(12);
  op.kind = kind < std::size(kDrawn) ? kDrawn[kind] : OpKind::all_reduce;
  op.tag = random.below(3);
  if (op.kind == OpKind::barrier) {
    return op;
  }
  op.dtype = kAllDTypes[random.below(std::size(kAllDTypes))];
  op.count = random.one_in(12) ? 0 : random.between(1, most_elements);
  op.fail_on_loss = random.one_in(6);
  op.layout = random.one_in(4) ? random.below(4) : 0;
  if (op.kind == OpKind::broadcast) {
    op.root = 1 + random.below(8);  // a position; the program puts the incarnation there
    return op;
  }
  if (op.kind == OpKind::all_gather) {
    return op;
  }
  do {
    op.reduction = kAllReductions[random.below(std::size(kAllReductions))];
  } while (op.reduction == Reduction::avg && !is_floating(op.dtype));
  op.weighted = op.reduction == Reduction::avg && random.one_in(2);
  return op;
}

// Turns some ops into such as have a codec.
void draw_codec(Random& random, Descriptor& op) {
  if (!(collective::reduces(op.kind) || op.kind == OpKind::all_gather) || !random.one_in(6)) {
    return;
  }
  op.dtype = DType::f32;
  op.count = random.one_in(12) ? 0 : random.between(1, 1000);  // several blocks
  op.up = kAllCodecs[random.below(std::size(kAllCodecs))];
  if (op.kind == OpKind::all_reduce) {
    op.down = kAllCodecs[random.below(std::size(kAllCodecs))];
  }
  if (op.kind != OpKind::all_gather) {
    op.reduction = op.reduction == Reduction::avg || random.one_in(2) ? Reduction::avg : Reduction::sum;
    op.weighted = op.reduction == Reduction::avg && random.one_in(2);
  }
  op.rounding = op.up != Codec::none && random.one_in(3) ? Rounding::stochastic : Rounding::nearest;
}

// Turns some ops into exchanges, and into sends with their receives.
void draw_exchange(Random& random, Descriptor& op, std::uint32_t most_elements) {
  const std::uint64_t drawn = random.below(16);
  if (op.kind == OpKind::barrier || drawn >= 4) {
    return;
  }
  Descriptor other;
  other.kind = drawn < 2 ? OpKind::exchange : OpKind::transfer;
  other.tag = op.tag;
  other.dtype = op.dtype;
  other.layout = op.layout;
  other.fail_on_loss = op.fail_on_loss;
  if (other.kind == OpKind::transfer) {
    other.count = random.one_in(12) ? 0 : random.between(1, most_elements);
    other.root = random.below(8);
    other.target = random.below(8);
  }
  op = other;
}

}  // namespace

std::uint64_t exchanged_count(std::uint64_t seed, const PlannedOp& op, std::uint32_t most_elements, PeerId from,
                              PeerId to) {
  Random random(mix({seed, op.lane, op.update, op.index, from, to, 82}));
  return random.one_in(3) ? 0 : random.between(1, most_elements / 2);
}

namespace {

// 0 to 3 ops that stand one after the other, before the tail.
void draw_transaction(Random random, Batch& batch) {
  if (!random.one_in(2)) {
    return;
  }
  const std::size_t ops = batch.ops.size() - (batch.has_tail ? 1 : 0);
  PlannedTransaction drawn;
  drawn.count = random.below(4);
  drawn.first = random.below(ops - drawn.count + 1);
  drawn.fail_on_loss = random.one_in(6);
  batch.transaction = drawn;
  for (std::size_t i = drawn.first; i < drawn.first + drawn.count; ++i) {
    Descriptor& op = batch.ops[i];
    if (op.kind == OpKind::transfer) {
      op = Descriptor{.kind = OpKind::barrier};
    }
    op.fail_on_loss = drawn.fail_on_loss;
  }
}

void lay_out(Batch& batch) {
  for (std::uint32_t i = 0; i <= batch.ops.size(); ++i) {
    const auto& transaction = batch.transaction;
    if (transaction && i == transaction->first) {
      batch.steps.emplace_back(Batch::Step::open, 0);
      if (transaction->count == 0) {
        batch.steps.emplace_back(Batch::Step::close, 0);
      }
    }
    if (i < batch.ops.size()) {
      batch.steps.emplace_back(Batch::Step::op, i);
    }
    if (transaction && transaction->count > 0 && i + 1 == transaction->first + transaction->count) {
      batch.steps.emplace_back(Batch::Step::close, 0);
    }
  }
}

}  // namespace

Batch batch_of(const Options& options, std::uint64_t update) {
  const std::uint64_t seed = options.seed;
  const std::uint32_t ops_per_batch = options.ops_per_batch;
  const std::uint32_t most_elements = options.most_elements;
  const bool with_tails = options.kinds.contains(Fault::wrong_call);
  Random random(mix({seed, update, 77}));
  Batch batch;
  batch.at_once = random.one_in(2);
  for (std::uint64_t n = random.between(4, ops_per_batch); n > 0; --n) {
    batch.ops.push_back(draw_op(random, most_elements));
    Random coded(mix({seed, update, batch.ops.size(), 78}));
    draw_codec(coded, batch.ops.back());
    Random exchanged(mix({seed, update, batch.ops.size(), 81}));
    draw_exchange(exchanged, batch.ops.back(), most_elements);
  }
  if (with_tails && random.one_in(2)) {
    Descriptor tail;
    tail.count = 3;
    tail.tag = 1000 + update;
    batch.ops.push_back(tail);
    batch.has_tail = true;
  }
  if (options.transactions) {
    draw_transaction(Random(mix({seed, update, 86})), batch);
  }
  lay_out(batch);
  return batch;
}

std::vector<std::byte> input_of(std::uint64_t seed, PeerId peer, const PlannedOp& op, const Descriptor& descriptor) {
  if (descriptor.kind == OpKind::barrier) {
    return {};
  }
  Random random(mix({seed, peer, op.lane, op.update, op.index}));
  const std::uint64_t blocks = descriptor.kind == OpKind::reduce_scatter ? descriptor.blocks : 1;
  std::uint64_t count = descriptor.count * blocks;
  for (const collective::Share& share : descriptor.sends) {
    count += share.count;
  }
  std::vector<std::byte> bytes(count * size_of(descriptor.dtype));
  if (random.one_in(8)) {
    return bytes;  // nothing but zeros: with or without it, the sum is the same
  }
  const bool wild = random.one_in(5);  // any bits: NaN, infinities, subnormals
  const std::size_t element = size_of(descriptor.dtype);
  for (std::size_t at = 0; at < bytes.size(); at += element) {
    std::uint64_t bits = random.next();
    if (!wild && descriptor.dtype == DType::f32) {
      bits =
          std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int64_t>(bits >> 40) - (1 << 23)) / 1000.0F);
    } else if (!wild && descriptor.dtype == DType::f64) {
      bits = std::bit_cast<std::uint64_t>(static_cast<double>(static_cast<std::int64_t>(bits >> 20)) / 1e6);
    } else if (!wild && descriptor.dtype == DType::bf16) {
      bits = 0x3f00 + (bits & 0x80ff);
    } else if (!wild && descriptor.dtype == DType::f16) {
      bits = 0x3000 + (bits & 0x8fff);
    }
    std::memcpy(bytes.data() + at, &bits, element);
  }
  return bytes;
}

std::vector<std::byte> residual_of(std::uint64_t seed, PeerId peer, const PlannedOp& op, const Descriptor& descriptor) {
  constexpr std::uint32_t kAnother = 100'000;
  return descriptor.feeds_back ? input_of(seed, peer, {op.lane, op.update, op.index + kAnother}, descriptor)
                               : std::vector<std::byte>{};
}

}  // namespace seaway::sim
