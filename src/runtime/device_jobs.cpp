#include "runtime/device_jobs.h"

#include <sys/uio.h>

#include <utility>
#include <vector>

#include "base/assert.h"

namespace seaway::runtime {

using collective::Job;
using collective::JobKind;
using collective::Region;

std::string DeviceJobs::open(int device, const device::Mark& mark) {
  std::unique_ptr<device::Queue>& queue = queues_[device];
  if (!queue) {
    std::string problem;
    const SeawayDeviceTable* const table = device::table(problem);
    if (table != nullptr) {
      queue = device::Queue::open(*table, device, problem);
    }
    if (!queue) {
      return problem;
    }
  }
  queue->follow(mark);
  return "";
}

bool DeviceJobs::take(const Job& job) {
  const bool reads = !job.sources.empty() && memory_->is_on_device(job.sources.front().region);
  if (!devices_.contains(job.op) || (!reads && !memory_->is_on_device(job.dst))) {
    return false;
  }
  waiting_.push_back(job);
  begin_some();
  return true;
}

void DeviceJobs::begin_some() {
  while (under_way_ < kAtOnce && !waiting_.empty()) {
    const Job job = std::move(waiting_.front());
    waiting_.pop_front();
    ++under_way_;
    begin(job);
  }
}

void DeviceJobs::begin(const Job& job) {
  if (job.kind == JobKind::encode) {
    begin_encode(job);
    return;
  }
  SEAWAY_ASSERT(job.kind == JobKind::copy, "what is on a device is copied or encoded");
  if (memory_->is_on_device(job.dst)) {
    copy_back(memory_->whole(job.sources.front().region), job.dst);
    then(job, [this, job] { finish(job.id, 0); });
    return;
  }
  copy_in(job.sources.front().region, memory_->whole(job.dst));
  then(job, [this, job] {
    Job hashed = job;
    hashed.kind = JobKind::hash;
    finish(job.id, is_of_results(job.dst.buffer) ? runner_->run(hashed) : 0);
  });
}

void DeviceJobs::begin_encode(const Job& job) {
  const Region& from = job.sources.front().region;
  copy_in(from, memory_->stage(from));
  if (job.residual.length > 0) {
    copy_in(job.residual, memory_->stage(job.residual));
  }
  then(job, [this, job] { encode(job); });
}

void DeviceJobs::encode(const Job& job) {
  runner_->run(job);
  if (job.residual.length == 0 || !job.feeds_back) {
    unstage(job);
    finish(job.id, 0);
    return;
  }
  copy_back(memory_->whole(job.residual), job.residual);
  then(job, [this, job] {
    unstage(job);
    finish(job.id, 0);
  });
}

void DeviceJobs::unstage(const Job& job) {
  memory_->unstage(job.sources.front().region);
  if (job.residual.length > 0) {
    memory_->unstage(job.residual);
  }
}

template <class What>
void DeviceJobs::then(const Job& job, const What& what) {
  const std::weak_ptr<bool> alive = alive_;
  queue_of(job.op).then([this, alive, job, what](const std::string& problem) {
    loop_->post([this, alive, job, what, problem] {
      if (alive.expired()) {
        return;
      }
      if (problem.empty()) {
        what();
        return;
      }
      if (!std::exchange(failed_, true)) {
        owner_->on_device_failed(problem);
      }
      if (job.kind == JobKind::encode) {
        unstage(job);
      }
      finish(job.id, 0);
    });
  });
}

void DeviceJobs::copy_in(const Region& from, std::byte* to) {
  std::vector<iovec> pieces;
  memory_->device_pieces(from, pieces);
  for (const iovec& piece : pieces) {
    queue_of(from.owner).copy(to, piece.iov_base, piece.iov_len);
    to += piece.iov_len;
  }
}

void DeviceJobs::copy_back(const std::byte* from, const Region& to) {
  std::vector<iovec> pieces;
  memory_->device_pieces(to, pieces);
  for (const iovec& piece : pieces) {
    queue_of(to.owner).copy(piece.iov_base, from, piece.iov_len);
    from += piece.iov_len;
  }
}

void DeviceJobs::finish(JobId job, std::uint64_t hash) {
  --under_way_;
  owner_->on_device_job_done(job, hash);
  begin_some();
}

}  // namespace seaway::runtime
