// Frames that no healthy peer sends: the connection or the op pays for them, and never the process.
#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <variant>
#include <vector>

#include "cluster.h"
#include "collective/engine.h"

namespace seaway::collective {
namespace {

using wire::FrameHeader;
using wire::FrameType;

constexpr OpKey kFirstOp{0, 1, 0, 0};

// The first of two members, whose only connection is `kConn`. The test is the other one.
class Victim : public Cluster {
 public:
  static constexpr ConnId kConn = 2;  // Cluster::conn(0, 1)

  explicit Victim(const Limits& limits = small_limits()) : Cluster(2, limits) {}

  void goes_on_from(std::uint64_t number) { sent_ = number - 1; }
  static bool is_refused(const Landing& landing) { return std::holds_alternative<Refuse>(landing); }

  Landing says(FrameType type, std::uint32_t length, std::uint32_t chunk = 0, OpKey op = kFirstOp) {
    FrameHeader header;
    header.type = type;
    header.op = op;
    header.length = length;
    header.link_seq = ++sent_;
    header.epoch = {1, 1};
    header.chunk = chunk;
    return engine(0).on_header(kConn, header, now);
  }
  void says_ready(const Descriptor& descriptor) {
    wire::Ready ready;
    ready.digest = digest_of(descriptor);
    const std::vector<std::byte> payload = wire::encode_payload(ready);
    says(FrameType::ready, static_cast<std::uint32_t>(payload.size()));
    engine(0).on_message(kConn, payload, now);
  }
  void lands() { engine(0).on_landed(kConn, now); }
  // Whether the connection is closed by what it said.
  bool closes() {
    const std::vector<EngineEffect> effects = engine(0).take_effects();
    return std::any_of(effects.begin(), effects.end(),
                       [](const EngineEffect& e) { return std::holds_alternative<CloseLinkConnection>(e); });
  }
  // Jobs that it has for the bytes that came.
  std::vector<Job> jobs() {
    std::vector<Job> all;
    for (Job job; engine(0).next_job(job);) {
      all.push_back(job);
    }
    return all;
  }

 private:
  std::uint64_t sent_ = 0;
};

Descriptor sum_of(std::uint64_t count) {
  Descriptor descriptor;
  descriptor.count = count;
  return descriptor;
}

TEST_CASE("a part that is longer than any chunk is refused, also of an op that is not posted") {
  Victim victim;
  const std::uint32_t longest = std::max(Victim::small_limits().chunk_bytes, kCodecGrain);
  CHECK_FALSE(Victim::is_refused(victim.says(FrameType::part, longest)));
  Victim other;
  CHECK(Victim::is_refused(other.says(FrameType::part, longest + 1)));
}

TEST_CASE("frames that came with a malformed one, before its connection is closed, go nowhere") {
  Victim victim;
  REQUIRE(std::holds_alternative<Message>(victim.says(FrameType::ready, 1)));
  const std::byte nonsense{1};
  victim.engine(0).on_message(Victim::kConn, {&nonsense, 1}, victim.now);
  CHECK(std::holds_alternative<Sink>(victim.says(FrameType::part, 64)));
  victim.lands();
  const std::vector<EngineEffect> effects = victim.engine(0).take_effects();
  REQUIRE(effects.size() == 1);
  CHECK(std::get<CloseLinkConnection>(effects[0]).conn == Victim::kConn);
  victim.engine(0).on_lost(Victim::kConn, victim.now);
  victim.engine(0).check_invariants();
}

TEST_CASE("a part that came before the post and is not of the plan's length is never read") {
  Victim victim;
  REQUIRE(std::holds_alternative<Land>(victim.says(FrameType::part, 4)));  // of a chunk of 64 bytes
  victim.lands();
  const Descriptor descriptor = sum_of(16);
  victim.says_ready(descriptor);
  victim.post(0, descriptor, std::vector<float>(16, 1));
  CHECK(victim.jobs().empty());
  // It is asked for again, and is what it should be.
  REQUIRE(std::holds_alternative<Land>(victim.says(FrameType::part, 64)));
  victim.lands();
  const std::vector<Job> jobs = victim.jobs();
  REQUIRE(jobs.size() == 1);
  REQUIRE(jobs[0].sources.size() == 2);
  for (const JobSource& source : jobs[0].sources) {
    CHECK(source.region.length == jobs[0].dst.length);
  }
}

TEST_CASE("a part that lands after the post and is of a chunk that the plan does not have is ignored") {
  Victim victim;
  REQUIRE(std::holds_alternative<Land>(victim.says(FrameType::part, 64, 1'000'000)));
  const Descriptor descriptor = sum_of(16);
  victim.engine(0).attach(Cluster::id(1), 77, false, victim.now);
  wire::Ready ready;
  ready.digest = digest_of(descriptor);
  const std::vector<std::byte> payload = wire::encode_payload(ready);
  FrameHeader header;
  header.type = FrameType::ready;
  header.op = kFirstOp;
  header.length = static_cast<std::uint32_t>(payload.size());
  header.link_seq = 9;
  REQUIRE(std::holds_alternative<Message>(victim.engine(0).on_header(77, header, victim.now)));
  victim.engine(0).on_message(77, payload, victim.now);
  victim.post(0, descriptor, std::vector<float>(16, 1));
  victim.lands();
  CHECK(victim.jobs().empty());
  victim.engine(0).check_invariants();
}

TEST_CASE("frames after one that does not come are remembered up to a bound, and the one that comes is taken") {
  Limits limits = Cluster::small_limits();
  limits.frames_ahead = 3;
  Victim victim(limits);
  victim.goes_on_from(2);
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(victim.is_refused(victim.says(FrameType::gone, 0)));
    victim.lands();
  }
  SUBCASE("the bound") { CHECK(victim.is_refused(victim.says(FrameType::gone, 0))); }
  SUBCASE("the one that was missing") {
    victim.goes_on_from(1);
    CHECK_FALSE(victim.is_refused(victim.says(FrameType::gone, 0)));
    victim.lands();
    victim.goes_on_from(6);
    CHECK_FALSE(victim.is_refused(victim.says(FrameType::gone, 0)));
  }
}

TEST_CASE("ENDED of tags that are nobody's takes bounded memory, and costs the connection") {
  Limits limits = Cluster::small_limits();
  limits.unposted_ops = 4;
  Victim victim(limits);
  const auto says_ended = [&](std::uint64_t tag) {
    victim.says(FrameType::ended, 0, 0, {0, 1, tag, 1});
    victim.engine(0).on_message(Victim::kConn, {}, victim.now);
    return victim.closes();
  };
  for (std::uint64_t tag = 100; tag < 104; ++tag) {
    CHECK_FALSE(says_ended(tag));
    CHECK_FALSE(says_ended(tag));  // one that is known costs nothing
  }
  CHECK(says_ended(104));
}

}  // namespace
}  // namespace seaway::collective
