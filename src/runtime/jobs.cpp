#include "runtime/jobs.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "hash/hash.h"

namespace seaway::runtime {

namespace {
constexpr std::size_t kBlockBytes = 8ull * 1024;  // a power of two, so that no element lies in two blocks
}

using collective::Job;
using collective::JobKind;
using collective::Region;

namespace {
bool runs_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
}  // namespace

const Kernels& pick_kernels() {
  if (const char* forced = std::getenv("SEAWAY_KERNELS")) {
    const Kernels* kernels = kernels_by_name(forced);
    if (kernels != nullptr && (kernels == &scalar_kernels() || runs_avx2())) {
      return *kernels;
    }
  }
  return avx2_kernels() != nullptr && runs_avx2() ? *avx2_kernels() : scalar_kernels();
}

JobRunner::JobRunner(Memory& memory)
    : memory_(&memory), kernels_(&pick_kernels()), hasher_(kernels_ == avx2_kernels() ? avx2_hasher() : nullptr) {
  if (!hasher_) {
    hasher_ = scalar_hasher();
  }
}

const std::byte* JobRunner::readable(const Region& region, std::vector<std::byte>& staging) {
  if (const std::byte* whole = memory_->whole(region)) {
    return whole;
  }
  staging.resize(region.length);
  memory_->copy_out(region, staging.data());
  return staging.data();
}

// Block by block: what a block's reduction has just written is hashed before it leaves the first-level cache. Reductions are
// by element, so the bits are those of one pass.
std::uint64_t JobRunner::reduce(const Job& job, std::byte* dst) {
  const ReduceFunction function = kernels_->reduce(job.dtype, job.reduction);
  const std::size_t element = size_of(job.dtype);
  hasher_->reset();
  block_ = sources_;
  for (std::size_t at = 0; at < job.dst.length; at += kBlockBytes) {
    const std::size_t bytes = std::min(kBlockBytes, job.dst.length - at);
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      block_[i].data = static_cast<const std::byte*>(sources_[i].data) + at;
    }
    function({dst + at, block_, bytes / element, job.weight_sum});
    hasher_->add({dst + at, bytes});
  }
  return hasher_->value();
}

std::uint64_t JobRunner::hash(const std::byte* data, std::size_t bytes) {
  hasher_->reset();
  hasher_->add({data, bytes});
  return hasher_->value();
}

std::uint64_t JobRunner::run(const Job& job) {
  if (job.kind == JobKind::hash || job.dst.length == 0) {
    return hash(readable(job.dst, staged_dst_), job.dst.length);
  }
  std::byte* dst = memory_->whole(job.dst);
  const bool is_staged = dst == nullptr;
  if (is_staged) {
    staged_dst_.resize(job.dst.length);
    dst = staged_dst_.data();
  }
  staged_.resize(job.sources.size());
  std::uint64_t value = 0;
  if (job.kind == JobKind::zero) {
    std::memset(dst, 0, job.dst.length);
    value = hash(dst, job.dst.length);
  } else if (job.kind == JobKind::copy) {
    std::memcpy(dst, readable(job.sources.at(0).region, staged_[0]), job.dst.length);
    value = hash(dst, job.dst.length);
  } else {
    sources_.clear();
    for (std::size_t i = 0; i < job.sources.size(); ++i) {
      sources_.push_back({readable(job.sources[i].region, staged_[i]), job.sources[i].weight});
    }
    value = reduce(job, dst);
  }
  if (is_staged) {
    memory_->copy_in(job.dst, dst);
  }
  return value;
}

}  // namespace seaway::runtime
