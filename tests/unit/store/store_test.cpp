// The compared write: what a table that fails, lies or is slow makes of it.
#include "store/store.h"

#include <doctest/doctest.h>

#include <deque>
#include <future>

namespace seaway::store {
namespace {

using core::Replaced;

wire::StoredRun record(std::uint64_t term, std::uint64_t version) {
  wire::StoredRun run;
  run.term = term;
  run.version = version;
  run.run = {term, version};
  return run;
}

// Does what the next step of its script says, and writes when there is none.
struct Scripted : Table {
  enum class Step : std::uint8_t { write, fail, fail_after_writing, somebody_else_writes };

  Read read() override {
    ++reads;
    if (unreadable > 0) {
      --unreadable;
      return {std::nullopt, "a test says so"};
    }
    return {there, ""};
  }
  Replaced replace(core::Place expected, const wire::StoredRun& wanted, std::string& problem) override {
    Step step = Step::write;
    if (!steps.empty()) {
      step = steps.front();
      steps.pop_front();
    }
    problem = "a test says so";
    if (step == Step::fail) {
      return Replaced::unknown;
    }
    if (step == Step::somebody_else_writes) {
      there = record(9, 1);
    }
    if (core::Place::of(there) != expected) {
      return Replaced::other;
    }
    there = wanted;
    return step == Step::fail_after_writing ? Replaced::unknown : Replaced::yes;
  }

  std::optional<wire::StoredRun> there = record(3, 7);
  std::deque<Step> steps;
  unsigned unreadable = 0;
  unsigned reads = 0;
};

std::optional<bool> settle(Scripted& table, unsigned tries = 100) {
  return settle(table, {{3, 7}, record(3, 8)}, [&](unsigned failed, const std::string&) { return failed < tries; });
}

TEST_CASE("a write that fails is tried again") {
  Scripted table;
  table.steps = {Scripted::Step::fail, Scripted::Step::fail};
  table.unreadable = 3;
  CHECK(settle(table) == true);
  CHECK(table.there == record(3, 8));
}

TEST_CASE("a write that only seems to fail is seen to be done") {
  Scripted table;
  table.steps = {Scripted::Step::fail_after_writing};
  table.unreadable = 1;
  CHECK(settle(table) == true);
  CHECK(table.reads == 2);
}

TEST_CASE("what another master has written stays, whether it is seen at once or after a failure") {
  Scripted table;
  SUBCASE("at once") { table.there = record(4, 1); }
  SUBCASE("between two tries") { table.steps = {Scripted::Step::fail, Scripted::Step::somebody_else_writes}; }
  SUBCASE("the same version, of another term") { table.there = record(5, 7); }
  CHECK(settle(table) == false);
  CHECK(table.there != record(3, 8));
}

TEST_CASE("what looks like this write and has another author is another master's") {
  Scripted table;
  table.there = record(3, 8);
  table.there->author = 1;
  CHECK(settle(table) == false);
}

TEST_CASE("a table that never works is given up when the caller says so") {
  Scripted table;
  table.steps.assign(10, Scripted::Step::fail);
  CHECK_FALSE(settle(table, 5));
}

TEST_CASE("the store answers each write, one after the other, on its own thread") {
  auto table = std::make_unique<Scripted>();
  table->there.reset();
  table->steps = {Scripted::Step::fail};
  std::string said;
  Store store(std::move(table), [&](const std::string& text) { said = text; });
  CHECK_FALSE(store.load().record);
  for (std::uint64_t version = 1; version <= 3; ++version) {
    std::promise<bool> answer;
    const core::Place expected = version == 1 ? core::Place{} : core::Place{1, version - 1};
    store.write(expected, record(1, version), [&](bool ok) { answer.set_value(ok); });
    CHECK(answer.get_future().get());
  }
  CHECK(said.find("a test says so") != std::string::npos);
  std::promise<bool> answer;
  store.write({1, 1}, record(1, 2), [&](bool ok) { answer.set_value(ok); });
  CHECK_FALSE(answer.get_future().get());
}

TEST_CASE("a store that goes while a write cannot be done does not answer it") {
  auto table = std::make_unique<Scripted>();
  table->steps.assign(1000, Scripted::Step::fail);
  bool answered = false;
  {
    Store store(std::move(table), [](const std::string&) {});
    store.write({3, 7}, record(3, 8), [&](bool) { answered = true; });
  }
  CHECK_FALSE(answered);
}

}  // namespace
}  // namespace seaway::store
