// What an exchange, a send and a receive are, over a few engines wired to one another.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "unit/collective/cluster.h"

namespace seaway::collective {

namespace {

Descriptor exchange(std::vector<Share> sends, std::vector<Share> receives) {
  Descriptor d;
  d.kind = OpKind::exchange;
  d.sends = std::move(sends);
  d.receives = std::move(receives);
  return d;
}

Descriptor transfer(std::size_t from, std::size_t to, std::uint64_t count) {
  Descriptor d;
  d.kind = OpKind::transfer;
  d.root = Cluster::id(from);
  d.target = Cluster::id(to);
  d.count = count;
  return d;
}

std::vector<float> ramp(std::size_t count, float first) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::string cancel_reason(const std::vector<EngineEffect>& asked) {
  for (const EngineEffect& effect : asked) {
    if (const auto* cancel = std::get_if<AskCancel>(&effect)) {
      return cancel->reason;
    }
  }
  return "";
}

std::vector<float> piece(const std::vector<float>& all, std::size_t first, std::size_t count) {
  return {all.begin() + static_cast<std::ptrdiff_t>(first), all.begin() + static_cast<std::ptrdiff_t>(first + count)};
}

}  // namespace

TEST_CASE("an exchange brings to each what the others send to it, in the order of its list") {
  Cluster cluster(3);
  const PeerId a = Cluster::id(0);
  const PeerId b = Cluster::id(1);
  const PeerId c = Cluster::id(2);
  const OpHandle at_a = cluster.post(0, exchange({{c, 40}, {a, 3}, {b, 2}}, {{a, 3}, {b, 50}}), ramp(45, 0));
  const OpHandle at_b = cluster.post(1, exchange({{a, 50}}, {{c, 0}, {a, 2}}), ramp(50, 100));
  const OpHandle at_c = cluster.post(2, exchange({}, {{a, 40}}), {});
  cluster.output(0, at_a).resize(53);
  cluster.output(1, at_b).resize(2);
  cluster.output(2, at_c).resize(40);
  cluster.run();
  CHECK(piece(cluster.output(0, at_a), 0, 3) == ramp(3, 40));
  CHECK(piece(cluster.output(0, at_a), 3, 50) == ramp(50, 100));
  CHECK(cluster.output(1, at_b) == ramp(2, 43));
  CHECK(cluster.output(2, at_c) == ramp(40, 0));
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.ended(i)[0].result.outcome == Outcome::committed);
    CHECK(cluster.ended(i)[0].result.contributors.size() == 3);
    CHECK(cluster.ended(i)[0].result.value == cluster.ended(0)[0].result.value);
    cluster.engine(i).check_invariants();
  }
}

TEST_CASE("counts that differ: both ends ask for an abort that names both, and nobody commits") {
  Cluster cluster(3);
  const OpHandle at_a = cluster.post(0, exchange({{Cluster::id(1), 5}}, {}), ramp(5, 0));
  const OpHandle at_b = cluster.post(1, exchange({}, {{Cluster::id(0), 4}}), {});
  cluster.post(2, exchange({}, {}), {});
  cluster.output(1, at_b).resize(4);
  cluster.run();
  const std::string reason = "a sends 5 elements to b, which receives 4 from it: make the two alike";
  CHECK(cancel_reason(cluster.asked(0)) == reason);
  CHECK(cancel_reason(cluster.asked(1)) == reason);
  CHECK(cancel_reason(cluster.asked(2)).empty());
  const auto reports = cluster.cut();
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(cluster.ended(i).empty());
    CHECK(reports[i].at(0).status == wire::OpStatus::running);
  }
  cluster.resolve(all(reports[0], wire::Verdict::abort));
  cluster.run();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    CHECK(cluster.ended(i)[0].result.outcome == Outcome::aborted);
  }
  CHECK(cluster.input(0, at_a) == ramp(5, 0));
}

TEST_CASE("what had come stays when another member is lost, whose own is zeros") {
  Cluster cluster(3);
  const PeerId b = Cluster::id(1);
  const PeerId c = Cluster::id(2);
  cluster.hold_back(2, 0);
  const OpHandle at_a = cluster.post(0, exchange({}, {{b, 40}, {c, 20}}), {});
  cluster.post(1, exchange({{Cluster::id(0), 40}}, {}), ramp(40, 1));
  cluster.post(2, exchange({{Cluster::id(0), 20}}, {}), ramp(20, 1));
  cluster.output(0, at_a).resize(60, 9);
  cluster.run();
  const auto reports = cluster.lose(2);
  cluster.resolve(all(reports[0], wire::Verdict::resume));
  cluster.run();
  CHECK(piece(cluster.output(0, at_a), 0, 40) == ramp(40, 1));
  CHECK(piece(cluster.output(0, at_a), 40, 20) == std::vector<float>(20, 0));
  REQUIRE(cluster.ended(0).size() == 1);
  CHECK(cluster.ended(0)[0].result.lost == std::vector<PeerId>{c});
  CHECK(cluster.ended(1)[0].result.bytes_sent == 160);  // nothing was sent again
}

TEST_CASE("an exchange posted after a loss names who is lost; with on_loss = fail it asks for an abort") {
  Cluster cluster(3);
  cluster.lose(2);
  cluster.resolve({});
  Descriptor named = exchange({{Cluster::id(2), 3}}, {});
  cluster.post(0, named, ramp(3, 0));
  cluster.post(1, exchange({}, {}), {});
  cluster.run();
  REQUIRE(cluster.ended(0).size() == 1);
  CHECK(cluster.ended(0)[0].result.outcome == Outcome::committed);
  CHECK(cluster.ended(0)[0].result.lost == std::vector<PeerId>{Cluster::id(2)});
  CHECK(cluster.ended(1)[0].result.lost.empty());
  named.fail_on_loss = true;
  Descriptor empty = exchange({}, {});
  empty.fail_on_loss = true;
  cluster.post(0, named, ramp(3, 0));
  cluster.post(1, empty, {});
  cluster.run();
  CHECK(cluster.ended(0).size() == 1);
  CHECK(cancel_reason(cluster.asked(0)).starts_with("it names a member that was lost"));
}

TEST_CASE("a send and its receive need nobody else, and are counted apart from those of other ends") {
  Cluster cluster(3);
  std::vector<OpHandle> received;
  for (int i = 0; i < 3; ++i) {
    cluster.post(0, transfer(0, 1, 40), ramp(40, static_cast<float>(i)));
    received.push_back(cluster.post(1, transfer(0, 1, 40), {}));
  }
  cluster.post(2, transfer(2, 1, 10), ramp(10, 70));
  received.push_back(cluster.post(1, transfer(2, 1, 10), {}));
  cluster.run();
  for (int i = 0; i < 3; ++i) {
    CHECK(cluster.output(1, received[static_cast<std::size_t>(i)]) == ramp(40, static_cast<float>(i)));
  }
  CHECK(cluster.output(1, received[3]) == ramp(10, 70));
  CHECK(cluster.ended(0).size() == 3);
  CHECK(cluster.ended(1).size() == 4);
  REQUIRE(cluster.ended(2).size() == 1);
  CHECK(cluster.ended(2)[0].result.op.seq == 0);
  const auto from_c = std::ranges::find(cluster.ended(1), received[3], &Ended::op);
  CHECK(from_c->result.value == cluster.ended(2)[0].result.value);
}

TEST_CASE("a send whose receive differs is refused at both ends, and both are named") {
  Cluster cluster(3);
  cluster.post(0, transfer(0, 1, 4), ramp(4, 0));
  cluster.post(1, transfer(0, 1, 5), {});
  cluster.run();
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(cluster.ended(i).size() == 1);
    const Result& result = cluster.ended(i)[0].result;
    CHECK(result.outcome == Outcome::refused);
    CHECK(result.reason.find("count 4") != std::string::npos);
    CHECK(result.reason.find("count 5") != std::string::npos);
  }
}

TEST_CASE("both ends of a send are essential") {
  Cluster cluster(3);
  cluster.post(0, transfer(0, 1, 4), ramp(4, 0));
  auto reports = cluster.lose(1);
  CHECK(reports[0].at(0).essential_lost);
  CHECK(reports[1].empty());  // it is no op of c's
  cluster.resolve(all(reports[0], wire::Verdict::abort));
  cluster.run();
  CHECK(cluster.ended(0).at(0).result.outcome == Outcome::aborted);
  cluster.post(0, transfer(0, 1, 4), ramp(4, 0));
  cluster.run();
  CHECK(cluster.ended(0).at(1).result.outcome == Outcome::refused);
  CHECK(cluster.ended(0).at(1).result.reason == "who was to receive is not a member any more: choose another one");
}

TEST_CASE("lists and ends that cannot be are refused at once") {
  Cluster cluster(2);
  const PeerId a = Cluster::id(0);
  const PeerId b = Cluster::id(1);
  const auto says = [&](const Descriptor& d) { return cluster.engine(0).post(d, 0).text; };
  CHECK(says(exchange({{b, 1}, {b, 1}}, {})) == "sends names b twice");
  CHECK(says(exchange({}, {{7, 1}})).starts_with("receives names 0000000000000007, which is no member"));
  CHECK(says(exchange({{a, 2}}, {{a, 1}})).starts_with("sends has 2 elements for this member itself, and receives 1"));
  CHECK(says(exchange({{b, kMostBytes / 4}, {a, 1}}, {{a, 1}})).starts_with("sends or receives have together more"));
  CHECK(says(transfer(0, 0, 1)).starts_with("who sends is who receives"));
  CHECK(says(transfer(1, 2, 1)) == "neither who sends nor who receives is this member");
  Descriptor reduction;
  reduction.sends = {{b, 1}};
  CHECK(says(reduction) == "sends and receives are of an exchange");
  Descriptor nobody = transfer(0, 1, 1);
  nobody.target = kNoPeer;
  CHECK(says(nobody).starts_with("a transfer needs"));
  CHECK(cluster.engine(0).idle());
}

}  // namespace seaway::collective
