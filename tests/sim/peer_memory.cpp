// Memory that the engine names, and jobs on real bytes.
#include <algorithm>
#include <cstring>
#include <set>

#include "base/mark.h"
#include "codec/codec.h"
#include "hash/hash.h"
#include "reduce/reduce.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

using collective::Buffer;
using collective::Job;
using collective::JobKind;

std::byte* PeerProcess::address(const collective::Region& region) {
  if (region.buffer == Buffer::slot) {
    if (freed_.contains(region.owner)) {
      throw Violation("memory is used after it was freed");
    }
    std::vector<std::byte>& slot = slots_[region.owner];
    slot.resize(std::max<std::size_t>(slot.size(), region.offset + region.length));
    return slot.data() + region.offset;
  }
  Memory& memory = memory_.at(region.owner);
  std::vector<std::byte>& bytes = [&]() -> std::vector<std::byte>& {
    switch (region.buffer) {
      case Buffer::input:
        return memory.input;
      case Buffer::output:
        return memory.output;
      case Buffer::coded_input:
        return memory.coded_in;
      case Buffer::coded_result:
        return memory.coded_out;
      case Buffer::partial:
        return memory.partial;
      case Buffer::residual:
        return memory.residual;
      default:
        return memory.scratch;
    }
  }();
  if (region.offset + region.length > bytes.size()) {
    throw Violation("a region lies outside of its buffer");
  }
  return bytes.data() + region.offset;
}

// Two never write one piece of memory at once, and nobody writes what is being sent, also where it would do no harm.
void PeerProcess::check_alone(const collective::Region& region, ConnId writer) const {
  const auto overlaps = [&](const collective::Region& other) {
    return other.buffer == region.buffer && other.owner == region.owner &&
           other.offset < region.offset + region.length && region.offset < other.offset + other.length;
  };
  for (const auto& [conn, link] : links_) {
    if (conn != writer && link.region && !link.sink && overlaps(*link.region)) {
      throw Violation("two write one piece of memory");
    }
    for (const Outgoing& out : link.queue) {
      if (!out.copied && overlaps(out.frame.region)) {
        throw Violation("a piece of memory is written while it is sent");
      }
    }
  }
}

void PeerProcess::check_is_hosts(const collective::Region& region) const {
  const bool is_callers =
      region.buffer == Buffer::input || region.buffer == Buffer::output || region.buffer == Buffer::residual;
  if (region.length == 0 || region.buffer == Buffer::slot) {
    return;
  }
  const Memory& memory = memory_.at(region.owner);
  if ((is_callers && memory.descriptor.on_device) ||
      (region.buffer == Buffer::scratch && lands_on_device(memory.descriptor)) ||
      (region.buffer == Buffer::coded_input && memory.kept.contains(region.offset))) {
    throw Violation("a connection reads or writes a device's memory");
  }
}

void PeerProcess::start_jobs() {
  std::vector<Job> jobs;
  Job job;
  while (peer_.engine().next_job(job)) {
    jobs.push_back(job);
  }
  while (!jobs.empty()) {
    const auto drawn = static_cast<std::ptrdiff_t>(world_->random.below(jobs.size()));
    job = jobs[static_cast<std::size_t>(drawn)];
    jobs.erase(jobs.begin() + drawn);
    const Duration delay = world_->up_to(world_->options.job_delay);
    const bool reads_first = world_->random.one_in(2);
    if (reads_first) {
      run_job(job);
      const std::uint64_t hash = finish_job(job, hash64({address(job.dst), job.dst.length}));
      later(delay, [this, id = job.id, hash] { peer_.engine().on_done(id, hash, world_->clock.now()); });
    } else {
      later(delay, [this, job] {
        run_job(job);
        const std::uint64_t hash = finish_job(job, hash64({address(job.dst), job.dst.length}));
        peer_.engine().on_done(job.id, hash, world_->clock.now());
      });
    }
  }
}

const CodecKernels& PeerProcess::codecs() const {
  const CodecKernels* simd = world_->options.seed % 2 == 0 ? avx2_codec_kernels() : nullptr;
  return simd != nullptr && __builtin_cpu_supports("avx2") ? *simd : scalar_codec_kernels();
}

void PeerProcess::run_job(const Job& job) {
  if (job.kind != JobKind::hash) {
    check_alone(job.dst, 0);
    check_alone(job.coded, 0);
  }
  std::byte* dst = address(job.dst);
  if (job.kind == JobKind::zero) {
    std::memset(dst, 0, job.dst.length);
  } else if (job.kind == JobKind::copy) {
    std::memcpy(dst, address(job.sources.at(0).region), job.dst.length);
  } else if (job.kind == JobKind::encode) {
    const collective::Region& from = job.sources.at(0).region;
    std::set<std::uint64_t>& kept = memory_.at(job.op).kept;
    if (!job.stays) {
      kept.erase(job.dst.offset);
    } else if (!job.feeds_back) {  // what has travelled is on both sides
      kept.insert(job.dst.offset);
    }
    codecs().encode({.codec = job.codec,
                     .dst = dst,
                     .src = address(from),
                     .piece = whole(job.count),
                     .residual = job.residual.length > 0 ? address(job.residual) : nullptr,
                     .rounding = job.rounding,
                     .key = job.key,
                     .stream = from.offset / sizeof(float),
                     .residual_stays = !job.feeds_back});
  } else if (job.kind == JobKind::decode) {
    const std::byte* from = address(job.sources.at(0).region);
    codecs().decode(job.codec, dst, from, whole(job.count));
    if (job.coded.length > 0) {
      std::memcpy(address(job.coded), from, job.coded.length);
    }
  } else if (job.codec != Codec::none || job.coded_by != Codec::none) {
    std::vector<EncodedSource> sources;
    for (const collective::JobSource& source : job.sources) {
      sources.push_back({address(source.region), job.codec, source.weight});
    }
    (job.reduction == Reduction::avg ? codecs().avg : codecs().sum)({dst, sources, whole(job.count), job.weight_sum});
    if (job.coded_by != Codec::none) {
      std::byte* const coded = address(job.coded);
      codecs().encode({job.coded_by, coded, dst, whole(job.count), nullptr, Rounding::nearest, 0, 0});
      codecs().decode(job.coded_by, dst, coded, whole(job.count));
    }
  } else if (job.kind == JobKind::reduce) {
    std::vector<Source> sources;
    for (const collective::JobSource& source : job.sources) {
      sources.push_back({address(source.region), source.weight});
    }
    const Kernels* simd = world_->options.seed % 2 == 0 ? avx2_kernels() : nullptr;
    const Kernels& kernels = simd != nullptr && __builtin_cpu_supports("avx2") ? *simd : scalar_kernels();
    kernels.reduce(job.dtype, job.reduction)({dst, sources, job.count, job.weight_sum});
  }
}

// Memory may lie once, where somebody else's memory tells the truth about the same bits: not where a gateway sends on what it has.
std::uint64_t PeerProcess::finish_job(const Job& job, std::uint64_t hash) {
  const bool compared = memory_.at(job.op).posted && (job.kind == JobKind::hash || job.kind == JobKind::decode) &&
                        job.dst.buffer != Buffer::input && peer_.roster().size() > 2u * world_->options.lanes &&
                        (world_->options.sites.empty() || !sums_by_site(memory_.at(job.op).descriptor));
  if (compared && job.dst.length > 0 && world_->take_bit_flip()) {
    world_->tell("a bit flips in the memory of h" + std::to_string(site_->host));
    world_->checker.on_bit_flip(memory_.at(job.op).planned);
    std::byte* dst = address(job.dst);
    dst[world_->random.below(job.dst.length)] ^= std::byte{4};
    return hash64({dst, job.dst.length});
  }
  return hash;
}

}  // namespace seaway::sim
