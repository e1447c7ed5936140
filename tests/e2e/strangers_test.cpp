// Whatever comes to a port: port scanners, browsers, other versions, attackers. They get nothing, and the run does not notice.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "e2e/cluster.h"
#include "support/first_words.h"
#include "support/stranger.h"
#include "support/temporary_folder.h"
#include "wire/messages.h"

namespace seaway::e2e {

namespace {

using support::Bytes;
using support::first_words_to_master;
using support::first_words_to_peer;
using support::mutated;
using support::operator+;
using support::raise_descriptor_limit;
using support::random_bytes;
using support::Stranger;
using support::with_length;

constexpr unsigned kWorld = 3;
// Nobody is to be evicted because a busy machine gave a process no time for 3 s: strangers are what is tested.
constexpr unsigned kTimeScale = 4;
constexpr double kPatience = 60;
constexpr double kMostGrowth_mib = 64;
constexpr std::size_t kIdle = 3000;
constexpr std::size_t kInLobby = 256;   // of docs/PROTOCOL.md, section 9
constexpr double kClosedWithin = 15;    // seconds; the lobby's patience is 5
constexpr std::size_t kOwnFiles = 200;  // of the test itself: pipes and the like
constexpr std::uint64_t kSeed = 20260731;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kFreedMemoryStays = true;  // quarantine and shadow: resident memory says nothing
#elif defined(__has_feature)
constexpr bool kFreedMemoryStays = __has_feature(address_sanitizer);
#else
constexpr bool kFreedMemoryStays = false;
#endif

// A run under siege, and how it fares.
class Siege {
 public:
  explicit Siege(const std::string& state = "")
      : cluster(kWorld, {.mib = 1, .ops = 1, .time_scale = kTimeScale, .state = state, .encrypted = !state.empty()}) {
    for (const auto& worker : cluster.workers()) {
      workers.push_back(worker.get());
      pids.push_back(worker->process().pid());
    }
    pids.push_back(cluster.master().pid());
    cluster.wait_for_ops(workers, 50, kPatience);  // all buffers have been made
    formed = workers[0]->ops.back().epoch;
    for (const pid_t pid : pids) {
      resident_before.push_back(resident_mib(pid));
      files_before.push_back(descriptors(pid).size());
    }
    growth.assign(pids.size(), 0);
    // One peer is as good as another.
    targets = {cluster.address(), workers[1]->lives.back().address};
    std::printf("resident before: peers %.1f %.1f %.1f MiB, master %.1f MiB\n", resident_before[0], resident_before[1],
                resident_before[2], resident_before[3]);
  }

  void measure() {
    for (std::size_t i = 0; i < pids.size(); ++i) {
      growth[i] = std::max(growth[i], resident_mib(pids[i]) - resident_before[i]);
    }
  }

  // Runs `attack`, then waits until every stranger that it leaves is closed by the other end.
  void phase(const char* name, const std::function<void(std::vector<Stranger>&)>& attack) {
    std::vector<std::size_t> from;
    for (const Worker* worker : workers) {
      from.push_back(worker->ops.size());
    }
    const double began = seconds_now();
    std::vector<Stranger> strangers;
    attack(strangers);
    measure();
    cluster.wait_for_ops(workers, 10, kPatience);
    measure();
    std::size_t open = strangers.size();
    cluster.wait_for(std::string(name) + ": every stranger to be closed", kClosedWithin, [&] {
      measure();
      open = static_cast<std::size_t>(std::count_if(strangers.begin(), strangers.end(),
                                                    [](const Stranger& stranger) { return !stranger.is_closed(); }));
      return open == 0;
    });
    std::size_t ops = 0;
    double longest = 0;
    for (std::size_t w = 0; w < workers.size(); ++w) {
      for (std::size_t i = from[w]; i < workers[w]->ops.size(); ++i, ++ops) {
        const Op& op = workers[w]->ops[i];
        longest = std::max(longest, op.seconds);
        if (op.contributors != "012" || op.attempts != 1 || op.epoch != formed) {
          cluster.fail(std::string(name) + ": an op over " + op.contributors + " in " + std::to_string(op.attempts) +
                       " attempts, in epoch " + std::to_string(op.epoch.number));
        }
      }
      CHECK(workers[w]->evictions.empty());
    }
    std::printf("%-48s %5zu strangers, all closed; %6.2f s, %6zu ops, the longest %.3f s\n", name, strangers.size(),
                seconds_now() - began, ops, longest);
  }

  void end() {
    std::printf("resident memory grew by at most: peers %.1f %.1f %.1f MiB, master %.1f MiB (allowed: %.0f)\n",
                growth[0], growth[1], growth[2], growth[3], kMostGrowth_mib);
    for (std::size_t i = 0; i < pids.size(); ++i) {
      CHECK((kFreedMemoryStays || growth[i] <= kMostGrowth_mib));
      cluster.wait_for("descriptors to be as many as before", kPatience,
                       [&] { return descriptors(pids[i]).size() <= files_before[i]; });
    }
    cluster.finish();
  }

  Cluster cluster;
  std::vector<Worker*> workers;
  std::vector<std::string> targets;  // the master's port, a peer's port
  std::vector<pid_t> pids;           // the workers', then the master's
  std::vector<double> resident_before;
  std::vector<std::size_t> files_before;
  std::vector<double> growth;
  Epoch formed;
};

Stranger connected(Siege& siege, const std::string& address) {
  Stranger stranger(address);
  if (!stranger.ok()) {
    siege.cluster.fail("no connection to " + address);
  }
  return stranger;
}

}  // namespace

TEST_CASE("garbage at the ports of a master and of a peer harms no op, ends no process and takes no memory") {
  const std::size_t files = raise_descriptor_limit();
  Siege siege;
  Random random(kSeed);

  // What this machine does to an op by itself.
  siege.phase("nobody", [&](std::vector<Stranger>&) { siege.cluster.listen_for(2); });

  siege.phase("9 bytes", [&](std::vector<Stranger>& strangers) {
    for (int i = 0; i < 200; ++i) {
      strangers.push_back(connected(siege, siege.targets[i % 2]));
      strangers.back().say(random_bytes(random, 9));
    }
  });

  const auto lengths = [&](std::vector<Stranger>& strangers) {
    std::vector<Bytes> firsts;
    for (const std::uint64_t length : {1ull << 60, ~0ull, 0xffffffffull, 1ull << 31, 4097ull, 0ull}) {
      Bytes bytes(sizeof length);
      std::memcpy(bytes.data(), &length, sizeof length);
      firsts.push_back(bytes);
      // The master's second message, whose length has another limit.
      firsts.push_back(wire::encode(wire::Opening{}) + bytes);
    }
    for (const std::string& target : siege.targets) {
      for (const Bytes& bytes : firsts) {
        for (int i = 0; i < 8; ++i) {
          strangers.push_back(connected(siege, target));
          strangers.back().say(bytes + random_bytes(random, 1000));
        }
      }
    }
  };

  const auto pieces = [&](std::vector<Stranger>& strangers) {
    // A whole first message of somebody who does not belong here, while the run goes on between its bytes.
    const std::vector<Bytes> words{first_words_to_master(random), first_words_to_peer(random)};
    for (std::size_t i = 0; i < 2; ++i) {
      strangers.push_back(connected(siege, siege.targets[i]));
      for (const std::byte byte : words[i]) {
        strangers[i].say({&byte, 1});
        siege.cluster.listen_for(0.001);
      }
    }
    // The status that anybody on this machine may ask for is one of them: in pieces it is understood as in one.
    const Stranger asks = connected(siege, siege.targets[0]);
    for (const std::byte byte : wire::encode(wire::Opening{wire::kMagic, wire::Purpose::status_text})) {
      asks.say({&byte, 1});
      siege.cluster.listen_for(0.001);
    }
    siege.cluster.wait_for("the status", kPatience, [&] { return asks.is_closed(); });
  };

  const auto unfinished = [&](std::vector<Stranger>& strangers) {
    const std::vector<Bytes> words{wire::encode(wire::Opening{}), first_words_to_peer(random)};
    for (std::size_t target = 0; target < 2; ++target) {
      for (std::size_t length = 0; length < words[target].size(); ++length) {
        strangers.push_back(connected(siege, siege.targets[target]));
        strangers.back().say(std::span(words[target]).first(length));
      }
    }
  };

  siege.phase("lengths of 2^60 and others, headers in pieces", [&](std::vector<Stranger>& strangers) {
    pieces(strangers);
    lengths(strangers);
    unfinished(strangers);
  });

  siege.phase("random frames, mutated hellos", [&](std::vector<Stranger>& strangers) {
    for (int i = 0; i < 3000; ++i) {
      const std::size_t target = random.below(2);
      const Bytes noise = random_bytes(random, random.below(4096));
      const Bytes words = target == 0 ? first_words_to_master(random) : first_words_to_peer(random);
      const std::vector<Bytes> kinds{
          noise, with_length(static_cast<std::uint32_t>(noise.size()), noise),
          wire::encode(wire::Opening{}) + with_length(static_cast<std::uint32_t>(noise.size()), noise),
          mutated(random, words), words + noise};
      Stranger stranger = connected(siege, siege.targets[target]);
      stranger.say(kinds[random.below(kinds.size())]);
      if (random.one_in(10)) {
        strangers.push_back(std::move(stranger));  // the others hang up
      }
      if (i % 100 == 0) {
        siege.cluster.listen_for(0);
        siege.measure();
      }
    }
  });

  // The master keeps what it has of a message, and a message may have 1 MiB.
  siege.phase("messages of 1 MiB that do not end", [&](std::vector<Stranger>& strangers) {
    constexpr std::uint32_t kLength = 1u << 20;
    const Bytes most(kLength - 1);
    for (int i = 0; i < 200; ++i) {
      strangers.push_back(connected(siege, siege.targets[0]));
      strangers.back().say(wire::encode(wire::Opening{}) + with_length(kLength, most));
      siege.cluster.listen_for(0.002);
      siege.measure();
    }
  });

  const std::size_t idle = std::min(kIdle, (files - kOwnFiles) / 2);
  if (idle < kIdle) {
    std::printf("this system allows %zu descriptors: %zu idle connections to each port instead of %zu\n", files, idle,
                kIdle);
  }
  // Bare ones, and such as have said the first word and no more.
  for (const bool is_opened : {false, true}) {
    siege.phase(is_opened ? "idle connections after an opening" : "idle connections",
                [&](std::vector<Stranger>& strangers) {
                  for (std::size_t i = 0; i < 2 * idle; ++i) {
                    strangers.push_back(connected(siege, siege.targets[i % 2]));
                    if (is_opened) {
                      strangers.back().say(wire::encode(wire::Opening{}));
                    }
                    if (i % 100 == 0) {
                      siege.cluster.listen_for(0);
                      siege.measure();
                    }
                  }
                  // All but the newest have made room, long before their time was over.
                  siege.cluster.wait_for("the oldest to make room", kPatience, [&] {
                    return std::count_if(strangers.begin(), strangers.end(), [](const Stranger& stranger) {
                             return !stranger.is_closed();
                           }) <= static_cast<std::ptrdiff_t>(2 * kInLobby);
                  });
                });
  }
  siege.end();
}

TEST_CASE("an encrypted run under siege: strangers get no further than their handshake, and honest peers are let in") {
  const std::size_t files = raise_descriptor_limit();
  const support::TemporaryFolder folder;
  Siege siege(folder.path());
  Random random(kSeed);
  const Bytes record{std::byte{0x16}, std::byte{3}, std::byte{1}, std::byte{2},
                     std::byte{0}};  // a handshake of 512 bytes

  siege.phase("plaintext, garbage and half handshakes", [&](std::vector<Stranger>& strangers) {
    for (int i = 0; i < 600; ++i) {
      const std::size_t target = random.below(2);
      const std::vector<Bytes> kinds{random_bytes(random, 9), random_bytes(random, random.below(8000)),
                                     target == 0 ? first_words_to_master(random) : first_words_to_peer(random),
                                     record + random_bytes(random, random.below(512)),
                                     record + random_bytes(random, 8000)};
      strangers.push_back(connected(siege, siege.targets[target]));
      strangers.back().say(kinds[random.below(kinds.size())]);
      if (i % 50 == 0) {
        siege.cluster.listen_for(0);
        siege.measure();
      }
    }
  });

  const std::size_t idle = std::min(kIdle, (files - kOwnFiles) / 2);
  siege.phase("idle connections, and an honest peer", [&](std::vector<Stranger>& strangers) {
    for (std::size_t i = 0; i < idle; ++i) {
      strangers.push_back(connected(siege, siege.targets[i % 2]));
      if (i % 100 == 0) {
        siege.cluster.listen_for(0);
        siege.measure();
      }
    }
    const double began = seconds_now();
    Process honest(SEAWAY_PROGRAM, {"token", "list", "--state", folder.path()});
    CHECK(honest.wait() == 0);
    std::printf("between %zu idle connections a handshake and an answer took %.3f s\n", idle, seconds_now() - began);
  });
  siege.end();
}

}  // namespace seaway::e2e
