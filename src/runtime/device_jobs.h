// Jobs that touch a caller's buffers on a device: what they read is copied to the host first, what they write to the device after.
//
//   copy, to the host    the device's chunk straight to where it travels from; hashed if it is a result
//   copy, to the device  a result straight to the caller's buffer
//   encode               input and residual into pinned chunks, the job, and a rewritten residual back
//
// Some are under way at once, so that the chunk after this one is copied while this one is encoded, and the one before it sent.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "collective/boundary.h"
#include "device/queue.h"
#include "net/loop.h"
#include "runtime/jobs.h"
#include "runtime/memory.h"

namespace seaway::runtime {

class DeviceJobOwner {
 public:
  virtual ~DeviceJobOwner() = default;
  virtual void on_device_job_done(JobId job, std::uint64_t hash) = 0;
  // Nothing more can be copied. The job that saw it is done next.
  virtual void on_device_failed(const std::string& problem) = 0;
};

// On the loop's thread. When it is destroyed, nothing is copied any more.
class DeviceJobs {
 public:
  DeviceJobs(net::Loop& loop, Memory& memory, JobRunner& runner, DeviceJobOwner& owner)
      : loop_(&loop), memory_(&memory), runner_(&runner), owner_(&owner) {}

  // Gets ready for an op with buffers on this device, whose copies wait for `mark`. "" or why there can be none.
  std::string open(int device, const device::Mark& mark);
  void add(OpHandle op, int device) { devices_[op] = device; }
  void remove(OpHandle op) { devices_.erase(op); }

  // False: it touches no device.
  bool take(const collective::Job& job);

 private:
  static constexpr std::size_t kAtOnce = 8;

  void begin_some();
  void begin(const collective::Job& job);
  void begin_encode(const collective::Job& job);
  void encode(const collective::Job& job);
  // Then, on the loop's thread, if nothing has failed.
  template <class What>
  void then(const collective::Job& job, const What& what);
  void copy_in(const collective::Region& from, std::byte* to);
  void copy_back(const std::byte* from, const collective::Region& to);
  void unstage(const collective::Job& job);
  void finish(JobId job, std::uint64_t hash);
  device::Queue& queue_of(OpHandle op) { return *queues_.at(devices_.at(op)); }

  net::Loop* loop_;
  Memory* memory_;
  JobRunner* runner_;
  DeviceJobOwner* owner_;
  std::map<OpHandle, int> devices_;
  std::deque<collective::Job> waiting_;
  std::size_t under_way_ = 0;
  bool failed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<int, std::unique_ptr<device::Queue>> queues_;  // last: it ends first
};

}  // namespace seaway::runtime
