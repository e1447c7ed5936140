#include "runtime/device_tensors.h"

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "hash/math.h"
#include "reduce/math.h"
#include "reduce/vector.h"

namespace seaway::runtime {

namespace {
constexpr std::size_t kAtOnce = 4096;
constexpr std::size_t kDigestBytes = 256;  // two numbers, or a leaf that is so short that the host hashes it
constexpr std::size_t kPinnedBytes = kAtOnce * kDigestBytes;
}  // namespace

bool DeviceTensors::failed(std::string problem) {
  is_failed_ = !problem.empty();
  problem_ = std::move(problem);
  return is_failed_;
}

std::string DeviceTensors::follow(int device, const device::Mark& mark) {
  if (!queue_ || device != device_ || is_failed_) {
    std::string problem;
    const SeawayDeviceTable* const table = device::table(problem);
    auto queue = table == nullptr ? nullptr : device::Queue::open(*table, device, problem);
    if (!problem.empty()) {
      return problem;
    }
    queue_ = std::move(queue);
    device_ = device;
    is_failed_ = false;
  }
  if (!digests_) {
    digests_.reset(static_cast<std::byte*>(device::allocate(kPinnedBytes)));
    if (!digests_) {
      throw std::bad_alloc();
    }
  }
  queue_->follow(mark);
  return "";
}

std::string DeviceTensors::hash(std::span<const std::span<const std::byte>> leaves, Hash128* hashes) {
  while (!leaves.empty()) {
    const auto some = leaves.first(std::min(leaves.size(), kAtOnce));
    std::vector<SeawayLeaf> longer;
    std::byte* digest = digests_.get();
    for (const std::span<const std::byte> leaf : some) {
      if (leaf.size() <= math::Xxh3::kShort) {
        queue_->copy(digest, leaf.data(), leaf.size());
      } else {
        longer.push_back({leaf.data(), leaf.size(), reinterpret_cast<SeawayHash*>(digest)});
      }
      digest += kDigestBytes;
    }
    queue_->hash(longer);
    if (failed(queue_->wait())) {
      return problem_;
    }
    digest = digests_.get();
    for (const std::span<const std::byte> leaf : some) {
      if (leaf.size() <= math::Xxh3::kShort) {
        *hashes++ = hash128({digest, leaf.size()});
      } else {
        const auto* const hash = reinterpret_cast<const SeawayHash*>(digest);
        *hashes++ = {hash->low, hash->high};
      }
      digest += kDigestBytes;
    }
    leaves = leaves.subspan(some.size());
  }
  return "";
}

std::string DeviceTensors::sqnorm(const void* x, std::uint64_t count, double& norm) {
  constexpr std::uint64_t kSums = kPinnedBytes / sizeof(double);
  auto* const sums = reinterpret_cast<double*>(digests_.get());
  std::vector<double> all;
  for (std::uint64_t at = 0; at < count; at += kSums * math::kSquaresBlock) {
    const std::uint64_t some = std::min(count - at, kSums * math::kSquaresBlock);
    queue_->squares({static_cast<const float*>(x) + at, some, sums});
    if (failed(queue_->wait())) {
      return problem_;
    }
    all.insert(all.end(), sums, sums + (some + math::kSquaresBlock - 1) / math::kSquaresBlock);
  }
  norm = sqnorm_of_blocks(all);
  return "";
}

}  // namespace seaway::runtime
