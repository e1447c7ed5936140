// The checks of a communicator's config: it is taken, or refused in words.
#include "fuzz/support/input.h"
#include "fuzz/support/require.h"
#include "runtime/communicator.h"

using namespace seaway;

namespace {

std::string draw_address(fuzz::Input& input) {
  const std::uint8_t length = input.byte();
  return length == 255 ? std::string(300, 'a') + ":1" : input.text(length % 64);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  runtime::CommunicatorConfig config;
  config.plaintext = !input.one_in(8);
  config.lanes = input.one_in(8) ? input.number<std::uint16_t>() : 1;
  config.lane = input.one_in(8) ? input.number<std::uint16_t>() : 0;
  config.min_world = input.one_in(8) ? input.number<std::uint32_t>() : 1;
  config.connections = input.one_in(8) ? input.number<std::uint32_t>() : 1;
  if (input.one_in(2)) {
    config.replica = input.byte();
  }
  (config.plaintext ? config.master : config.join) = draw_address(input);
  if (config.join.find('@') != std::string::npos) {
    return 0;  // a file's name
  }
  if (input.one_in(8)) {
    config.plaintext = input.one_in(4);
    config.pki = {input.text(input.below(2)), input.text(input.below(2)), input.text(input.below(2))};
  }
  config.listen = draw_address(input);
  for (std::uint32_t left = input.below(10); left > 0; --left) {
    config.advertise.push_back(draw_address(input));
  }
  config.name = draw_address(input);
  config.site = draw_address(input);
  const Error error = runtime::validate(config);
  FUZZ_REQUIRE(error.status == Status::ok || error.status == Status::invalid, "it is right or wrong");
  FUZZ_REQUIRE((error.status == Status::ok) == error.text.empty(), "and if it is wrong, the text says what");
  return 0;
}
