// The decoder of the record that a master keeps: a disk or an operator may have changed it.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "wire/messages.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_decoder(fuzz::as_bytes(data, size), 0, wire::decode_stored, [](const wire::StoredRun& stored) {
    const auto bytes = wire::encode(stored);
    FUZZ_REQUIRE(wire::decode_stored(bytes) == stored, "a record is read as it was written");
    return bytes;
  });
  return 0;
}
