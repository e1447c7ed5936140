// A few engines wired to one another in memory: every frame arrives, at once or when a test lets it. Enough to state
// what one op does; everything that can go wrong at once is the simulator's.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "collective/engine.h"
#include "hash/hash.h"
#include "reduce/reduce.h"

namespace seaway::collective {

struct Ended {
  OpHandle op = 0;
  Result result;
};

// Decides as the master does when nobody asked for anything else.
inline std::vector<wire::Decision> all(const std::vector<wire::OpReport>& reports, wire::Verdict verdict) {
  std::vector<wire::Decision> decisions;
  for (const wire::OpReport& report : reports) {
    decisions.push_back({report.op, verdict, "a test decided so"});
  }
  return decisions;
}

class Cluster {
 public:
  // `sites` has a number for each member; none: every member is alone at its own. With several lanes those of a replica stand
  // together.
  explicit Cluster(std::size_t members, Limits limits = small_limits(), const std::vector<std::uint16_t>& sites = {},
                   std::size_t lanes = 1) {
    const auto lane_of = [&](std::size_t i) { return static_cast<std::uint16_t>(i % lanes); };
    for (std::size_t i = 0; i < members; ++i) {
      nodes_.push_back(std::make_unique<Node>(EngineConfig{id(i), lane_of(i), limits, Ladder{}}));
    }
    epoch_.epoch = {1, 1};
    epoch_.cut = {0, 0};
    epoch_.bases.push_back({1, {}});
    for (std::size_t i = 0; i < members; ++i) {
      epoch_.roster.push_back({id(i),
                               {0, i},
                               std::string(1, static_cast<char>('a' + i)),
                               static_cast<std::uint32_t>(i / lanes),
                               lane_of(i),
                               1,
                               0,
                               {}});
      const auto site = sites.empty() ? static_cast<std::uint16_t>(i) : sites[i];
      epoch_.bases[0].members.push_back({id(i), lane_of(i), 0, false, site});
    }
    for (std::size_t i = 0; i < members; ++i) {
      nodes_[i]->engine.adopt(epoch_, now);
      nodes_[i]->engine.enter_generation(1, now);
      for (std::size_t j = 0; j < members; ++j) {
        if (i != j && (lane_of(i) == lane_of(j) || i / lanes == j / lanes)) {
          nodes_[i]->engine.attach(id(j), conn(i, j), false, now);
        }
      }
    }
  }

  static Limits small_limits() {
    Limits limits;
    limits.chunk_bytes = 64;
    limits.one_shot_bytes = 0;
    limits.eager_bytes = 256;
    limits.window_bytes = 256;
    limits.least_window_bytes = 256;
    return limits;
  }

  static PeerId id(std::size_t i) { return 100 + i; }
  // A connection has one name at each end.
  static ConnId conn(std::size_t at, std::size_t to) { return at * 100 + to + 1; }

  Engine& engine(std::size_t i) { return nodes_[i]->engine; }

  OpHandle post(std::size_t i, const Descriptor& descriptor, std::vector<float> input) {
    const Posted posted = engine(i).post(descriptor, now);
    if (posted.error == PostError::none) {
      Memory& memory = nodes_[i]->memory[posted.op];
      memory.input = std::move(input);
      memory.on_device = descriptor.on_device;
      const bool gathers = descriptor.kind == OpKind::all_gather;
      memory.output.resize(descriptor.count * (gathers ? descriptor.blocks : 1));
      for (const Share& share : descriptor.receives) {
        memory.output.resize(memory.output.size() + share.count);
      }
      memory.scratch.resize(std::max(memory.input.size(), memory.output.size()));
      memory.residual.resize(descriptor.feeds_back ? memory.input.size() : 0, .25F);
    }
    return posted.op;
  }

  std::vector<float>& input(std::size_t i, OpHandle op) { return nodes_[i]->memory[op].input; }
  std::vector<float>& residual(std::size_t i, OpHandle op) { return nodes_[i]->memory[op].residual; }
  int encodings(std::size_t i) const { return nodes_[i]->encodings; }
  std::vector<float>& output(std::size_t i, OpHandle op) { return nodes_[i]->memory[op].output; }
  const std::vector<Ended>& ended(std::size_t i) const { return nodes_[i]->ended; }
  const std::vector<EngineEffect>& asked(std::size_t i) const { return nodes_[i]->asked; }

  // Frames between these two wait.
  void hold_back(std::size_t from, std::size_t to) { held_.insert({from, to}); }
  void let_go(std::size_t from, std::size_t to) { held_.erase({from, to}); }

  // Payload that went from one to another in frames of this type.
  std::uint64_t sent(std::size_t from, std::size_t to, wire::FrameType type) { return sent_[{from, to}][type]; }

  // Everything that can happen happens.
  void run() {
    for (bool moved = true; moved;) {
      moved = false;
      now += kMillisecond;
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (!dead_.contains(i)) {
          engine(i).tick(now);
          moved = step(i) || moved;
        }
      }
    }
  }

  // What core::Peer does when the master announces a loss. Returns the reports, in the order of the survivors.
  std::vector<std::vector<wire::OpReport>> lose(std::size_t victim) { return lose(std::vector{victim}); }
  std::vector<std::vector<wire::OpReport>> lose(const std::vector<std::size_t>& victims) {
    for (const std::size_t victim : victims) {
      dead_.insert(victim);
      std::erase_if(epoch_.roster, [&](const auto& member) { return member.id == id(victim); });
    }
    return cut();
  }
  std::vector<std::vector<wire::OpReport>> cut() {
    ++epoch_.epoch.number;
    epoch_.cut = epoch_.epoch;
    std::vector<std::vector<wire::OpReport>> reports;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!dead_.contains(i)) {
        engine(i).adopt(epoch_, now);
        reports.push_back(engine(i).report());
        for (const std::size_t gone : dead_) {
          engine(i).forget(id(gone), now);
        }
      }
    }
    return reports;
  }
  void next_generation() {
    epoch_.bases.push_back(epoch_.bases.back());
    const std::uint32_t generation = ++epoch_.bases.back().generation;
    adopt_everywhere();
    for (const auto& node : nodes_) {
      node->engine.enter_generation(generation, now);
    }
  }
  // Everybody goes on to the next generation. Then no op of the one before is open anywhere any more, and EPOCH says these.
  void leave_generation(const std::vector<wire::Decision>& decisions) {
    next_generation();
    epoch_.bases.erase(epoch_.bases.begin());
    epoch_.decisions = decisions;
    adopt_everywhere();
  }
  void resolve(const std::vector<wire::Decision>& decisions) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!dead_.contains(i)) {
        engine(i).resolve(epoch_.cut, decisions, now);
        CHECK(engine(i).contradiction() == "");
      }
    }
  }

  // Connections that are slow to let go of buffers.
  bool hold_releases = false;
  void answer_releases() {
    hold_releases = false;
    for (const auto& [i, op] : std::exchange(unanswered_, {})) {
      engine(i).on_released(op, now);
    }
  }

  Time now = 0;

 private:
  struct Memory {
    std::vector<float> input, output, scratch, residual;
    std::vector<std::byte> coded_in, coded_out, partial;
    std::vector<std::byte> mirror;  // of coded_in, for jobs: what stays is nowhere else
    bool on_device = false;
  };

  void adopt_everywhere() {
    ++epoch_.epoch.number;
    for (const auto& node : nodes_) {
      node->engine.adopt(epoch_, now);
    }
  }
  struct Node {
    explicit Node(EngineConfig config) : engine(config) {}
    Engine engine;
    std::map<OpHandle, Memory> memory;
    std::map<SlotId, std::vector<std::byte>> slots;
    std::vector<Ended> ended;
    std::vector<EngineEffect> asked;
    int encodings = 0;
  };

  // Where jobs find an encoding.
  std::byte* job_address(Node& node, const Region& region) {
    if (region.buffer != Buffer::coded_input) {
      return address(node, region);
    }
    auto& mirror = node.memory.at(region.owner).mirror;
    mirror.resize(std::max<std::size_t>(mirror.size(), region.offset + region.length));
    return mirror.data() + region.offset;
  }

  std::byte* address(Node& node, const Region& region) {
    if (region.buffer == Buffer::slot) {
      auto& slot = node.slots[region.owner];
      slot.resize(std::max<std::size_t>(slot.size(), region.offset + region.length));
      return slot.data() + region.offset;
    }
    Memory& memory = node.memory.at(region.owner);
    if (region.buffer == Buffer::coded_input || region.buffer == Buffer::coded_result ||
        region.buffer == Buffer::partial) {
      auto& coded = region.buffer == Buffer::coded_input    ? memory.coded_in
                    : region.buffer == Buffer::coded_result ? memory.coded_out
                                                            : memory.partial;
      coded.resize(std::max<std::size_t>(coded.size(), region.offset + region.length));
      return coded.data() + region.offset;
    }
    auto& floats = region.buffer == Buffer::input      ? memory.input
                   : region.buffer == Buffer::output   ? memory.output
                   : region.buffer == Buffer::residual ? memory.residual
                                                       : memory.scratch;
    return reinterpret_cast<std::byte*>(floats.data()) + region.offset;
  }

  bool step(std::size_t i) {
    Node& node = *nodes_[i];
    bool moved = false;
    Job job;
    while (node.engine.next_job(job)) {
      run_job(node, job);
      moved = true;
    }
    for (const EngineEffect& effect : node.engine.take_effects()) {
      moved = true;
      if (const auto* ended = std::get_if<OpEnded>(&effect)) {
        node.ended.push_back({ended->op, ended->result});
      } else if (const auto* release = std::get_if<Release>(&effect)) {
        if (hold_releases) {
          unanswered_.emplace_back(i, release->op);
        } else {
          node.engine.on_released(release->op, now);
        }
      } else if (const auto* held = std::get_if<HoldResult>(&effect)) {
        node.memory[held->op].scratch.resize(held->scratch_bytes / sizeof(float));
        node.engine.on_released(held->op, now);
      } else if (const auto* unheld = std::get_if<FreeHeld>(&effect)) {
        node.memory.erase(unheld->op);
      } else if (const auto* free = std::get_if<FreeSlot>(&effect)) {
        node.slots.erase(free->slot);
      } else {
        node.asked.push_back(effect);
      }
    }
    for (std::size_t j = 0; j < nodes_.size(); ++j) {
      if (j == i || dead_.contains(j) || held_.contains({i, j})) {
        continue;
      }
      std::vector<OutFrame> frames;
      node.engine.pull(conn(i, j), 4096, frames, now);
      for (const OutFrame& frame : frames) {
        deliver(node, *nodes_[j], conn(j, i), frame);
        sent_[{i, j}][frame.header.type] += frame.region.length;
        moved = moved || frame.header.type != wire::FrameType::ping;
      }
    }
    return moved;
  }

  void run_job(Node& node, const Job& job) {
    std::byte* dst = job_address(node, job.dst);
    const CodecKernels& codecs = scalar_codec_kernels();
    if (job.kind == JobKind::encode) {
      ++node.encodings;
      codecs.encode({.codec = job.codec,
                     .dst = dst,
                     .src = address(node, job.sources[0].region),
                     .piece = seaway::whole(job.count),
                     .residual = job.residual.length > 0 ? address(node, job.residual) : nullptr,
                     .rounding = job.rounding,
                     .key = job.key,
                     .stream = 0,
                     .residual_stays = !job.feeds_back});
      if (!job.stays) {
        std::memcpy(address(node, job.dst), dst, job.dst.length);
      }
    } else if (job.kind == JobKind::decode) {
      const std::byte* from = address(node, job.sources[0].region);
      codecs.decode(job.codec, dst, from, seaway::whole(job.count));
      if (job.coded.length > 0) {
        std::memcpy(address(node, job.coded), from, job.coded.length);
      }
    } else if (job.codec != Codec::none || job.coded_by != Codec::none) {
      std::vector<EncodedSource> sources;
      for (const JobSource& source : job.sources) {
        sources.push_back({job_address(node, source.region), job.codec, source.weight});
      }
      (job.reduction == Reduction::avg ? codecs.avg
                                       : codecs.sum)({dst, sources, seaway::whole(job.count), job.weight_sum});
      if (job.coded_by != Codec::none) {
        std::byte* coded = address(node, job.coded);
        codecs.encode({job.coded_by, coded, dst, seaway::whole(job.count), nullptr, Rounding::nearest, 0, 0});
        codecs.decode(job.coded_by, dst, coded, seaway::whole(job.count));
      }
    } else if (job.kind == JobKind::zero) {
      std::memset(dst, 0, job.dst.length);
    } else if (job.kind == JobKind::copy) {
      std::memcpy(dst, job_address(node, job.sources[0].region), job.dst.length);
      if (job.dst.buffer == Buffer::coded_input) {
        std::memcpy(address(node, job.dst), dst, job.dst.length);
      }
    } else if (job.kind == JobKind::reduce) {
      std::vector<Source> sources;
      for (const JobSource& source : job.sources) {
        sources.push_back({job_address(node, source.region), source.weight});
      }
      scalar_kernels().reduce(job.dtype, job.reduction)({dst, sources, job.count, job.weight_sum});
    }
    node.engine.on_done(job.id, hash64({dst, job.dst.length}), now);
  }

  // Connections do not reach a device.
  static void check_is_hosts(const Node& node, const Region& region) {
    const bool is_callers =
        region.buffer == Buffer::input || region.buffer == Buffer::output || region.buffer == Buffer::residual;
    CHECK_FALSE((is_callers && node.memory.at(region.owner).on_device));
  }

  void deliver(Node& from, Node& to, ConnId at, const OutFrame& frame) {
    const Landing landing = to.engine.on_header(at, frame.header, now);
    if (const auto* land = std::get_if<Land>(&landing)) {
      check_is_hosts(to, land->region);
      check_is_hosts(from, frame.region);
      std::memcpy(address(to, land->region), address(from, frame.region), frame.region.length);
      to.engine.on_landed(at, now);
    } else if (std::holds_alternative<Message>(landing)) {
      to.engine.on_message(at, frame.message, now);
    } else if (std::holds_alternative<Sink>(landing)) {
      to.engine.on_landed(at, now);
    } else {
      throw std::runtime_error(std::get<Refuse>(landing).reason);
    }
  }

  std::vector<std::unique_ptr<Node>> nodes_;
  wire::EpochMessage epoch_;
  std::set<std::size_t> dead_;
  std::set<std::pair<std::size_t, std::size_t>> held_;
  std::vector<std::pair<std::size_t, OpHandle>> unanswered_;
  std::map<std::pair<std::size_t, std::size_t>, std::map<wire::FrameType, std::uint64_t>> sent_;
};

}  // namespace seaway::collective
