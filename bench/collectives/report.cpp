#include "collectives/report.h"

#include <algorithm>
#include <cstdio>

namespace seaway::bench {

double percentile(std::vector<double> values, double p) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}

void print_collective(const Options& options, const Measured& measured) {
  const bool both = options.collective == Collective::all_reduce;
  const double p50 = percentile(measured.seconds, .5);
  const double p99 = percentile(measured.seconds, .99);
  const double algbw = p50 > 0 ? static_cast<double>(options.bytes) / p50 / 1e9 : 0;
  const double busbw = algbw * (both ? 2 : 1) * (options.peers - 1) / options.peers;
  const double cpu = measured.cpu_seconds / static_cast<double>(measured.seconds.size());
  const char* form = options.json
                         ? R"({"collective": "%s", "peers": %u, "bytes": %llu, "in_place": %s, "streams": %u, )"
                           R"("runs": %zu, )"
                         : "%s f32: %u peers, %llu bytes, in place: %s, %u stream(s), %zu runs\n";
  std::printf(form, name_of(options.collective), options.peers, static_cast<unsigned long long>(options.bytes),
              options.in_place ? "true" : "false", options.streams, measured.seconds.size());
  form = options.json ? R"("p50_s": %.9f, "p99_s": %.9f, "algbw_GBps": %.4f, "busbw_GBps": %.4f, "cpu_s": %.9f, )"
                      : "  p50    %12.7f s\n"
                        "  p99    %12.7f s\n"
                        "  algbw  %12.4f GB/s  (bytes / p50)\n"
                        "  busbw  %12.4f GB/s  (algbw, by what of it a link carries: --help)\n"
                        "  CPU    %12.6f s per run, all peers together\n";
  std::printf(form, p50, p99, algbw, busbw, cpu);
  form = options.json ? R"("peak_kib": %llu, "grown_kib": %llu, "threads": %u})"
                        "\n"
                      : "  memory %12llu KiB at most in a peer, %llu of it while it ran; %u threads\n";
  std::printf(form, static_cast<unsigned long long>(measured.peak_kib),
              static_cast<unsigned long long>(measured.grown_kib), measured.threads);
  std::fflush(stdout);
}

void print_turn(const Measured& measured) {
  std::printf("{\"seconds\": [");
  for (std::size_t i = 0; i < measured.seconds.size(); ++i) {
    std::printf("%s%.9f", i == 0 ? "" : ", ", measured.seconds[i]);
  }
  std::printf("], \"cpu_s\": %.9f, \"peak_kib\": %llu, \"grown_kib\": %llu, \"threads\": %u}\n", measured.cpu_seconds,
              static_cast<unsigned long long>(measured.peak_kib), static_cast<unsigned long long>(measured.grown_kib),
              measured.threads);
  std::fflush(stdout);
}

void print_floor(const Options& options, const std::vector<double>& seconds) {
  const char* form = options.json ? R"({"floor": true, "bytes": %llu, "runs": %zu, "p50_s": %.9f, "p99_s": %.9f})"
                                    "\n"
                                  : "floor: two crossed messages of %llu bytes, %zu runs\n"
                                    "  p50    %12.7f s\n"
                                    "  p99    %12.7f s\n";
  std::printf(form, static_cast<unsigned long long>(options.bytes), seconds.size(), percentile(seconds, .5),
              percentile(seconds, .99));
  std::fflush(stdout);
}

}  // namespace seaway::bench
