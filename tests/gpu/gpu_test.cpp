// On a machine with a GPU: the kernels' bits, the order of streams, errors that are statuses, and the lot through src/device. Prints a
// line for each; exits with 1 if one failed, with 77 if there is no GPU. SEAWAY_CUDA_LIBRARY names the library. Arguments: --quick
// draws less, for compute-sanitizer.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "device/queue.h"
#include "gpu/kernel_cases.h"

namespace {

using namespace seaway;

class Gpu : public test::Machine {
 public:
  explicit Gpu(const SeawayDeviceTable& table) : table_(&table) {
    queue_ = device::Queue::open(table, 0, problem_);
    arena_ = static_cast<std::byte*>(device::allocate(kArena, 0));
  }
  ~Gpu() override { device::deallocate(arena_, 0); }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const std::string& problem() const { return problem_; }
  bool is_ready() const { return queue_ != nullptr && arena_ != nullptr; }

  std::byte* take(std::size_t bytes) override {
    std::byte* const at = arena_ + taken_;
    taken_ += (bytes + 255) / 256 * 256;
    return at;
  }
  void forget() override { taken_ = 0; }
  void write(std::byte* to, const void* from, std::size_t bytes) override {
    queue_->copy(to, from, bytes);
    is_over();
  }
  void read(void* to, const std::byte* from, std::size_t bytes) override {
    queue_->copy(to, from, bytes);
    is_over();
  }
  bool encode(const SeawayEncode& call) override {
    queue_->encode(call);
    return is_over();
  }
  bool fold(const SeawayFold& call) override {
    queue_->fold(call);
    return is_over();
  }
  bool reduce(const SeawayReduce& call) override {
    queue_->reduce(call);
    return is_over();
  }
  bool hash(std::span<const SeawayLeaf> leaves) override {
    queue_->hash(leaves);
    return is_over();
  }
  // These two have no caller in src/device yet.
  bool lincomb(const SeawayLincomb& call) override { return with_raw_queue(table_->lincomb, &call); }
  bool squares(const SeawaySquares& call) override { return with_raw_queue(table_->squares, &call); }

  device::Queue& queue() { return *queue_; }

 private:
  static constexpr std::size_t kArena = std::size_t{64} << 20;

  // A call that cannot be done leaves its queue with a problem: the next has another.
  bool is_over() {
    const std::string problem = queue_->wait();
    if (!problem.empty()) {
      problem_ = problem;
      std::string again;
      queue_ = device::Queue::open(*table_, 0, again);
    }
    return problem.empty();
  }
  template <class... Arguments>
  bool with_raw_queue(int (*function)(void*, Arguments...), std::type_identity_t<Arguments>... arguments) {
    void* queue = nullptr;
    if (queue_->wait().empty() && table_->open(0, &queue) == 0) {
      const int error = function(queue, arguments...);
      return table_->close(queue) == 0 && error == 0;
    }
    return false;
  }

  const SeawayDeviceTable* table_;
  std::string problem_;
  std::unique_ptr<device::Queue> queue_;
  std::byte* arena_ = nullptr;
  std::size_t taken_ = 0;
};

// A stream of the caller's that is busy: what it writes last is what the queue, which follows a mark of it, reads.
std::string race(const SeawayDeviceTable& table, Gpu& gpu) {
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  void* stream = nullptr;  // the table's queue serves as a stream of somebody's
  if (table.open(0, &stream) != 0) {
    return "no stream";
  }
  gpu.forget();
  std::byte* const data = gpu.take(kBytes);
  std::vector<std::byte> seen(kBytes);
  std::vector<std::byte> fresh(kBytes);
  std::string wrong;
  for (int round = 1; round <= 20 && wrong.empty(); ++round) {
    std::memset(fresh.data(), round, kBytes);
    for (int i = 0; i < 8; ++i) {
      table.zero(stream, data, kBytes);
    }
    table.copy(stream, data, fresh.data(), kBytes);
    void* mark = nullptr;
    table.mark(stream, &mark);
    {
      const device::Mark point(table, mark);
      gpu.queue().follow(point);
    }
    gpu.queue().copy(seen.data(), data, kBytes);
    wrong = gpu.queue().wait();
    if (wrong.empty() && seen != fresh) {
      wrong = "round " + std::to_string(round) + ": read before it was written";
    }
  }
  table.close(stream);
  return wrong;
}

// What cannot be done is a status, and what comes after it works.
std::string errors(const SeawayDeviceTable& table, Gpu& gpu) {
  gpu.forget();
  void* queue = nullptr;
  void* memory = nullptr;
  if (table.allocate_on(0, std::size_t{1} << 60, &memory) == 0) {
    return "an exabyte was allocated";
  }
  if (table.open(100, &queue) == 0) {
    return "there is no GPU 100";
  }
  int device = 0;
  if (table.device_of(&device, &device) != 0 || device != device::kHost) {
    return "memory of the host's was not recognized";
  }
  if (table.device_of(gpu.take(4), &device) != 0 || device != 0) {
    return "memory of the device was not recognized";
  }
  int number = 7;
  int back = 0;
  std::byte* const there = gpu.take(sizeof number);
  gpu.write(there, &number, sizeof number);
  gpu.read(&back, there, sizeof back);
  return back == 7 ? "" : "a copy after an error";
}

int failures = 0;

void tell(const char* name, const std::string& wrong, double seconds) {
  std::printf("%-50s %6.1f s  %s%s\n", name, seconds, wrong.empty() ? "passed" : "FAILED: ", wrong.c_str());
  std::fflush(stdout);
  failures += wrong.empty() ? 0 : 1;
}

template <class Test>
void run(const char* name, const Test& test) {
  const auto began = std::chrono::steady_clock::now();
  const std::string wrong = test();
  tell(name, wrong, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count > 1 && std::strcmp(arguments[1], "--quick") == 0 ? 1 : 10;
  std::string why;
  const SeawayDeviceTable* const table = device::table(why);
  if (table == nullptr) {
    std::printf("not run: %s\n", why.c_str());
    return 77;
  }
  Gpu gpu(*table);
  if (!gpu.is_ready()) {
    std::printf("GPU 0 cannot be used: %s\n", gpu.problem().c_str());
    return 1;
  }
  for (const test::KernelCase& kernel_case : test::kernel_cases()) {
    run(kernel_case.name, [&] { return kernel_case.run(gpu, rounds); });
  }
  run("a queue follows a stream that is busy", [&] { return race(*table, gpu); });
  run("errors are statuses", [&] { return errors(*table, gpu); });
  std::printf("%s\n", failures == 0 ? "all passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
