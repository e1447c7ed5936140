// Jobs of ops whose buffers are on a device. A job runs where its result lies, and what crosses the bus does so once, as it travels:
//
//   encode        on the device, from the caller's buffers; what the device needs as well stays there, and is copied to pinned memory if
//                 it is sent
//   reduce, decode, zero    on the device, if the result lands there: from pinned memory, where contributions have landed, into the
//                 scratch; what it is encoded to is written to pinned memory. Hashed there too
//   copy          from the caller's buffers to pinned memory, hashed by the host if it is a result; from a scratch, wherever that
//                 is, to the caller's
//
// Some are under way at once, so that the chunk after this one is encoded while this one is sent.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  // Nothing more can be done there. The job that saw it is done next.
  virtual void on_device_failed(const std::string& problem) = 0;
};

// On the loop's thread. When it is destroyed, nothing is done any more.
class DeviceJobs {
 public:
  DeviceJobs(net::Loop& loop, Memory& memory, JobRunner& runner, DeviceJobOwner& owner)
      : loop_(&loop), memory_(&memory), runner_(&runner), owner_(&owner), poll_(loop, [this] { ask_marks(); }) {}

  // Gets ready for ops with buffers on this device. "" or why there can be none.
  std::string open(int device);
  // The op's jobs wait for `mark`. Those of other ops do not wait for them.
  void add(OpHandle op, int device, std::shared_ptr<device::Mark> mark) { ops_[op] = {device, std::move(mark), {}}; }
  void remove(OpHandle op) { ops_.erase(op); }

  // False: it touches no device.
  bool take(const collective::Job& job);

 private:
  static constexpr std::size_t kAtOnce = 8;

  // A job under way, and the pinned memory that it has until it is done.
  struct Running {
    collective::Job job;
    std::vector<Memory::Block> staged;
    const std::byte* digest = nullptr;  // what the device has hashed; of a short result the result itself
  };
  using RunningPtr = std::shared_ptr<Running>;

  struct Op {
    int device = device::kHost;
    std::shared_ptr<device::Mark> mark;  // null: passed
    std::vector<collective::Job> held;   // until then
  };

  void ask_marks();
  bool is_held(Op& op);
  void begin_some();
  void begin(Running& running);
  void encode(Running& running);
  void reduce(Running& running);
  void hash(Running& running);
  std::uint64_t hash_of(Running& running);
  void done(Running& running, const std::string& problem);
  void tell_failure(const std::string& problem);
  void copy_in(const collective::Region& from, std::byte* to);
  void copy_to_callers(Running& running);
  std::byte* within_reach(Running& running, const collective::Region& region);
  std::byte* stage(Running& running);
  device::Queue& queue_of(const Running& running) { return *queues_.at(ops_.at(running.job.op).device); }

  net::Loop* loop_;
  Memory* memory_;
  JobRunner* runner_;
  DeviceJobOwner* owner_;
  std::map<OpHandle, Op> ops_;
  net::Timer poll_;
  std::deque<collective::Job> waiting_;
  std::size_t under_way_ = 0;
  bool failed_ = false;  // nothing more is begun
  std::string problem_ = "a job before it has failed";
  bool told_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<int, std::unique_ptr<device::Queue>> queues_;  // last: it ends first
};

}  // namespace seaway::runtime
