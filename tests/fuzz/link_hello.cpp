// The first words on a connection between peers, as whoever dials a peer's port may send them.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "runtime/hello.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kLength = sizeof(std::uint32_t);
  fuzz::check_decoder(fuzz::as_bytes(data, size), kLength, runtime::decode_hello, [](const wire::LinkHello& hello) {
    const auto bytes = runtime::encode_hello(hello);
    FUZZ_REQUIRE(bytes.size() == runtime::encoded_hello_bytes(), "a hello is always of the same length");
    return bytes;
  });
  return 0;
}
