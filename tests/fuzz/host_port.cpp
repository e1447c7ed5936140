// HOST:PORT, as people write it and as peers advertise it.
#include "fuzz/support/input.h"
#include "fuzz/support/require.h"
#include "net/address.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  std::string problem;
  const auto parsed = net::parse_host_port(input.text(size), problem);
  FUZZ_REQUIRE(parsed.has_value() == problem.empty(), "an address, or what is wrong with it");
  if (!parsed) {
    return 0;
  }
  std::string none;
  const auto again = net::parse_host_port(net::to_string(*parsed), none);
  FUZZ_REQUIRE(again && again->host == parsed->host && again->port == parsed->port,
               "an address is read as it is written");
  if (const auto number = net::numeric_address(*parsed)) {
    const auto written = net::parse_host_port(net::to_string(*number), none);
    FUZZ_REQUIRE(written && written->port == parsed->port, "a number keeps its port");
    const auto same = net::numeric_address(*written);
    FUZZ_REQUIRE(same && net::to_string(*same) == net::to_string(*number), "a number is read as it is written");
    FUZZ_REQUIRE(net::is_loopback(*same) == net::is_loopback(*number), "a loopback address stays one");
    FUZZ_REQUIRE(net::is_unspecified(*same) == net::is_unspecified(*number), "so does an unspecified one");
  }
  return 0;
}
