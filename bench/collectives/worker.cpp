// One peer: a program that uses libseaway as anybody's does. Says "ready", then obeys standard input:
//
//   run N     N ops, each after an update, whose time does not count; their seconds, a line each, then
//             "cpu SECONDS peak KIB grown KIB threads N" and "done"
//   check     is every element of the last result right? "right" or "wrong"
//   (its end) leaves the run
#include <seaway/seaway.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "collectives/commands.h"
#include "lab/inside.h"

namespace seaway::bench {

namespace {

constexpr double kPatience = 60;  // seconds

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of this process, all its threads.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Of this process, a field of /proc/self/status that is a number; 0 where there is none.
unsigned long long status_of(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) {
      return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10);
    }
  }
  return 0;
}

// Elements of a vector of which a peer has all, or, on that side of its collective, a block.
std::size_t elements(const Options& options, Collective with_blocks) {
  return options.bytes / sizeof(float) / (options.collective == with_blocks ? options.peers : 1);
}

class Worker {
 public:
  explicit Worker(const Options& options)
      : options_(options),
        in_(elements(options, Collective::all_gather)),
        between_((options.between_mib << 20) / sizeof(float)),
        out_(options.in_place ? 0 : elements(options, Collective::reduce_scatter)),
        expected_(static_cast<float>(options.peers) * static_cast<float>(options.peers + 1) / 2) {}

  int run() {
    if (!go_to_site() || !join()) {
      return 1;
    }
    refill();
    kib_when_ready_ = status_of("VmRSS");
    std::printf("ready\n");
    std::fflush(stdout);
    char line[64];
    bool good = true;
    while (good && std::fgets(line, sizeof line, stdin) != nullptr) {
      unsigned runs = 0;
      if (std::sscanf(line, "run %u", &runs) == 1) {
        good = measure(runs);
      } else if (std::strcmp(line, "check\n") == 0) {
        std::printf("%s\n", is_right() ? "right" : "wrong");
      }
      std::fflush(stdout);
    }
    seaway_leave(comm_, kPatience);
    seaway_destroy(comm_);
    return good ? 0 : 1;
  }

 private:
  // Before the library has threads: they would stay where they are.
  bool go_to_site() {
    if (!options_.lab) {
      return true;
    }
    const lab::Inside lab = lab::inside();
    if (options_.rank >= lab.spaces.size() || !lab::enter_space(lab.spaces[options_.rank])) {
      std::fprintf(stderr, "seaway_bench: peer %u cannot get to its site\n", options_.rank);
      return false;
    }
    listen_ = lab.addresses[options_.rank] + ":0";
    return true;
  }

  bool join() {
    seaway_config config;
    seaway_config_init(&config, sizeof config);
    config.plaintext = options_.master.starts_with("seaway1/") ? 0 : 1;
    (config.plaintext == 1 ? config.master : config.join) = options_.master.c_str();
    config.listen = listen_.c_str();
    config.replica = options_.rank;
    config.min_world = options_.peers;
    config.connections = options_.streams;
    config.rate_mbps = options_.rate;
    const std::string site = site_of(options_, options_.rank);
    config.site = site.c_str();
    return is_ok("create", seaway_create(&comm_, &config)) && is_ok("join", seaway_join(comm_, kPatience));
  }

  bool measure(unsigned runs) {
    std::vector<double> seconds;
    seconds.reserve(runs);
    const seaway_buffer in{in_.data(), in_.size(), SEAWAY_F32, SEAWAY_HOST};
    const seaway_buffer out{out_.data(), out_.size(), SEAWAY_F32, SEAWAY_HOST};
    double cpu = 0;
    double cpu_before = cpu_seconds();
    for (unsigned i = 0; i < runs; ++i) {
      if (options_.in_place) {  // not a part of what is measured: the sum must stay the same
        cpu += cpu_seconds() - cpu_before;
        refill();
        cpu_before = cpu_seconds();
      }
      // Where rates that were measured take effect; a call and no more when there is nothing new.
      if (!is_ok("update", seaway_update(comm_, nullptr, kPatience))) {
        return false;
      }
      if (!between_.empty()) {
        const seaway_buffer large{between_.data(), between_.size(), SEAWAY_F32, SEAWAY_HOST};
        if (!is_ok("all_reduce", seaway_all_reduce(comm_, nullptr, nullptr, &large, 1, SEAWAY_SUM, nullptr))) {
          return false;
        }
      }
      const double began = seconds_now();
      const seaway_status status = perform(out, in);
      seconds.push_back(seconds_now() - began);
      if (!is_ok(name_of(options_.collective), status)) {
        return false;
      }
    }
    cpu += cpu_seconds() - cpu_before;
    for (const double time : seconds) {
      std::printf("%.9f\n", time);
    }
    const unsigned long long peak = status_of("VmHWM");
    std::printf("cpu %.9f peak %llu grown %llu threads %llu\ndone\n", cpu, peak, peak - std::min(peak, kib_when_ready_),
                status_of("Threads"));
    return true;
  }

  seaway_status perform(const seaway_buffer& out, const seaway_buffer& in) {
    seaway_options how;
    seaway_options_init(&how, sizeof how);
    how.codec_up = options_.codec_up;
    how.codec_down = options_.codec_down;
    switch (options_.collective) {
      case Collective::reduce_scatter:
        return seaway_reduce_scatter(comm_, nullptr, &out, &in, 1, SEAWAY_SUM, &how);
      case Collective::all_gather:
        return seaway_all_gather(comm_, nullptr, &out, &in, 1, &how);
      case Collective::exchange:
        return exchange(out, in, how);
      case Collective::all_reduce:
        break;
    }
    return seaway_all_reduce(comm_, nullptr, options_.in_place ? nullptr : &out, &in, 1, SEAWAY_SUM, &how);
  }

  // A block of the input for each member of the generation, and one of the output from each.
  seaway_status exchange(const seaway_buffer& out, const seaway_buffer& in, const seaway_options& how) {
    std::vector<std::uint64_t> peers(options_.peers);
    std::size_t count = 0;
    seaway_view* view = nullptr;
    if (const seaway_status status = seaway_view_get(comm_, &view); status != SEAWAY_OK) {
      return status;
    }
    seaway_view_blocks(view, peers.data(), peers.size(), &count);
    seaway_view_free(view);
    std::vector<seaway_share> sends(std::min(count, peers.size()));
    std::vector<seaway_share> receives(sends.size());
    for (std::size_t i = 0; i < sends.size(); ++i) {
      const std::size_t block = in.count / options_.peers;
      sends[i] = {peers[i], {static_cast<float*>(in.data) + i * block, block, in.dtype, in.device}};
      receives[i] = {peers[i], {static_cast<float*>(out.data) + i * block, block, out.dtype, out.device}};
    }
    return seaway_exchange(comm_, nullptr, receives.data(), receives.size(), sends.data(), sends.size(), SEAWAY_F32,
                           &how);
  }

  bool is_right() const {
    const std::vector<float>& result = options_.in_place ? in_ : out_;
    // Encoded, a number is off by half a step, and once more on its way back.
    constexpr float kSteps[] = {0, 1.0F / 128, 1.0F / 127, 1.0F / 7};
    const float off = kSteps[std::max(options_.codec_up, options_.codec_down)];
    const auto is_near = [&](float x, float expected) { return std::abs(x - expected) <= off * expected; };
    const auto all_are = [&](auto begin, auto end, float expected) {
      return std::all_of(begin, end, [&](float x) { return is_near(x, expected); });
    };
    const bool has_blocks =
        options_.collective == Collective::all_gather || options_.collective == Collective::exchange;
    if (!has_blocks || result.empty()) {
      return all_are(result.begin(), result.end(), expected_);
    }
    const auto block_size = static_cast<std::ptrdiff_t>(result.size() / options_.peers);
    // Blocks stand in the order of admission, which is nobody's rank: each is one peer's, and all are there.
    std::set<float> seen;
    for (auto block = result.begin(); block != result.end(); block += block_size) {
      if (!all_are(block, block + block_size, *block)) {
        return false;
      }
      seen.insert(*block);
    }
    return seen.size() == options_.peers && is_near(*seen.begin(), 1) &&
           is_near(*seen.rbegin(), static_cast<float>(options_.peers));
  }

  void refill() { std::fill(in_.begin(), in_.end(), static_cast<float>(options_.rank + 1)); }

  bool is_ok(const char* what, seaway_status status) {
    if (status == SEAWAY_OK) {
      return true;
    }
    seaway_error error;
    std::memset(&error, 0, sizeof error);
    error.struct_size = sizeof error;
    seaway_error_get(comm_, nullptr, &error);
    std::fprintf(stderr, "seaway_bench: peer %u: %s: %s: %s\n", options_.rank, what, seaway_status_string(status),
                 error.text);
    return false;
  }

  Options options_;
  std::string listen_ = "127.0.0.1:0";
  std::vector<float> in_;
  std::vector<float> between_;
  std::vector<float> out_;
  float expected_;
  unsigned long long kib_when_ready_ = 0;
  seaway_comm* comm_ = nullptr;
};

}  // namespace

int run_worker(const Options& options) { return Worker(options).run(); }

}  // namespace seaway::bench
