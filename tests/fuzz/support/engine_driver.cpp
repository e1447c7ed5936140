#include "fuzz/support/engine_driver.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "base/dtype.h"
#include "fuzz/support/drawn_calls.h"
#include "fuzz/support/require.h"
#include "hash/hash.h"

namespace seaway::fuzz {

using namespace collective;
using wire::FrameHeader;
using wire::FrameType;

namespace {

constexpr std::array<std::uint32_t, 5> kLengths{64, 4, 32, 16, 0};  // of chunks of these counts

}  // namespace

// --- The caller -----------------------------------------------------------------------------------------------------

void EngineDriver::post(Input& input) {
  const Descriptor descriptor = draw_descriptor(input, self_);
  const Posted posted = engine_.post(descriptor, now);
  if (posted.error != PostError::none) {
    FUZZ_REQUIRE(!posted.text.empty(), "a refusal has a reason");
    return;
  }
  OpKey key{0, generation, descriptor.tag, 0, kNoPeer, kNoPeer};
  if (descriptor.kind == OpKind::transfer) {
    key.source = descriptor.root;
    key.target = descriptor.target;
  }
  key.seq = next_seq_[key]++;
  descriptors_[key] = descriptor;
  posted_.insert(key);
  const std::uint64_t bytes = descriptor.count * size_of(descriptor.dtype);
  const auto bytes_of = [&](const std::vector<Share>& list) {
    std::uint64_t sum = 0;
    for (const Share& share : list) {
      sum += share.count * size_of(descriptor.dtype);
    }
    return sum;
  };
  const std::uint64_t block_in = descriptor.kind == OpKind::reduce_scatter ? descriptor.blocks : 1;
  const std::uint64_t block_out = descriptor.kind == OpKind::all_gather ? descriptor.blocks : 1;
  const bool was_held = unposted_.erase(posted.op) > 0;
  memory_[posted.op] = {.input = bytes * block_in + bytes_of(descriptor.sends),
                        .output = bytes * block_out + bytes_of(descriptor.receives),
                        .has_scratch = lands_in_scratch(descriptor) || was_held,
                        .on_device = descriptor.on_device,
                        .lands_on_device = lands_on_device(descriptor),
                        .coded_in = copied_bytes(descriptor),
                        .coded_out = coded_bytes(descriptor, descriptor.down),
                        .partial = partial_bytes(descriptor)};
  memory_[posted.op].residual = descriptor.feeds_back ? memory_[posted.op].input : 0;
}

std::uint64_t EngineDriver::Memory::bytes_of(Buffer buffer) const {
  switch (buffer) {
    case Buffer::input:
      return input;
    case Buffer::coded_input:
      return coded_in;
    case Buffer::coded_result:
      return coded_out;
    case Buffer::partial:
      return partial;
    case Buffer::residual:
      return residual;
    default:
      return output;
  }
}

void EngineDriver::cancel(Input& input) {
  if (!memory_.empty()) {
    auto it = memory_.begin();
    std::advance(it, input.below(static_cast<std::uint32_t>(std::min<std::size_t>(memory_.size(), 256))));
    engine_.cancel(it->first, input.text(input.below(4)), now);
    static_cast<void>(engine_.progress(it->first));
  }
}

// --- Frames in ------------------------------------------------------------------------------------------------------

OpKey EngineDriver::draw_op(Input& input) {
  const std::uint8_t byte = input.byte();
  OpKey key{0, generation, kTags[byte % kTags.size()], (byte >> 2) % 4u, kNoPeer, kNoPeer};
  if (byte >= 192) {
    key.generation += input.below(3) - 1;
  }
  if (byte >= 240) {
    key = {input.number<std::uint16_t>(),
           input.number<std::uint32_t>(),
           input.number<std::uint64_t>(),
           input.number<std::uint32_t>(),
           kNoPeer,
           kNoPeer};
  }
  return key;
}

Cut EngineDriver::draw_attempt(Input& input) {
  switch (input.below(6)) {
    case 0:
      return {};
    case 1:
      return {cut.term, cut.number + 1};
    case 2:
      return {input.number<std::uint64_t>(), input.number<std::uint32_t>()};
    default:
      return cut;
  }
}

std::vector<std::byte> EngineDriver::draw_payload(Input& input, FrameHeader& header) {
  switch (header.type) {
    case FrameType::ready: {
      const auto mine = descriptors_.find(header.op);
      const std::uint8_t flags = input.byte();
      const bool alike = mine != descriptors_.end() && (flags & 1) == 0;
      wire::Ready ready;
      const Descriptor said = alike ? mine->second : draw_descriptor(input, self_);
      ready.digest = !alike && (flags & 2) != 0 ? 0 : digest_of(said);
      if (said.quorum > 0) {
        ready.terms = draw_terms(input, said);
      }
      ready.weight = (flags & 4) != 0 ? input.below(4) : 1;
      ready.standing = static_cast<Standing>(1 + (flags >> 3) % 4);
      ready.has_data = (flags & 32) != 0;
      ready.gives = (flags & 3) == 0 ? input.below(101) : 0;
      ready.takes = (flags & 3) == 0 ? input.below(101) : 0;
      ready.described = (flags & 64) != 0 ? input.text(input.byte()) : "";
      header.chunk = (flags & 128) != 0 ? input.below(6) : 0;
      return wire::encode_payload(ready);
    }
    case FrameType::want: {
      wire::Want want;
      want.again = input.one_in(2);
      for (std::uint32_t left = input.below(4); left > 0; --left) {
        want.ranges.push_back({input.below(8), input.one_in(8) ? input.number<std::uint32_t>() : input.below(8)});
      }
      return wire::encode_payload(want);
    }
    case FrameType::hold: {
      const auto mine = held_.find(header.op);
      wire::Hold hold{mine == held_.end() ? Value{} : mine->second};
      if (input.one_in(4)) {
        hold.value.bits = input.byte();
      }
      if (input.one_in(4)) {
        hold.value.attempt = header.attempt;
      } else {
        header.attempt = hold.value.attempt;
      }
      return wire::encode_payload(hold);
    }
    case FrameType::set: {
      wire::ContributorSet set;
      for (std::uint32_t left = input.below(5); left > 0; --left) {
        set.members.push_back(self_ + input.below(4));
      }
      return wire::encode_payload(set);
    }
    case FrameType::ack: {
      wire::Ack ack{input.one_in(8) ? input.number<std::uint64_t>() : input.byte(), {}, {input.byte(), input.byte()}};
      for (std::uint32_t left = input.below(3); left > 0; --left) {
        ack.beyond.push_back(input.number<std::uint64_t>());
      }
      return wire::encode_payload(ack);
    }
    default:
      return {};
  }
}

FrameHeader EngineDriver::draw_frame(Input& input, PeerId from, std::vector<std::byte>& payload) {
  FrameHeader header;
  header.type = static_cast<FrameType>(1 + input.below(10));
  header.op = draw_op(input);
  if (input.one_in(4)) {
    const bool forward = input.one_in(2);
    header.direction = forward ? wire::Direction::forward : wire::Direction::backward;
    header.op.source = forward ? from : self_;
    header.op.target = forward ? self_ : from;
  }
  header.epoch = epoch;
  header.attempt = cut;
  const std::uint8_t unusual = input.byte();  // most frames are those of a healthy peer but for what they speak of
  if ((unusual & 1) != 0) {
    header.attempt = draw_attempt(input);
  }
  if (header.type == FrameType::result && (unusual & 64) != 0) {
    header.type = FrameType::partial;
  }
  const bool counted = header.type != FrameType::ack && header.type != FrameType::ping;
  if (counted != ((unusual & 126) == 126)) {
    std::uint64_t& next = link_seqs_[from];
    header.link_seq = (unusual & 6) == 6 ? input.below(32) : (unusual & 8) != 0 ? (next += 2) : ++next;
  }
  if (header.type == FrameType::part || header.type == FrameType::result || header.type == FrameType::partial) {
    header.chunk = input.below(8);
    header.length = kLengths[input.below(kLengths.size())];
    if ((unusual & 48) == 48) {
      header.chunk = input.number<std::uint32_t>();
      header.length = input.number<std::uint16_t>();
    }
    return header;
  }
  payload = draw_payload(input, header);
  if ((unusual & 192) == 192 && !payload.empty()) {  // damaged
    payload[input.byte() % payload.size()] = static_cast<std::byte>(input.byte());
    payload.resize(payload.size() - input.below(2));
  }
  header.length = static_cast<std::uint32_t>(payload.size());
  return header;
}

void EngineDriver::begin_frame(ConnId conn, Input& input) {
  Incoming& incoming = connections_.at(conn);
  std::vector<std::byte> payload;
  const auto header = wire::decode_frame_header(wire::encode(draw_frame(input, incoming.peer, payload)));
  if (!header) {
    lose(conn);
    return;
  }
  const Landing landing = engine_.on_header(conn, *header, now);
  if (std::holds_alternative<Refuse>(landing)) {
    FUZZ_REQUIRE(!std::get<Refuse>(landing).reason.empty(), "a refusal has a reason");
    lose(conn);
    return;
  }
  incoming.header = header;
  incoming.payload = std::move(payload);
  incoming.is_message = std::holds_alternative<Message>(landing);
  incoming.region.reset();
  if (const auto* land = std::get_if<Land>(&landing)) {
    check_is_hosts(land->region);
    FUZZ_REQUIRE(land->region.length == header->length, "a payload lands in a region of its length");
    check(land->region, true);
    incoming.region = land->region;
  }
}

void EngineDriver::end_frame(ConnId conn) {
  Incoming& incoming = connections_.at(conn);
  incoming.header.reset();
  incoming.region.reset();
  engine_.on_bytes(conn, now);
  if (incoming.is_message) {
    engine_.on_message(conn, std::exchange(incoming.payload, {}), now);
  } else {
    engine_.on_landed(conn, now);
  }
}

void EngineDriver::receive(Input& input) {
  if (connections_.empty()) {
    return;
  }
  const std::uint8_t how = input.byte();
  auto it = connections_.begin();
  std::advance(it, (how >> 2) % connections_.size());
  const ConnId conn = it->first;
  if (!it->second.header) {
    begin_frame(conn, input);
  }
  const auto begun = connections_.find(conn);  // a refused one is gone
  if (begun != connections_.end() && begun->second.header && (how & 3) != 3) {
    end_frame(conn);
  }
}

// --- Frames out -----------------------------------------------------------------------------------------------------

void EngineDriver::send(Input& input) {
  if (connections_.empty()) {
    return;
  }
  std::vector<ConnId> stirred;
  engine_.take_stirred(stirred);
  auto it = connections_.begin();
  std::advance(it, input.below(static_cast<std::uint32_t>(connections_.size())));
  std::vector<OutFrame> frames;
  const bool wanted = engine_.wants_to_send(it->first);
  const std::size_t count = engine_.pull(it->first, input.byte(), frames, now);
  FUZZ_REQUIRE(count == frames.size(), "pull counts what it gives");
  FUZZ_REQUIRE(!wanted || count > 0, "who wants to send has something to send");
  for (const OutFrame& frame : frames) {
    auto header = wire::decode_frame_header(wire::encode(frame.header));
    if (header && frame.header.op.has_two_ends()) {  // which its reader knows from the link
      FUZZ_REQUIRE(header->direction != wire::Direction::none, "a header says that its op has two ends");
      header->op.source = frame.header.op.source;
      header->op.target = frame.header.op.target;
    }
    FUZZ_REQUIRE(header == frame.header, "every frame that leaves can be decoded");
    FUZZ_REQUIRE(frame.header.length == (frame.region.length > 0 ? frame.region.length : frame.message.size()),
                 "a header says how long its payload is");
    if (frame.region.length > 0) {
      check(frame.region, false);
      check_is_hosts(frame.region);
    }
    if (frame.header.type == FrameType::hold) {
      held_[frame.header.op] = wire::decode_payload<wire::Hold>(frame.message)->value;
    }
  }
}

// --- Jobs and memory ------------------------------------------------------------------------------------------------

void EngineDriver::work(Input& input) {
  Job job;
  for (std::uint32_t left = 1 + input.below(8); left > 0 && engine_.next_job(job); --left) {
    check(job);
    jobs_.push_back(job);
  }
  for (std::uint32_t left = input.below(8); left > 0 && !jobs_.empty(); --left) {
    const std::size_t which = input.byte() % jobs_.size();
    const Job done = jobs_[which];
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(which));
    engine_.on_done(done.id, hash64(std::as_bytes(std::span(&done.dst.offset, 1))), now);
  }
}

void EngineDriver::check(const Job& job) {
  check(job.dst, false);
  const std::uint64_t plain = job.count * size_of(job.dtype);
  const std::uint64_t coded = job.codec == Codec::none ? plain : encoded_bytes(job.codec, job.count);
  const bool encodes = job.kind == JobKind::encode;
  // A site's only contribution is copied as it travels.
  const bool is_sum = job.dst.buffer == Buffer::partial && job.kind == JobKind::copy;
  FUZZ_REQUIRE(job.kind == JobKind::hash || is_sum || (encodes ? coded : plain) == job.dst.length,
               "a job is of whole elements");
  for (const JobSource& source : job.sources) {
    check(source.region, false);
    FUZZ_REQUIRE(source.region.length == (is_sum    ? job.dst.length
                                          : encodes ? plain
                                                    : coded),
                 "a source is as long as what is made of it");
  }
  if (job.kind == JobKind::decode && job.coded.length > 0) {
    check(job.coded, false);
    FUZZ_REQUIRE(job.coded.length == coded, "and so is what is kept of it");
  }
  if (job.coded_by != Codec::none) {
    check(job.coded, false);
    FUZZ_REQUIRE(job.coded.length == encoded_bytes(job.coded_by, job.count), "so is what is sent of a result");
  }
  if (job.residual.length > 0) {
    check(job.residual, false);
    FUZZ_REQUIRE(job.residual.length == plain, "and a residual");
  }
}

void EngineDriver::check(const Region& region, bool may_be_new) {
  const std::uint64_t end = region.offset + region.length;
  if (region.buffer == Buffer::slot) {
    FUZZ_REQUIRE(!freed_.contains(region.owner), "a slot is not named after it was freed");
    const auto [slot, is_new] = slots_.try_emplace(region.owner, region.length);
    FUZZ_REQUIRE(may_be_new || !is_new, "what is read was written first");
    FUZZ_REQUIRE(end <= slot->second, "a region lies in its slot");
    return;
  }
  const auto memory = memory_.find(region.owner);
  FUZZ_REQUIRE(memory != memory_.end(), "the buffers of an op that has ended are the caller's");
  FUZZ_REQUIRE(end <= memory->second.bytes_of(region.buffer), "a region lies in its buffer");
  FUZZ_REQUIRE(region.buffer != Buffer::scratch || memory->second.has_scratch,
               "a scratch is there for results to land in");
}

// Connections do not read or write a device.
void EngineDriver::check_is_hosts(const Region& region) {
  const bool is_callers =
      region.buffer == Buffer::input || region.buffer == Buffer::output || region.buffer == Buffer::residual;
  if (region.buffer != Buffer::slot) {
    const Memory& memory = memory_.at(region.owner);
    FUZZ_REQUIRE(!is_callers || !memory.on_device, "what travels does not lie on a device");
    FUZZ_REQUIRE(region.buffer != Buffer::scratch || !memory.lands_on_device, "what lands on a device does not travel");
  }
}

// --- Effects --------------------------------------------------------------------------------------------------------

void EngineDriver::settle() {
  for (bool again = true; again;) {
    const std::vector<EngineEffect> effects = owner_.effects();
    again = !effects.empty();
    for (const EngineEffect& effect : effects) {
      perform(effect);
    }
  }
  if (answer_at_once) {
    answer_releases();
  }
}

void EngineDriver::perform(const EngineEffect& effect) {
  if (const auto* ended = std::get_if<OpEnded>(&effect)) {
    FUZZ_REQUIRE(memory_.erase(ended->op) == 1, "an op ends once");
    const auto touches = [&](const Region& region) {
      return region.buffer != Buffer::slot && region.owner == ended->op;
    };
    FUZZ_REQUIRE(std::none_of(jobs_.begin(), jobs_.end(), [&](const Job& job) { return touches(job.dst); }),
                 "no job touches the buffers of an op that has ended");
    for (const auto& [conn, incoming] : connections_) {
      FUZZ_REQUIRE(!incoming.region || !touches(*incoming.region),
                   "nothing lands in the buffers of an op that has ended");
    }
  } else if (const auto* released = std::get_if<Release>(&effect)) {
    releases_.push_back(*released);
  } else if (const auto* held = std::get_if<HoldResult>(&effect)) {
    memory_[held->op] = {.output = held->scratch_bytes, .has_scratch = true, .coded_out = held->coded_bytes};
    unposted_.insert(held->op);
    releases_.push_back({held->op, false});
  } else if (const auto* unheld = std::get_if<FreeHeld>(&effect)) {
    FUZZ_REQUIRE(unposted_.erase(unheld->op) == 1 && memory_.erase(unheld->op) == 1, "what is held is freed once");
  } else if (const auto* free = std::get_if<FreeSlot>(&effect)) {
    FUZZ_REQUIRE(freed_.insert(free->slot).second, "a slot is freed once");
    for (const auto& [conn, incoming] : connections_) {
      FUZZ_REQUIRE(!incoming.region || incoming.region->buffer != Buffer::slot || incoming.region->owner != free->slot,
                   "memory that a connection writes to is not freed");
    }
    for (const Job& job : jobs_) {
      for (const JobSource& source : job.sources) {
        FUZZ_REQUIRE(source.region.buffer != Buffer::slot || source.region.owner != free->slot,
                     "memory that a job reads is not freed");
      }
    }
  } else if (const auto* close = std::get_if<CloseLinkConnection>(&effect)) {
    lose(close->conn);
  }
}

void EngineDriver::answer_releases() {
  while (!releases_.empty()) {
    for (const Release& effect : std::exchange(releases_, {})) {
      release(effect);
    }
    for (const EngineEffect& effect : owner_.effects()) {
      perform(effect);
    }
  }
}

void EngineDriver::release(const Release& effect) {
  for (auto& [conn, incoming] : connections_) {
    if (incoming.region && incoming.region->buffer != Buffer::slot && incoming.region->owner == effect.op) {
      incoming.region.reset();  // the rest of it goes nowhere
    }
  }
  engine_.on_released(effect.op, now);
}

// --- Connections ----------------------------------------------------------------------------------------------------

void EngineDriver::lose(ConnId conn) {
  const auto it = connections_.find(conn);
  if (it != connections_.end()) {
    const PeerId peer = it->second.peer;
    connections_.erase(it);
    owner_.lost(conn, peer);
  }
}

void EngineDriver::lose_all(PeerId peer) {
  for (const ConnId conn : connections()) {
    if (connections_.at(conn).peer == peer) {
      connections_.erase(conn);
      engine_.on_lost(conn, now);
    }
  }
}

std::vector<ConnId> EngineDriver::connections() const {
  std::vector<ConnId> conns;
  for (const auto& [conn, incoming] : connections_) {
    conns.push_back(conn);
  }
  return conns;
}

}  // namespace seaway::fuzz
