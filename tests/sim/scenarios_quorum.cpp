// Scenarios of ops that do not wait for everybody.
#include <initializer_list>
#include <map>
#include <set>

#include "sim/cluster.h"
#include "sim/scenarios.h"

namespace seaway::sim {

namespace {

using collective::Descriptor;
using collective::OpKind;

// The calls are those of the script.
Options without_program(std::uint32_t replicas) {
  Options options = quiet(replicas);
  options.updates = 0;
  return options;
}

Descriptor with_quorum(std::uint32_t quorum, Duration grace = 0) {
  Descriptor op{.count = 150};
  op.tag = 77;
  op.quorum = quorum;
  op.grace = grace;
  return op;
}

class Script : public Cluster {
 public:
  Script(const Options& options, bool verbose) : Cluster(options, verbose) {
    until([&] { return members() == options.replicas; });
  }

  OpHandle posts(std::size_t i, const Descriptor& op, std::uint32_t index = 900) {
    Descriptor mine = op;
    mine.blocks = has_blocks(op.kind) ? world.sites.size() : 0;
    return post(i, mine, index);
  }
  void until_ended(std::size_t i, OpHandle op) {
    until([&] { return !peer(i).core().engine().progress(op); });
  }
  void contributors_are(std::size_t i, OpHandle op, std::initializer_list<std::size_t> members) {
    until([&] { return peer(i).result_of(op).has_value(); });
    std::set<PeerId> wanted;
    for (const std::size_t member : members) {
      wanted.insert(peer(member).id());
    }
    std::set<PeerId> got;
    for (const collective::Contributor& contributor : peer(i).result_of(op)->contributors) {
      got.insert(contributor.id);
    }
    if (got != wanted) {
      throw Violation("the contributors are others than those that were in time");
    }
  }
  // Members that choose different contributors hold different values: the master has them try once more.
  void tries_are_at_most(std::uint32_t most, std::size_t i, OpHandle op) {
    until([&] { return peer(i).result_of(op).has_value(); });
    if (peer(i).result_of(op)->attempts > most) {
      throw Violation("members have chosen different contributors");
    }
  }
  void counted(const char* outcome, std::uint64_t times) {
    until([&] { return count(outcome) >= times; });
    if (count(outcome) != times) {
      throw Violation(std::string("more are ") + outcome + " than should be");
    }
  }
};

// Whoever is late, the one that says SET included. The others have their result before it posts, and it gets the same.
void straggler(Descriptor op, bool verbose) {
  for (const std::size_t late : {0u, 1u, 2u}) {
    Script script(without_program(3), verbose);
    const std::size_t one = (late + 1) % 3;
    const std::size_t other = (late + 2) % 3;
    const OpHandle at_one = script.posts(one, op);
    const OpHandle at_other = script.posts(other, op);
    script.contributors_are(one, at_one, {one, other});
    script.contributors_are(other, at_other, {one, other});
    script.contributors_are(late, script.posts(late, op), {one, other});
    script.finish();
  }
}

void straggler_gets_the_result(bool verbose) { straggler(with_quorum(2, 50 * kMillisecond), verbose); }
void straggler_in_place(bool verbose) {
  Descriptor op = with_quorum(2);
  op.in_place = true;
  straggler(op, verbose);
}
void straggler_of_a_reduce_scatter(bool verbose) {
  Descriptor op = with_quorum(2);
  op.kind = OpKind::reduce_scatter;
  straggler(op, verbose);
}
void straggler_with_a_codec(bool verbose) {
  Descriptor op = with_quorum(2);
  op.count = 1000;
  op.up = op.down = Codec::q8;
  op.feeds_back = true;
  straggler(op, verbose);
}

void grace_is_waited_for(bool verbose) {
  Script script(without_program(3), verbose);
  const Descriptor op = with_quorum(2, kSecond);
  script.posts(0, op);
  script.posts(1, op);
  script.pass(300 * kMillisecond);
  const OpHandle late = script.posts(2, op);
  script.contributors_are(2, late, {0, 1, 2});
  script.finish();
}

// At any moment before, while and after the others run the op.
void straggler_posts_at_any_moment(bool verbose) {
  for (Duration after = 0; after < 200 * kMillisecond; after += 8 * kMillisecond) {
    Script script(without_program(4), verbose);
    Descriptor op = with_quorum(2, 20 * kMillisecond);
    op.in_place = after % (16 * kMillisecond) == 0;
    for (const std::size_t i : {0u, 1u, 3u}) {
      script.posts(i, op);
    }
    script.pass(after);
    script.posts(2, op);
    script.counted("committed", 4);
    script.finish();
  }
}

// M16: they see the others post in different orders.
void everybody_posts_at_another_moment(bool verbose) {
  for (Duration apart = 0; apart < 24 * kMillisecond; apart += 2 * kMillisecond) {
    Script script(without_program(4), verbose);
    const Descriptor op = with_quorum(2);
    std::map<std::size_t, OpHandle> posted;
    for (const std::size_t i : {3u, 1u, 0u, 2u}) {
      posted[i] = script.posts(i, op);
      script.pass(apart);
    }
    for (const auto& [i, handle] : posted) {
      script.tries_are_at_most(1, i, handle);
    }
    script.finish();
  }
}

// Its attempt had a set without the one that is late, and the next one has another.
void member_dies_after_the_set(bool verbose) {
  for (Duration after = 0; after < 160 * kMillisecond; after += 8 * kMillisecond) {
    Script script(without_program(4), verbose);
    const Descriptor op = with_quorum(3);
    std::map<std::size_t, OpHandle> posted;
    for (const std::size_t i : {0u, 1u, 3u}) {
      posted[i] = script.posts(i, op);
    }
    script.pass(after);
    posted[2] = script.posts(2, op);
    script.pass(8 * kMillisecond);
    script.kill_for_good(3);
    for (const std::size_t i : {0u, 1u, 2u}) {
      script.tries_are_at_most(2, i, posted[i]);
    }
    script.finish();
  }
}

// G12: 1 has committed when 0 dies, and 2 has only just posted.
void straggler_posts_when_a_member_dies(bool verbose) {
  Script script(without_program(3), verbose);
  const Descriptor op = with_quorum(2);
  script.posts(0, op);
  const OpHandle posted = script.posts(1, op);
  script.until_ended(1, posted);
  script.posts(2, op);
  script.kill_for_good(0);
  script.finish();
}

// Before and after it has said SET; the one that is late posts when all is over, or never and then something else.
void who_says_set_dies(bool verbose) {
  for (const bool comes : {true, false}) {
    for (Duration after = 0; after < 200 * kMillisecond; after += 8 * kMillisecond) {
      Script script(without_program(4), verbose);
      const Descriptor op = with_quorum(2, 20 * kMillisecond);
      for (const std::size_t i : {0u, 1u, 3u}) {
        script.posts(i, op);
      }
      script.pass(after);
      script.kill_for_good(0);
      const std::uint64_t before = script.count("committed");
      script.until([&] { return script.count("committed") >= std::max<std::uint64_t>(2, before); });
      if (comes) {
        script.posts(2, op);
      }
      script.finish();
    }
  }
}

void straggler_that_differs(bool verbose) {
  Script script(without_program(3), verbose);
  script.world.checker.expect_failure({0, 0, 900});
  Descriptor op = with_quorum(2);
  const OpHandle posted = script.posts(0, op);
  script.posts(1, op);
  script.until_ended(0, posted);
  op.layout = 5;
  script.posts(2, op);
  script.counted("refused", 1);
  script.counted("committed", 2);
  for (const std::size_t i : {0u, 1u, 2u}) {
    script.posts(i, op, 901);
  }
  script.counted("committed", 5);
  script.finish();
}

void straggler_that_differs_is_needed(bool verbose) {
  Script script(without_program(3), verbose);
  script.world.checker.expect_failure({0, 0, 900});
  Descriptor op = with_quorum(3);
  script.posts(0, op);
  script.posts(1, op);
  script.pass(200 * kMillisecond);
  op.layout = 5;
  script.posts(2, op);
  script.counted("refused", 3);
  script.posts(0, op, 901);
  script.posts(1, op, 901);
  script.posts(2, op, 901);
  script.counted("committed", 3);
  script.finish();
}

// They have its READY, and hold what it said; it is lost, and they say something else.
void lost_poster_binds_nobody(bool verbose) {
  Script script(without_program(3), verbose);
  Descriptor op = with_quorum(2);
  op.layout = 5;
  op.count = 90;
  script.posts(0, op);
  script.pass(100 * kMillisecond);
  script.kill_for_good(0);
  script.pass(2 * kSecond);
  const Descriptor another = with_quorum(2);
  script.posts(1, another);
  script.posts(2, another);
  script.counted("committed", 2);
  script.finish();
}

void no_room_for_what_is_not_posted(bool verbose) {
  Options options = without_program(3);
  options.limits.held_bytes = 1000;  // one of the ops
  Script script(options, verbose);
  const Descriptor op = with_quorum(2);
  for (std::uint32_t index = 900; index < 904; ++index) {
    script.posts(0, op, index);
    script.posts(1, op, index);
  }
  script.pass(kSecond);
  script.counted("committed", 2);
  for (std::uint32_t index = 900; index < 904; ++index) {
    script.posts(2, op, index);
  }
  script.counted("committed", 12);
  script.finish();
}

void straggler_far_behind(bool verbose) {
  Script script(without_program(4), verbose);
  const Descriptor op = with_quorum(3);
  for (std::uint32_t index = 900; index < 920; ++index) {
    for (const std::size_t i : {0u, 1u, 3u}) {
      script.posts(i, op, index);
    }
  }
  script.counted("committed", 60);
  for (std::uint32_t index = 900; index < 920; ++index) {
    script.posts(2, op, index);
  }
  script.counted("committed", 80);
  script.finish();
}

// The straggler goes on to the next generation without it.
void passed(std::uint32_t quorum, bool verbose) {
  Script script(without_program(3), verbose);
  script.world.checker.expect_failure({0, 0, 900});
  script.world.healed = true;  // the newcomer does not die
  script.world.add_replica();
  script.until([&] { return script.world.sites[3]->process && script.peer(3).links().size() >= 6; });
  const Descriptor op = with_quorum(quorum);
  script.posts(0, op);
  script.posts(1, op);
  script.pass(kSecond);
  for (const std::size_t i : {0u, 1u, 2u}) {
    script.peer(i).update();
  }
  script.until([&] {
    return script.members() == 4 &&
           std::ranges::all_of(script.world.living(), [](const auto* p) { return p->core().generation() == 2; });
  });
  script.counted(quorum == 2 ? "committed" : "refused", 2);
  for (const std::size_t i : {0u, 1u, 2u, 3u}) {
    script.posts(i, op, 901);
  }
  script.counted("committed", quorum == 2 ? 6 : 4);
  script.finish();
}

void held_op_is_passed(bool verbose) { passed(2, verbose); }
void op_that_needs_who_passes_it(bool verbose) { passed(3, verbose); }

}  // namespace

std::vector<Scenario> scenarios_of_quorums() {
  return {
      {"a straggler gets the result of the others", straggler_gets_the_result},
      {"a straggler gets it in place", straggler_in_place},
      {"a straggler gets its block of a reduce-scatter", straggler_of_a_reduce_scatter},
      {"a straggler gets the result of an op with codecs", straggler_with_a_codec},
      {"whoever posts within the grace contributes", grace_is_waited_for},
      {"a straggler posts at any moment", straggler_posts_at_any_moment},
      {"everybody posts at another moment (M16)", everybody_posts_at_another_moment},
      {"a member dies when a set was said without a straggler", member_dies_after_the_set},
      {"a straggler posts just when a member dies (G12)", straggler_posts_when_a_member_dies},
      {"the one that says SET dies at any moment", who_says_set_dies},
      {"a straggler that differs is refused alone", straggler_that_differs},
      {"a straggler that differs, and would be needed", straggler_that_differs_is_needed},
      {"what a lost member has posted binds nobody", lost_poster_binds_nobody},
      {"no room for the results of ops that are not posted", no_room_for_what_is_not_posted},
      {"a straggler is 20 ops behind", straggler_far_behind},
      {"an op that is held is passed at a join", held_op_is_passed},
      {"an op that needs a member is passed by it at a join", op_that_needs_who_passes_it},
  };
}

}  // namespace seaway::sim
