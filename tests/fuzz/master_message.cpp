// The decoder of what a master says to a peer.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "wire/messages.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_decoder(fuzz::as_bytes(data, size), wire::kControlHeaderBytes, wire::decode_master_message,
                      [](const wire::MasterMessage& message) {
                        FUZZ_REQUIRE(wire::name_of(message) != nullptr, "every message has a name");
                        return wire::encode(message);
                      });
  return 0;
}
