// The decoder of what a peer says to a master, a stranger's HELLO and JOIN above all.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "wire/messages.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_decoder(fuzz::as_bytes(data, size), wire::kControlHeaderBytes, wire::decode_peer_message,
                      [](const wire::PeerMessage& message) {
                        FUZZ_REQUIRE(wire::name_of(message) != nullptr, "every message has a name");
                        return wire::encode(message);
                      });
  return 0;
}
