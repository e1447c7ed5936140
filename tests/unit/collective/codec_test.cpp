// Ops with a codec.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "cluster.h"
#include "support/encoded.h"

namespace seaway::collective {
namespace {

using support::as_encoded;

constexpr std::size_t kCount = 1100;  // five blocks of q8, the last of them short

Descriptor sum_by(Codec up, Codec down) {
  Descriptor descriptor;
  descriptor.count = kCount;
  descriptor.up = up;
  descriptor.down = down;
  return descriptor;
}

// Not to be said exactly in q8.
std::vector<float> ramp(std::size_t member, std::size_t count = kCount) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>((i * 7 + member * 13) % 1000) / 3.0F;
  }
  return x;
}

std::vector<float> sum_of(const std::vector<std::vector<float>>& inputs) {
  std::vector<float> sum = inputs[0];
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    std::transform(sum.begin(), sum.end(), inputs[i].begin(), sum.begin(), std::plus<>());
  }
  return sum;
}

struct Op {
  explicit Op(std::size_t members, const Descriptor& descriptor, Limits limits = Cluster::small_limits())
      : cluster(members, limits) {
    for (std::size_t i = 0; i < members; ++i) {
      handles.push_back(cluster.post(i, descriptor, ramp(i)));
    }
  }
  const Result& result(std::size_t i) const {
    REQUIRE(cluster.ended(i).size() == 1);
    return cluster.ended(i)[0].result;
  }
  Cluster cluster;
  std::vector<OpHandle> handles;
};

TEST_CASE("contributions and results are what their encodings say, at their own member and root too") {
  for (const Codec up : kAllCodecs) {
    for (const Codec down : kAllCodecs) {
      CAPTURE(name_of(up));
      CAPTURE(name_of(down));
      Op op(3, sum_by(up, down));
      op.cluster.run();
      std::vector<std::vector<float>> sent;
      for (std::size_t i = 0; i < 3; ++i) {
        sent.push_back(as_encoded(up, ramp(i)));
      }
      const std::vector<float> sum = as_encoded(down, sum_of(sent));
      for (std::size_t i = 0; i < 3; ++i) {
        CHECK(op.result(i).outcome == Outcome::committed);
        CHECK(op.cluster.output(i, op.handles[i]) == sum);
        CHECK(op.cluster.input(i, op.handles[i]) == ramp(i));
        op.cluster.engine(i).check_invariants();
      }
    }
  }
}

TEST_CASE("q8 both ways sends .26 of the bytes") {
  Op plain(3, sum_by(Codec::none, Codec::none));
  Op coded(3, sum_by(Codec::q8, Codec::q8));
  plain.cluster.run();
  coded.cluster.run();
  std::uint64_t plain_bytes = 0;
  std::uint64_t coded_bytes = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    plain_bytes += plain.result(i).bytes_sent;
    coded_bytes += coded.result(i).bytes_sent;
  }
  CHECK(100 * coded_bytes <= 26 * plain_bytes);
}

TEST_CASE("where everybody reduces for himself no result travels, and none is encoded") {
  Limits limits = Cluster::small_limits();
  limits.one_shot_bytes = 1 << 20;
  Op op(3, sum_by(Codec::q8, Codec::q4), limits);
  op.cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(op.result(i).plan == PlanKind::one_shot);
    CHECK(op.cluster.output(i, op.handles[i]) ==
          sum_of({as_encoded(Codec::q8, ramp(0)), as_encoded(Codec::q8, ramp(1)), as_encoded(Codec::q8, ramp(2))}));
  }
}

TEST_CASE(
    "a loss in the middle: what was encoded is not encoded again, and the survivors have the bits of the survivors") {
  Op op(3, sum_by(Codec::q8, Codec::bf16));
  op.cluster.hold_back(2, 0);
  op.cluster.hold_back(2, 1);
  op.cluster.run();
  const int before = op.cluster.encodings(0);
  const auto reports = op.cluster.lose(2);
  op.cluster.resolve(all(reports[0], wire::Verdict::resume));
  op.cluster.run();
  const std::vector<float> sum =
      as_encoded(Codec::bf16, sum_of({as_encoded(Codec::q8, ramp(0)), as_encoded(Codec::q8, ramp(1))}));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(op.result(i).outcome == Outcome::committed);
    CHECK(op.cluster.output(i, op.handles[i]) == sum);
  }
  CHECK(before > 0);
  CHECK(op.cluster.encodings(0) == 5);  // each of five chunks once
}

TEST_CASE("a gathered block is what its encoding says, for its owner too") {
  Descriptor gather;
  gather.kind = OpKind::all_gather;
  gather.count = 300;
  gather.blocks = 3;
  gather.up = Codec::q4;
  Cluster cluster(3);
  std::vector<OpHandle> ops;
  std::vector<float> gathered;
  for (std::size_t i = 0; i < 3; ++i) {
    ops.push_back(cluster.post(i, gather, ramp(i, 300)));
    const std::vector<float> block = as_encoded(Codec::q4, ramp(i, 300));
    gathered.insert(gathered.end(), block.begin(), block.end());
  }
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(cluster.output(i, ops[i]) == gathered);
  }
}

TEST_CASE("a residual is added, and becomes what was lost when the op commits; otherwise it stays") {
  Descriptor descriptor = sum_by(Codec::q4, Codec::none);
  descriptor.feeds_back = true;
  std::vector<float> wanted = ramp(0);
  for (float& x : wanted) {
    x += .25F;  // as the cluster has residuals
  }
  for (const bool commits : {true, false}) {
    CAPTURE(commits);
    descriptor.in_place = commits;
    Op op(3, descriptor);
    if (!commits) {
      op.cluster.hold_back(2, 0);
    }
    op.cluster.run();
    std::vector<float> lost(kCount, .25F);
    if (commits) {
      const std::vector<float> sent = as_encoded(Codec::q4, wanted);
      std::transform(wanted.begin(), wanted.end(), sent.begin(), lost.begin(), std::minus<>());
      CHECK(op.cluster.encodings(0) == 10);
    } else {
      CHECK(op.cluster.encodings(0) > 0);
      op.cluster.resolve(all(op.cluster.cut()[0], wire::Verdict::abort));
      op.cluster.run();
    }
    CHECK(op.result(0).outcome == (commits ? Outcome::committed : Outcome::aborted));
    CHECK(op.cluster.residual(0, op.handles[0]) == lost);
  }
}

TEST_CASE("codecs that differ are a difference, and what no codec is for is refused at the post") {
  Cluster cluster(2);
  cluster.post(0, sum_by(Codec::q8, Codec::none), ramp(0));
  cluster.post(1, sum_by(Codec::q4, Codec::none), ramp(1));
  cluster.run();
  CHECK(cluster.ended(0)[0].result.outcome == Outcome::refused);
  CHECK(cluster.ended(0)[0].result.reason.find("codec q4") != std::string::npos);

  const auto refusal = [&](auto&& change) {
    Descriptor descriptor = sum_by(Codec::q8, Codec::none);
    change(descriptor);
    const Posted posted = cluster.engine(0).post(descriptor, cluster.now);
    CHECK(posted.error == PostError::invalid);
    return posted.text;
  };
  CHECK(refusal([](Descriptor& d) { d.dtype = DType::f16; }).find("f32") != std::string::npos);
  CHECK(refusal([](Descriptor& d) { d.reduction = Reduction::max; }).find("sum and avg") != std::string::npos);
  CHECK(refusal([](Descriptor& d) { d.up = static_cast<Codec>(9); }).find("none, bf16, q8, q4") != std::string::npos);
  CHECK(refusal([](Descriptor& d) {
          d.kind = OpKind::broadcast;
          d.root = 100;
        }).find("all_gather") != std::string::npos);
  CHECK(refusal([](Descriptor& d) {
          d.kind = OpKind::reduce_scatter;
          d.blocks = 2;
          d.down = Codec::q8;
        }).find("only an all-reduce") != std::string::npos);
  CHECK(refusal([](Descriptor& d) {
          d.up = Codec::none;
          d.feeds_back = true;
        }).find("codec up") != std::string::npos);
}

}  // namespace
}  // namespace seaway::collective
