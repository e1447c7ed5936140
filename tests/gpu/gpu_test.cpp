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
  bool lincomb(const SeawayLincomb& call) override {
    queue_->lincomb(call);
    return is_over();
  }
  bool outer_step(const SeawayOuterStep& call) override {
    queue_->outer_step(call);
    return is_over();
  }
  bool squares(const SeawaySquares& call) override {
    queue_->squares(call);
    return is_over();
  }

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

  const SeawayDeviceTable* table_;
  std::string problem_;
  std::unique_ptr<device::Queue> queue_;
  std::byte* arena_ = nullptr;
  std::size_t taken_ = 0;
};

// A stream of the caller's that is busy: what it writes last is what the queue, which follows a mark of it, reads. All of it is on
// the device: a copy of the host's pageable memory returns when it is nearly done, and there was nothing left to race.
std::string race(const SeawayDeviceTable& table, Gpu& gpu) {
  constexpr std::size_t kBytes = std::size_t{16} << 20;
  void* stream = nullptr;  // the table's queue serves as a stream of somebody's
  if (table.open(0, &stream) != 0) {
    return "no stream";
  }
  gpu.forget();
  std::byte* const data = gpu.take(kBytes);
  std::byte* const source = gpu.take(kBytes);
  std::vector<std::byte> seen(kBytes);
  std::vector<std::byte> fresh(kBytes);
  std::string wrong;
  for (int round = 1; round <= 10 && wrong.empty(); ++round) {
    std::memset(fresh.data(), round, kBytes);
    gpu.write(source, fresh.data(), kBytes);
    for (int i = 0; i < 32; ++i) {
      table.zero(stream, data, kBytes);
    }
    table.copy(stream, data, source, kBytes);
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

// Whoever borrows a stream, here the default one, works in its order, and what he put in is done after he has given it back.
std::string borrowed(const SeawayDeviceTable& table, Gpu& gpu) {
  constexpr std::size_t kCount = std::size_t{1} << 20;
  gpu.forget();
  auto* const x = reinterpret_cast<float*>(gpu.take(kCount * sizeof(float)));
  auto* const y = reinterpret_cast<float*>(gpu.take(kCount * sizeof(float)));
  const SeawayTerm twice{x, 2};
  std::string wrong;
  for (int round = 1; round <= 20 && wrong.empty(); ++round) {
    const std::vector<float> fresh(kCount, static_cast<float>(round));
    std::vector<float> seen(kCount);
    const auto first = device::Queue::borrow(table, 0, nullptr, wrong);
    const auto second = device::Queue::borrow(table, 0, nullptr, wrong);
    auto third = device::Queue::borrow(table, 0, nullptr, wrong);
    if (!first || !second || !third) {
      return "it was not lent: " + wrong;
    }
    for (int i = 0; i < 8; ++i) {
      first->zero(y, kCount * sizeof(float));
    }
    second->copy(x, fresh.data(), kCount * sizeof(float));
    third->lincomb({seaway::DType::f32, y, &twice, 1, kCount});
    third.reset();
    first->copy(seen.data(), y, kCount * sizeof(float));
    wrong = first->wait();
    if (wrong.empty() && seen != std::vector<float>(kCount, static_cast<float>(2 * round))) {
      wrong = "round " + std::to_string(round) + ": not in the order of the stream";
    }
  }
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
  run("a stream that is borrowed keeps its order", [&] { return borrowed(*table, gpu); });
  run("errors are statuses", [&] { return errors(*table, gpu); });
  std::printf("%s\n", failures == 0 ? "all passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
