// The first words on a connection to the master.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "wire/messages.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_decoder(fuzz::as_bytes(data, size), wire::kControlHeaderBytes, wire::decode_opening,
                      [](const wire::Opening& opening) { return wire::encode(opening); });
  return 0;
}
