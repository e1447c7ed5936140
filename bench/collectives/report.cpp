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

void print_all_reduce(const Options& options, const std::vector<double>& seconds, double cpu_seconds) {
  const double p50 = percentile(seconds, .5);
  const double p99 = percentile(seconds, .99);
  const double algbw = p50 > 0 ? static_cast<double>(options.bytes) / p50 / 1e9 : 0;
  const double busbw = algbw * 2 * (options.peers - 1) / options.peers;
  const double cpu = cpu_seconds / static_cast<double>(seconds.size());
  const char* form = options.json
                         ? R"({"collective": "all_reduce", "peers": %u, "bytes": %llu, "in_place": %s, "streams": %u, )"
                           R"("runs": %zu, "p50_s": %.9f, "p99_s": %.9f, "algbw_GBps": %.4f, "busbw_GBps": %.4f, )"
                           R"("cpu_s": %.9f})"
                           "\n"
                         : "all_reduce f32 sum: %u peers, %llu bytes, in place: %s, %u stream(s), %zu runs\n"
                           "  p50    %12.7f s\n"
                           "  p99    %12.7f s\n"
                           "  algbw  %12.4f GB/s  (bytes / p50)\n"
                           "  busbw  %12.4f GB/s  (algbw * 2(n-1)/n)\n"
                           "  CPU    %12.6f s per run, all peers together\n";
  std::printf(form, options.peers, static_cast<unsigned long long>(options.bytes), options.in_place ? "true" : "false",
              options.streams, seconds.size(), p50, p99, algbw, busbw, cpu);
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
