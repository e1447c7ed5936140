#include "net/address.h"

#include <doctest/doctest.h>

namespace seaway::net {
namespace {

TEST_CASE("HOST:PORT is read as it is written") {
  for (const char* text : {"10.0.0.1:7117", "[::1]:0", "[fe80::1%eth0]:9", "gpu-3.example.org:65535", ":5"}) {
    CAPTURE(text);
    std::string problem;
    const auto address = parse_host_port(text, problem);
    REQUIRE(address);
    CHECK(to_string(*address) == text);
  }
}

TEST_CASE("HOST:PORT with what no host has in it is refused, and named") {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"[[]]:5"sv, "a]:5"sv, "[[::1]]:5"sv, "127.0.0.1\0x:5"sv, "a\nb:5"sv, "a b:5"sv,
                                      "::1:5"sv, "host"sv, "host:"sv, "host:65536"sv, "host:-1"sv, "host:5 "sv}) {
    CAPTURE(text);
    std::string problem;
    CHECK_FALSE(parse_host_port(text, problem));
    CHECK(problem.find('"') == 0);
  }
}

}  // namespace
}  // namespace seaway::net
