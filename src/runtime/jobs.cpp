#include "runtime/jobs.h"

#include <cstdlib>
#include <cstring>

#include "hash/hash.h"

namespace seaway::runtime {

using collective::Job;
using collective::JobKind;
using collective::Region;

const Kernels& pick_kernels() {
  const bool runs_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  if (const char* forced = std::getenv("SEAWAY_KERNELS")) {
    const Kernels* kernels = kernels_by_name(forced);
    if (kernels != nullptr && (kernels == &scalar_kernels() || runs_avx2)) {
      return *kernels;
    }
  }
  return avx2_kernels() != nullptr && runs_avx2 ? *avx2_kernels() : scalar_kernels();
}

const std::byte* JobRunner::readable(const Region& region, std::vector<std::byte>& staging) {
  if (const std::byte* whole = memory_->whole(region)) {
    return whole;
  }
  staging.resize(region.length);
  memory_->copy_out(region, staging.data());
  return staging.data();
}

std::uint64_t JobRunner::run(const Job& job) {
  if (job.kind == JobKind::hash || job.dst.length == 0) {
    return hash64({readable(job.dst, staged_dst_), job.dst.length});
  }
  std::byte* dst = memory_->whole(job.dst);
  const bool is_staged = dst == nullptr;
  if (is_staged) {
    staged_dst_.resize(job.dst.length);
    dst = staged_dst_.data();
  }
  staged_.resize(job.sources.size());
  if (job.kind == JobKind::copy) {
    std::memcpy(dst, readable(job.sources.at(0).region, staged_[0]), job.dst.length);
  } else {
    std::vector<Source> sources;
    sources.reserve(job.sources.size());
    for (std::size_t i = 0; i < job.sources.size(); ++i) {
      sources.push_back({readable(job.sources[i].region, staged_[i]), job.sources[i].weight});
    }
    kernels_->reduce(job.dtype, job.reduction)({dst, sources, job.count, job.weight_sum});
  }
  const std::uint64_t hash = hash64({dst, job.dst.length});
  if (is_staged) {
    memory_->copy_in(job.dst, dst);
  }
  return hash;
}

}  // namespace seaway::runtime
