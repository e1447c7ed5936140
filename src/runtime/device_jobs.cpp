#include "runtime/device_jobs.h"

#include <sys/uio.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "hash/hash.h"
#include "hash/math.h"

namespace seaway::runtime {

using collective::Job;
using collective::JobKind;
using collective::JobSource;
using collective::Region;

namespace {
constexpr Duration kPoll = kMillisecond / 5;
}  // namespace

std::string DeviceJobs::open(int device) {
  std::unique_ptr<device::Queue>& queue = queues_[device];
  std::string problem;
  if (!queue) {
    if (const SeawayDeviceTable* const table = device::table(problem)) {
      queue = device::Queue::open(*table, device, problem);
    }
  }
  return problem;
}

bool DeviceJobs::take(const Job& job) {
  const auto is_there = [this](const JobSource& source) { return memory_->is_on_device(source.region); };
  const auto op = ops_.find(job.op);
  if (op == ops_.end() ||
      (!memory_->is_on_device(job.dst) && std::none_of(job.sources.begin(), job.sources.end(), is_there))) {
    return false;
  }
  if (is_held(op->second)) {
    op->second.held.push_back(job);
    poll_.at(net::monotonic_now() + kPoll);
  } else {
    waiting_.push_back(job);
    begin_some();
  }
  return true;
}

// The queue does not wait for the callers' streams itself: an op that was posted early would wait for one that was posted late.
bool DeviceJobs::is_held(Op& op) {
  bool has_passed = op.mark == nullptr;
  if (!has_passed && !failed_) {
    if (const std::string problem = op.mark->passed(has_passed); !problem.empty()) {
      failed_ = true;
      problem_ = problem;  // told with the first of the jobs that are not begun any more
    }
  }
  if (has_passed || failed_) {
    op.mark = nullptr;
  }
  return op.mark != nullptr;
}

void DeviceJobs::ask_marks() {
  bool again = false;
  for (auto& [handle, op] : ops_) {
    if (op.held.empty()) {
      continue;
    }
    if (is_held(op)) {
      again = true;
    } else {
      waiting_.insert(waiting_.end(), op.held.begin(), op.held.end());
      op.held.clear();
    }
  }
  if (again) {
    poll_.at(net::monotonic_now() + kPoll);
  }
  begin_some();
}

void DeviceJobs::begin_some() {
  while (under_way_ < kAtOnce && !waiting_.empty()) {
    const auto running = std::make_shared<Running>();
    running->job = std::move(waiting_.front());
    waiting_.pop_front();
    ++under_way_;
    const std::weak_ptr<bool> alive = alive_;
    const auto then = [this, alive, running](const std::string& problem) {
      loop_->post([this, alive, running, problem] {
        if (!alive.expired()) {
          done(*running, problem);
        }
      });
    };
    if (failed_) {
      then(problem_);
    } else {
      begin(*running);
      queue_of(*running).then(then);
    }
  }
}

// --- What is put into the queue --------------------------------------------------------------------------------------

void DeviceJobs::begin(Running& running) {
  const Job& job = running.job;
  switch (job.kind) {
    case JobKind::encode:
      encode(running);
      return;
    case JobKind::copy:
      if (memory_->is_on_device(job.dst)) {
        copy_to_callers(running);
      } else {
        copy_in(job.sources.front().region, memory_->whole(job.dst));
      }
      return;
    case JobKind::zero:
      queue_of(running).zero(memory_->within_reach(job.dst), job.dst.length);
      break;
    case JobKind::reduce:
    case JobKind::decode:
      reduce(running);
      break;
    case JobKind::hash:
      break;
  }
  hash(running);
}

void DeviceJobs::encode(Running& running) {
  const Job& job = running.job;
  const auto spans_of = [this](const Region& region) {
    std::vector<iovec> pieces;
    if (region.length > 0) {
      memory_->device_pieces(region, pieces);
    }
    std::vector<SeawaySpan> spans;
    spans.reserve(pieces.size());
    for (const iovec& piece : pieces) {
      spans.push_back({piece.iov_base, piece.iov_len / sizeof(float)});
    }
    return spans;
  };
  const std::vector<SeawaySpan> from = spans_of(job.sources.front().region);
  const std::vector<SeawaySpan> residual = spans_of(job.residual);
  queue_of(running).encode({.codec = job.codec,
                            .stochastic = job.rounding == Rounding::stochastic,
                            .residual_stays = !job.feeds_back,
                            .count = job.count,
                            .dst = within_reach(running, job.dst),
                            .src = from.data(),
                            .src_spans = from.size(),
                            .residual = residual.data(),
                            .residual_spans = residual.size(),
                            .key = job.key,
                            .stream = job.sources.front().region.offset / sizeof(float)});
  if (const std::byte* const mirror = memory_->mirror(job.dst); mirror != nullptr && !job.stays) {
    queue_of(running).copy(memory_->whole(job.dst), mirror, job.dst.length);
  }
}

void DeviceJobs::reduce(Running& running) {
  const Job& job = running.job;
  std::vector<SeawaySource> sources;
  sources.reserve(job.sources.size());
  for (const JobSource& source : job.sources) {
    sources.push_back({within_reach(running, source.region), source.weight});
  }
  std::byte* const dst = memory_->within_reach(job.dst);
  const bool is_avg = job.kind == JobKind::reduce && job.reduction == Reduction::avg;
  if (job.codec != Codec::none || job.coded_by != Codec::none) {
    queue_of(running).fold({.dst = dst,
                            .sources = sources.data(),
                            .source_count = sources.size(),
                            .count = job.count,
                            .codec = job.codec,
                            .is_avg = is_avg,
                            .weight_sum = job.weight_sum,
                            .coded_by = job.coded_by,
                            .coded = job.coded_by == Codec::none ? nullptr : memory_->within_reach(job.coded)});
  } else {
    queue_of(running).reduce({.dtype = job.dtype,
                              .reduction = job.reduction,
                              .dst = dst,
                              .sources = sources.data(),
                              .source_count = sources.size(),
                              .count = job.count,
                              .weight_sum = job.weight_sum});
  }
  if (job.kind == JobKind::decode && job.coded.length > 0) {  // to be sent on
    memory_->copy_in(job.coded, memory_->whole(job.sources.front().region));
  }
}

// Of a short result XXH3 is another function, which the host computes.
void DeviceJobs::hash(Running& running) {
  const Region& dst = running.job.dst;
  std::byte* const digest = stage(running);
  running.digest = digest;
  if (dst.length <= math::Xxh3::kShort) {
    copy_in(dst, digest);
  } else {
    const SeawayLeaf leaf{memory_->within_reach(dst), dst.length, reinterpret_cast<SeawayHash*>(digest)};
    queue_of(running).hash({&leaf, 1});
  }
}

std::uint64_t DeviceJobs::hash_of(Running& running) {
  const Region& dst = running.job.dst;
  if (running.digest == nullptr) {
    Job hashed = running.job;
    hashed.kind = JobKind::hash;
    return is_of_results(dst.buffer) && !memory_->is_on_device(dst) ? runner_->run(hashed) : 0;
  }
  if (dst.length <= math::Xxh3::kShort) {
    return hash64({running.digest, dst.length});
  }
  return reinterpret_cast<const SeawayHash*>(running.digest)->low;
}

void DeviceJobs::copy_in(const Region& from, std::byte* to) {
  std::vector<iovec> pieces;
  memory_->device_pieces(from, pieces);
  for (const iovec& piece : pieces) {
    queues_.at(ops_.at(from.owner).device)->copy(to, piece.iov_base, piece.iov_len);
    to += piece.iov_len;
  }
}

void DeviceJobs::copy_to_callers(Running& running) {
  const Region& result = running.job.sources.front().region;
  const std::byte* from = memory_->within_reach(result);
  from = from != nullptr ? from : memory_->whole(result);
  std::vector<iovec> pieces;
  memory_->device_pieces(running.job.dst, pieces);
  for (const iovec& piece : pieces) {
    queue_of(running).copy(piece.iov_base, from, piece.iov_len);
    from += piece.iov_len;
  }
}

std::byte* DeviceJobs::stage(Running& running) {
  running.staged.push_back(memory_->stage());
  return running.staged.back().get();
}

// What landed before there was a device did so in memory that it does not reach.
std::byte* DeviceJobs::within_reach(Running& running, const Region& region) {
  std::byte* at = memory_->mirror(region);
  at = at != nullptr ? at : memory_->within_reach(region);
  if (at == nullptr) {
    at = stage(running);
    memory_->copy_out(region, at);
  }
  return at;
}

// --- What is done ----------------------------------------------------------------------------------------------------

// Before anything of the job is believed.
void DeviceJobs::tell_failure(const std::string& problem) {
  failed_ = true;
  if (!std::exchange(told_, true)) {
    owner_->on_device_failed(problem);
  }
}

void DeviceJobs::done(Running& running, const std::string& problem) {
  if (!problem.empty()) {
    tell_failure(problem);
  }
  const std::uint64_t hash = problem.empty() ? hash_of(running) : 0;
  for (Memory::Block& block : running.staged) {
    memory_->unstage(std::move(block));
  }
  --under_way_;
  owner_->on_device_job_done(running.job.id, hash);
  begin_some();
}

}  // namespace seaway::runtime
