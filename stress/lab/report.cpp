#include "lab/report.h"

#include <cstdio>
#include <string>

namespace seaway::lab {

namespace {

using Count = unsigned long long;

std::string percent(std::uint64_t part, std::uint64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f %%",
                whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

}  // namespace

void print_report(const Network& network, const Ground& ground, const Emulator::Figures& figures) {
  std::fprintf(stderr, "\n%-22s %10s %12s %14s %10s %14s\n", "link", "MB", "Mbit/s", "dropped", "", "longest queue");
  for (const Network::NamedLink& named : network.links()) {
    const Link::Counts& counts = named.link->counts();
    std::fprintf(stderr, "%-22s %10.1f %12.1f %14llu %10s %11.0f KB\n", named.name.c_str(),
                 static_cast<double>(counts.bytes) / 1e6, static_cast<double>(counts.bytes) * 8 / 1e6 / figures.seconds,
                 static_cast<Count>(counts.dropped), percent(counts.dropped, counts.dropped + counts.segments).c_str(),
                 static_cast<double>(counts.longest_queue) / 1000);
  }
  std::fprintf(stderr, "\n%-22s %10s %12s %14s %10s %14s\n", "way", "MB", "packets", "lost", "", "cut");
  for (unsigned from = 0; from < network.sites(); ++from) {
    for (unsigned to = 0; to < network.sites(); ++to) {
      const Pair& pair = network.pair(from, to);
      if (pair.segments + pair.lost + pair.taken_by_cut > 0) {
        std::fprintf(stderr, "%-22s %10.1f %12llu %14llu %10s %14llu\n",
                     (network.name(from) + " -> " + network.name(to)).c_str(), static_cast<double>(pair.bytes) / 1e6,
                     static_cast<Count>(pair.segments), static_cast<Count>(pair.lost),
                     percent(pair.lost, pair.lost + pair.segments).c_str(), static_cast<Count>(pair.taken_by_cut));
      }
    }
  }
  std::uint64_t overrun = 0;
  for (unsigned site = 0; site < network.sites(); ++site) {
    overrun += ground.dropped_by_kernel(site);
  }
  std::fprintf(
      stderr,
      "\nthe emulator: %.2f of a core (%.2f CPU s in %.1f s); %llu deliveries, %s more than 1 ms late, at most "
      "%.1f ms; lost by the lab itself: %llu\n",
      figures.cpu_seconds / figures.seconds, figures.cpu_seconds, figures.seconds,
      static_cast<Count>(figures.deliveries), percent(figures.late, figures.deliveries).c_str(),
      static_cast<double>(figures.latest) / kMillisecond, static_cast<Count>(overrun + figures.refused));
}

}  // namespace seaway::lab
