#include "sim/program.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "sim/peer_process.h"
#include "sim/shared_state.h"
#include "sim/world.h"

namespace seaway::sim {

using collective::Descriptor;
using collective::OpKind;

namespace {

// What every member says of the op.
void draw_quorum(Random random, Descriptor& op) {
  if (collective::reduces(op.kind) && random.one_in(3)) {
    constexpr Duration kGraces[] = {0, 5, 100, 1'000};
    op.quorum = static_cast<std::uint32_t>(random.between(1, 5));
    op.grace = kGraces[random.below(std::size(kGraces))] * kMillisecond;
  }
}

}  // namespace

Program::Program(World& world, PeerProcess& peer)
    : world_(&world), peer_(&peer), state_(std::make_unique<SharedState>(world, peer)) {}

Program::~Program() = default;

void Program::begin(std::uint64_t update) {
  update_ = update;
  const Options& options = world_->options;
  if (update >= options.updates) {
    finished_ = true;
    return;
  }
  batch_ = batch_of(options, update);
  next_ = 0;
  if (batch_.transaction) {
    const std::uint16_t lane = peer_->site().lane;
    world_->checker.is_in_transaction({lane, update, kTransactionOp});
    for (std::size_t i = 0; i < batch_.transaction->count; ++i) {
      world_->checker.is_in_transaction({lane, update, static_cast<std::uint32_t>(batch_.transaction->first + i)});
    }
  }
  const bool syncs = options.stateful && update % 2 == 1;
  if (options.stateful) {
    Random own(mix({options.seed, peer_->id(), update, 9}));
    const bool strays = own.one_in(5);
    state_->train(update, strays, own.one_in(6));
  }
  peer_->later(world_->up_to(10 * kMillisecond), [this, syncs] {
    if (stopped_) {
      return;
    }
    if (syncs) {
      state_->sync(update_);
      peer_->pump();
    } else {
      post_next();
    }
  });
}

void Program::synced() {
  peer_->later(world_->up_to(2 * kMillisecond), [this] { post_next(); });
}

// Lost members included, so that everybody means the same ones by a position, and by a number of blocks.
std::vector<PeerId> Program::base() const {
  std::vector<PeerId> base = peer_->core().base();
  if (base.empty()) {
    throw Violation("the base of a member's own generation is not in EPOCH");
  }
  return base;
}

// Positions become members. False: it is a send between two others.
bool Program::place_members(Descriptor& op, const PlannedOp& planned) const {
  const std::vector<PeerId> members = base();
  if (op.kind == OpKind::broadcast) {
    op.root = members[op.root % members.size()];
  }
  if (op.kind == OpKind::transfer) {
    if (members.size() < 2) {
      return false;
    }
    const std::size_t from = op.root % members.size();
    op.root = members[from];
    op.target = members[(from + 1 + op.target % (members.size() - 1)) % members.size()];
    return op.root == peer_->id() || op.target == peer_->id();
  }
  if (collective::has_blocks(op.kind)) {
    op.blocks = members.size();
  }
  if (op.kind == OpKind::exchange) {
    draw_lists(op, planned);
  }
  return true;
}

// In an order of my own, and now and then nothing is said to be sent.
void Program::draw_lists(Descriptor& op, const PlannedOp& planned) const {
  const Options& options = world_->options;
  Random own(mix({options.seed, peer_->id(), planned.update, planned.index, 83}));
  const auto count = [&](PeerId from, PeerId to) {
    return exchanged_count(options.seed, planned, options.most_elements, from, to);
  };
  for (const PeerId other : base()) {
    const std::uint64_t gives = count(peer_->id(), other);
    const std::uint64_t takes = count(other, peer_->id());
    if (gives > 0 || own.one_in(2)) {
      op.sends.insert(op.sends.begin() + static_cast<std::ptrdiff_t>(own.below(op.sends.size() + 1)), {other, gives});
    }
    if (takes > 0 || own.one_in(2)) {
      op.receives.insert(op.receives.begin() + static_cast<std::ptrdiff_t>(own.below(op.receives.size() + 1)),
                         {other, takes});
    }
  }
}

void Program::post_next() {
  if (stopped_ || finished_) {
    return;
  }
  if (next_ == batch_.steps.size()) {
    batch_done();
    return;
  }
  if (!batch_.at_once && !running_.empty() && transaction_ == 0) {
    return;  // goes on when it has ended
  }
  Duration wait = world_->up_to(2 * kMillisecond);
  if (posts_late()) {
    wait += static_cast<Duration>(world_->random.below(1'500)) * kMillisecond;
  }
  if (slow) {
    slow = false;
    wait = static_cast<Duration>(world_->random.between(1, 2'500)) * kMillisecond;
  }
  peer_->later(wait, [this] {
    if (!stopped_) {
      take_step();
      post_next();
    }
  });
}

void Program::take_step() {
  if (next_ >= batch_.steps.size()) {
    return;
  }
  const auto [step, index] = batch_.steps[next_++];
  switch (step) {
    case Batch::Step::op:
      post_one(index);
      break;
    case Batch::Step::open:
      open_transaction();
      break;
    case Batch::Step::close:
      peer_->close_transaction(std::exchange(transaction_, 0));
      break;
  }
}

void Program::open_transaction() {
  Descriptor transaction{.kind = OpKind::transaction, .fail_on_loss = batch_.transaction->fail_on_loss};
  const PlannedOp planned{peer_->site().lane, update_, kTransactionOp};
  if (hurry && world_->random.one_in(2)) {
    hurry = false;
    transaction.deadline = world_->clock.now() + static_cast<Duration>(world_->random.between(1, 800)) * kMillisecond;
    world_->checker.expect_failure(planned);
  }
  if (const auto handle = peer_->post(transaction, planned)) {
    transaction_ = *handle;
    running_[*handle] = planned;
  }
}

// A straggler of an op with a quorum.
bool Program::posts_late() const {
  const auto [step, index] = batch_.steps[next_];
  if (step != Batch::Step::op) {
    return false;
  }
  Descriptor op = batch_.ops[index];
  add_quorum(op, index);
  return op.quorum > 0 && Random(mix({world_->options.seed, peer_->id(), update_, index, 85})).one_in(4);
}

void Program::add_quorum(Descriptor& op, std::uint32_t index) const {
  if (world_->options.quorums && !batch_.is_in_transaction(index)) {
    draw_quorum(Random(mix({world_->options.seed, update_, index, 84})), op);
  }
}

void Program::post_one(std::uint32_t index) {
  Descriptor op = batch_.ops[index];
  const PlannedOp planned{peer_->site().lane, update_, index};
  const bool tail = batch_.has_tail && index + 1 == batch_.ops.size();
  Random own(mix({world_->options.seed, peer_->id(), update_, index}));
  if (!place_members(op, planned)) {
    return;
  }
  add_quorum(op, index);
  op.transaction = batch_.is_in_transaction(index) ? transaction_ : 0;
  op.has_data = op.kind == OpKind::broadcast && own.one_in(3);
  op.in_place = op.kind == OpKind::all_reduce && own.one_in(2);
  op.weight = op.weighted ? static_cast<double>(own.below(4)) : 1;
  op.priority = static_cast<std::int32_t>(Random(mix({world_->options.seed, update_, index, 80})).below(3)) - 1;
  op.on_device =
      op.kind != OpKind::barrier && Random(mix({world_->options.seed, peer_->id(), update_, index, 87})).one_in(4);
  op.feeds_back =
      op.up != Codec::none && Random(mix({world_->options.seed, peer_->id(), update_, index, 79})).one_in(2);
  if (tail) {
    op.deadline = world_->clock.now() + 4 * kSecond;
    world_->checker.expect_failure(planned);
    if (skip_tail) {
      skip_tail = false;
      return;
    }
  }
  if (invalid) {
    invalid = false;
    Descriptor wrong = op;
    wrong.weight = -1;
    wrong.dtype = static_cast<DType>(99);
    wrong.kind = OpKind::all_reduce;
    if (peer_->post(wrong, planned)) {
      throw Violation("a descriptor with wrong arguments was taken");
    }
  }
  if (differ && op.transaction != 0 && own.one_in(3)) {  // its list is one op shorter
    differ = false;
    world_->checker.expect_failure(planned);
    return;
  }
  if (differ && !tail) {
    differ = false;
    // What a member has for itself it cannot differ in.
    std::vector<collective::Share>& list = own.one_in(2) ? op.sends : op.receives;
    const auto share = std::ranges::find_if(list, [&](const auto& s) { return s.peer != peer_->id(); });
    if (share != list.end() && own.one_in(2)) {
      share->count = share->count > 0 && own.one_in(2) ? share->count - 1 : share->count + 1;
    } else {
      op.layout = 99;
    }
    world_->checker.expect_failure(planned);
  }
  if (hurry) {
    hurry = false;
    const auto soon = static_cast<Duration>(own.between(1, 800)) * kMillisecond;
    (own.one_in(2) ? op.deadline : op.no_progress) = soon;
    op.deadline = op.deadline == soon ? world_->clock.now() + soon : op.deadline;
    world_->checker.expect_failure(planned);
  }
  if (const auto handle = peer_->post(op, planned)) {
    running_[*handle] = planned;
  }
}

void Program::ended(OpHandle op, const collective::Result& result) {
  if (state_->ended(op, result)) {
    return;
  }
  running_.erase(op);
  if (running_.empty() && (next_ == batch_.steps.size() || !batch_.at_once)) {
    peer_->later(world_->up_to(2 * kMillisecond), [this] { post_next(); });
  }
}

void Program::batch_done() {
  if (!running_.empty() || updating_ || stopped_) {
    return;
  }
  updating_ = true;
  peer_->later(world_->up_to(world_->options.update_delay), [this] {
    if (!stopped_) {
      peer_->update();
    }
  });
}

void Program::updated(std::uint64_t update) {
  updating_ = false;
  begin(update);
}

void Program::cancel_one() {
  const auto ops = running();
  if (!ops.empty()) {
    const auto drawn = std::next(ops.begin(), static_cast<std::ptrdiff_t>(world_->random.below(ops.size())));
    world_->checker.expect_failure(drawn->second);
    peer_->cancel(drawn->first);
    peer_->pump();
  }
}

std::map<OpHandle, PlannedOp> Program::running() const {
  std::map<OpHandle, PlannedOp> ops = running_;
  ops.insert(state_->running().begin(), state_->running().end());
  return ops;
}

void Program::expect_failures() {
  for (const auto& [op, planned] : running()) {
    world_->checker.expect_failure(planned);
  }
}

std::string Program::what_it_waits_for() const {
  if (finished_) {
    return "nothing";
  }
  std::string text = "update " + std::to_string(update_) + (updating_ ? ", in update()" : "");
  text += state_->where();
  for (const auto& [op, planned] : running()) {
    text += ", op " + std::to_string(planned.index);
    if (const auto progress = const_cast<core::Peer&>(peer_->core()).engine().progress(op)) {
      text += " (" + progress->phase + ")";
    }
  }
  return text;
}

}  // namespace seaway::sim
