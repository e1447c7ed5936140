#include "sim/options.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace seaway::sim {

namespace {

template <class T>
T pick(Random& random, std::initializer_list<T> values) {
  return values.begin()[random.below(values.size())];
}

}  // namespace

const char* name_of(Fault fault) {
  constexpr const char* names[] = {
      "crash",          "stall",        "cut",        "master cut", "reset",      "half-open", "slow link",
      "master restart", "master stall", "join",       "leave",      "wrong call", "cancel",    "slow caller",
      "bit flip",       "store lies",   "store full", "store lost", "store old",  "lease lost"};
  return names[static_cast<std::size_t>(fault)];
}

Options Options::draw(std::uint64_t seed) {
  Options options = draw_without_transactions(seed);
  Random random(seed ^ 0x7a15);
  options.transactions = random.one_in(2);
  if (options.transactions && random.one_in(3)) {
    options.lanes = static_cast<std::uint16_t>(random.between(2, 4));
    options.replicas = std::min(options.replicas, options.lanes == 2 ? 4u : 3u);
  }
  return options;
}

Options Options::draw_without_transactions(std::uint64_t seed) {
  Random random(seed * 0x9e3779b97f4a7c15u + 1);
  Options options;
  options.seed = seed;
  options.lanes = random.one_in(5) ? 2 : 1;
  options.replicas = static_cast<std::uint32_t>(random.between(2, options.lanes == 2 ? 4 : random.one_in(4) ? 8 : 5));
  options.has_store = !random.one_in(4);
  options.majority = !options.has_store && random.one_in(3);
  options.limits.chunk_bytes = pick<std::uint32_t>(random, {16, 64, 64, 128, 512, 2048});
  options.limits.one_shot_bytes = pick<std::uint64_t>(random, {0, 0, 256, 1 << 20});
  options.limits.eager_bytes = pick<std::uint64_t>(random, {0, 100, 1000, 1 << 20});
  options.limits.window_bytes = pick<std::uint64_t>(random, {1, 256, 2000, 1 << 20});
  options.limits.least_window_bytes = 1;
  options.limits.kept_bytes = pick<std::uint64_t>(random, {0, 200, 1 << 20});
  options.limits.ack_every = pick<std::uint32_t>(random, {1, 4, 8});
  options.data_connections = static_cast<std::uint32_t>(random.between(1, 3));
  options.updates = random.between(5, 9);
  options.update_delay = pick<Duration>(random, {10, 10, 400, 1500}) * kMillisecond;
  options.ops_per_batch = static_cast<std::uint32_t>(random.between(4, 6));
  options.most_elements = pick<std::uint32_t>(random, {20, 100, 300, 600});
  options.faults = static_cast<std::uint32_t>(random.between(3, 10));
  constexpr int kOfEverySeed = static_cast<int>(Fault::store_lies);
  for (int kind = 0; kind < kOfEverySeed; ++kind) {
    if (random.percent(45)) {
      options.kinds.insert(static_cast<Fault>(kind));
    }
  }
  options.kinds.insert(random.one_in(2) ? Fault::crash : static_cast<Fault>(random.below(kOfEverySeed)));
  options.latency = static_cast<Duration>(random.between(100, 40'000)) * kMicrosecond;
  options.jitter = pick<Duration>(random, {0, kMillisecond, 20 * kMillisecond});
  options.bytes_per_ms = pick<std::uint64_t>(random, {15, 60, 400, 4'000, 100'000});
  options.socket_bytes = pick<std::uint64_t>(random, {64, 300, 1024, 8192});
  options.piece_bytes = pick<std::uint64_t>(random, {40, 300, 1024, 8192});
  options.job_delay = pick<Duration>(random, {0, kMillisecond, 30 * kMillisecond});
  options.release_delay = pick<Duration>(random, {0, kMillisecond, 30 * kMillisecond, 400 * kMillisecond});
  options.store_delay = pick<Duration>(random, {kMillisecond, 20 * kMillisecond, 100 * kMillisecond});
  options.stateful = random.one_in(6);
  options.quiet_before = static_cast<Duration>(random.below(600)) * kMillisecond;
  if (options.has_store) {
    for (const Fault fault : {Fault::store_lies, Fault::store_full, Fault::lease_lost}) {
      if (random.one_in(4)) {
        options.kinds.insert(fault);
      }
    }
    if (random.one_in(8)) {  // less is promised from then on
      options.kinds.insert(random.one_in(2) ? Fault::store_lost : Fault::store_old);
    }
  }
  options.measures = random.one_in(2);
  Random of_quorums(seed ^ 0x9a0c);
  options.quorums = of_quorums.percent(60);
  options.limits.held_bytes = pick<std::uint64_t>(of_quorums, {0, 1000, 5000, 1 << 20, 1 << 20, 1 << 20});
  options.between_rates = pick<Duration>(random, {0, kSecond, 5 * kSecond});
  if (random.one_in(2)) {
    for (std::uint64_t labels = random.between(1, 5); labels > 0; --labels) {
      options.sites.emplace_back(pick<const char*>(random, {"", "east", "east", "west", "west", "north"}));
    }
  }
  return options;
}

}  // namespace seaway::sim
