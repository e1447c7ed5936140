// One peer: a program that uses libseaway as anybody's does. Says "ready", then obeys standard input:
//
//   run N     N all-reduces, one after the other; their seconds, a line each, then "cpu SECONDS" and "done"
//   check     is every element of the last result right? "right" or "wrong"
//   (its end) leaves the run
#include <seaway/seaway.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
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

class Worker {
 public:
  explicit Worker(const Options& options)
      : options_(options),
        in_(options.bytes / sizeof(float)),
        out_(options.in_place ? 0 : in_.size()),
        expected_(static_cast<float>(options.peers) * static_cast<float>(options.peers + 1) / 2) {}

  int run() {
    if (!go_to_site() || !join()) {
      return 1;
    }
    refill();
    std::printf("ready\n");
    std::fflush(stdout);
    char line[64];
    bool good = true;
    while (good && std::fgets(line, sizeof line, stdin) != nullptr) {
      unsigned runs = 0;
      if (std::sscanf(line, "run %u", &runs) == 1) {
        good = measure(runs);
      } else if (std::strcmp(line, "check\n") == 0) {
        const std::vector<float>& result = options_.in_place ? in_ : out_;
        const bool right = std::all_of(result.begin(), result.end(), [&](float x) { return x == expected_; });
        std::printf("%s\n", right ? "right" : "wrong");
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
      const double began = seconds_now();
      const seaway_status status =
          seaway_all_reduce(comm_, nullptr, options_.in_place ? nullptr : &out, &in, 1, SEAWAY_SUM, nullptr);
      seconds.push_back(seconds_now() - began);
      if (!is_ok("all_reduce", status)) {
        return false;
      }
    }
    cpu += cpu_seconds() - cpu_before;
    for (const double time : seconds) {
      std::printf("%.9f\n", time);
    }
    std::printf("cpu %.9f\ndone\n", cpu);
    return true;
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
  std::vector<float> out_;
  float expected_;
  seaway_comm* comm_ = nullptr;
};

}  // namespace

int run_worker(const Options& options) { return Worker(options).run(); }

}  // namespace seaway::bench
