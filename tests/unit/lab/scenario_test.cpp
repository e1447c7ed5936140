// Scenario files: what they say is understood, and what is wrong in one is said with its line.
#include "lab/model/scenario.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "lab/model/units.h"

using namespace seaway;
using namespace seaway::lab;

namespace {

std::string problem_of(const std::string& text) {
  Scenario scenario;
  std::string problem;
  CHECK_FALSE(parse_scenario(text, "f.lab", scenario, problem));
  return problem;
}

}  // namespace

TEST_CASE("numbers have units") {
  CHECK(parse_rate("500mbit") == 500'000'000U);
  CHECK(parse_rate("1.5gbit") == 1'500'000'000U);
  CHECK(parse_rate("unlimited") == 0U);
  CHECK(parse_duration("25ms") == 25 * kMillisecond);
  CHECK(parse_duration("0.25s") == 250 * kMillisecond);
  CHECK(parse_duration("0ms") == 0);
  CHECK(parse_bytes("2mb") == 2'000'000U);
  CHECK(parse_bytes("64kib") == 65'536U);
  CHECK(*parse_share("0.1%") == doctest::Approx(.001));
  for (const char* text :
       {"", "5", "mbit", "-5mbit", "5 mbit", "5mbits", "nanmbit", "infmbit", "1e30gbit", "0mbit", "0x5mbit"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rate(text));
  }
  CHECK_FALSE(parse_share("101%"));
  CHECK_FALSE(parse_share(".1"));
  CHECK_FALSE(parse_duration("5"));
}

TEST_CASE("a scenario is read: sites, trunks, paths and what happens when") {
  Scenario scenario;
  std::string problem;
  const char* text =
      "# two places\n"
      "site a up 100mbit down 500mbit queue 2mb\n"
      "\n"
      "site b   rate 1gbit # a comment\n"
      "site c\n"
      "trunk t rate 200mbit queue 1mb sites a b\n"
      "path * * delay 5ms\n"
      "path a -> c delay 25ms loss 0.1%\n"
      "at 12s heal a b\n"
      "at 10s cut a -> b\n";
  REQUIRE_MESSAGE(parse_scenario(text, "f.lab", scenario, problem), problem);
  REQUIRE(scenario.events.size() == 2);
  CHECK(scenario.events[0].at == 10 * kSecond);
  CHECK(scenario.events[1].text == "at 12s heal a b");
  const Network network = make_network(scenario, 1);
  CHECK(network.sites() == 3);
  CHECK(network.find("c") == 2U);
  CHECK(network.pair(0, 2).delay == 25 * kMillisecond);
  CHECK(network.pair(2, 0).delay == 5 * kMillisecond);
  CHECK(network.pair(0, 2).loss == doctest::Approx(.001));
  CHECK(network.pair(2, 0).loss == 0);
  CHECK_FALSE(network.pair(0, 1).cut);
  CHECK(network.links().at(0).link->rate() == 100'000'000);
  CHECK(network.links().at(1).link->queue() == 2'000'000);
  CHECK(network.links().at(3).link->rate() == 1'000'000'000);
  CHECK(network.links().at(6).link->rate() == 200'000'000);
}

TEST_CASE("what is wrong in a scenario is said with its line") {
  const std::string two = "site a\nsite b\n";
  CHECK(problem_of("") == "f.lab:1: a network has at least two sites");
  CHECK(problem_of("site a") == "f.lab:1: a network has at least two sites");
  CHECK(problem_of("\nhost a") == "f.lab:2: there is no statement \"host\": site, trunk, path, cut, heal, at");
  CHECK(problem_of("site") == "f.lab:1: \"site\" needs a name");
  CHECK(problem_of("site A") == "f.lab:1: \"A\" is no name: small letters, digits, - and _");
  CHECK(problem_of("site a rate") == "f.lab:1: \"rate\" needs a value such as 500mbit, 1gbit or unlimited");
  CHECK(problem_of("site a rate 5") ==
        "f.lab:1: rate: \"5\" is not understood; it is written as in 500mbit, 1gbit or unlimited");
  CHECK(problem_of("site a delay 5ms") ==
        "f.lab:1: site: \"delay\" is not understood; it knows rate, up, down and queue");
  CHECK(problem_of("site a queue 1kb") == "f.lab:1: a queue holds at least 3kb: two packets");
  CHECK(problem_of(two + "path a c delay 1ms") == "f.lab:3: there is no site \"c\"");
  CHECK(problem_of(two + "path a a delay 1ms") == "f.lab:3: path: nothing lies between \"a\" and itself");
  CHECK(problem_of(two + "path a b loss 5") == "f.lab:3: loss: \"5\" is not understood; it is written as in 0.1%");
  CHECK(problem_of(two + "cut a b c") ==
        "f.lab:3: cut: \"c\" is not understood; it knows two sites, and -> between them");
  CHECK(problem_of(two + "trunk t sites a x") ==
        "f.lab:3: there is no site \"x\" yet: sites come before what joins them");
  CHECK(problem_of(two + "trunk t sites a\ntrunk u sites a") == "f.lab:4: site \"a\" is behind trunk \"t\" already");
  CHECK(problem_of(two + "at 5s") == "f.lab:3: what is to happen then is missing");
  CHECK(problem_of(two + "at 5s cut a x") == "f.lab:3: there is no site \"x\"");
  CHECK(problem_of(two + "at 5s site c") == "f.lab:3: there is no site \"c\", and none is made while the lab runs");
  CHECK(problem_of(two + "at 5s at 6s cut a b").starts_with("f.lab:3: there is no statement \"at\""));
  std::string many;
  for (int i = 0; i < 65; ++i) {
    many += "site s" + std::to_string(i) + "\n";
  }
  CHECK(problem_of(many) == "f.lab:65: that is more than 64 sites");
}
