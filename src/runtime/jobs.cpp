#include "runtime/jobs.h"

#include <algorithm>
#include <cstring>

#include "hash/hash.h"
#include "runtime/kernels.h"

namespace seaway::runtime {

namespace {
constexpr std::size_t kBlockBytes = 8ull * 1024;  // a power of two, so that no element lies in two blocks
}

using collective::Job;
using collective::JobKind;
using collective::Region;

JobRunner::JobRunner(Memory& memory)
    : memory_(&memory),
      kernels_(&pick_kernels()),
      hasher_(kernels_ == &scalar_kernels() ? nullptr : avx2_hasher()),
      codecs_(&pick_codec_kernels()) {
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

// Block by block as above. What is encoded is decoded again at once: the result is what its encoding says.
std::uint64_t JobRunner::fold(const Job& job, std::byte* dst) {
  encoded_.clear();
  for (const Source& source : sources_) {
    encoded_.push_back({source.data, job.codec, source.weight});
  }
  const auto function = job.kind == JobKind::reduce && job.reduction == Reduction::avg ? codecs_->avg : codecs_->sum;
  std::byte* const coded = job.coded_by == Codec::none ? nullptr : memory_->whole(job.coded);
  const std::size_t chunk = job.count;
  constexpr std::size_t kAtOnce = kBlockBytes / sizeof(float);
  static_assert(kAtOnce % kPieceGrain == 0);
  hasher_->reset();
  for (std::size_t first = 0; first < chunk; first += kAtOnce) {
    const Piece piece{first, std::min(kAtOnce, chunk - first), chunk};
    function({dst, encoded_, piece, job.weight_sum});
    if (coded != nullptr) {
      codecs_->encode({job.coded_by, coded, dst, piece, nullptr, Rounding::nearest, 0, 0});
      codecs_->decode(job.coded_by, dst, coded, piece);
    }
    hasher_->add({dst + first * sizeof(float), piece.count * sizeof(float)});
  }
  return hasher_->value();
}

void JobRunner::encode(const Job& job, std::byte* dst) {
  const Region& from = job.sources.at(0).region;
  EncodeArgs args{.codec = job.codec,
                  .dst = dst,
                  .src = readable(from, staged_[0]),
                  .piece = whole(job.count),
                  .residual = nullptr,
                  .rounding = job.rounding,
                  .key = job.key,
                  .stream = from.offset / sizeof(float),
                  .residual_stays = !job.feeds_back};
  if (job.residual.length == 0) {
    codecs_->encode(args);
    return;
  }
  std::byte* const in_place = memory_->whole(job.residual);
  if (in_place == nullptr) {
    readable(job.residual, staged_residual_);
  }
  args.residual = in_place != nullptr ? in_place : staged_residual_.data();
  codecs_->encode(args);
  if (in_place == nullptr && job.feeds_back) {
    memory_->copy_in(job.residual, staged_residual_.data());
  }
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
  } else if (job.kind == JobKind::encode) {
    encode(job, dst);
  } else if (job.kind == JobKind::copy) {
    std::memcpy(dst, readable(job.sources.at(0).region, staged_[0]), job.dst.length);
    value = hash(dst, job.dst.length);
  } else {
    sources_.clear();
    for (std::size_t i = 0; i < job.sources.size(); ++i) {
      sources_.push_back({readable(job.sources[i].region, staged_[i]), job.sources[i].weight});
    }
    const bool is_coded = job.codec != Codec::none || job.coded_by != Codec::none;
    value = is_coded ? fold(job, dst) : reduce(job, dst);
    if (job.kind == JobKind::decode && job.coded.length > 0) {
      std::memcpy(memory_->whole(job.coded), sources_.front().data, job.coded.length);
    }
  }
  if (is_staged) {
    memory_->copy_in(job.dst, dst);
  }
  return value;
}

}  // namespace seaway::runtime
