// The payloads of the small frames between peers. The first byte says which.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "wire/frame.h"

using namespace seaway;

namespace {

template <class Message>
void check(std::span<const std::byte> bytes) {
  fuzz::check_decoder(bytes, 0, wire::decode_payload<Message>, [](const Message& message) {
    const auto encoded = wire::encode_payload(message);
    FUZZ_REQUIRE(wire::decode_payload<Message>(encoded) == message, "a payload is decoded as it was encoded");
    return encoded;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return -1;
  }
  constexpr void (*kChecks[])(std::span<const std::byte>) = {check<wire::Ready>, check<wire::Want>, check<wire::Hold>,
                                                             check<wire::Ack>, check<wire::ContributorSet>};
  if (data[0] >= std::size(kChecks)) {
    return -1;
  }
  kChecks[data[0]](fuzz::as_bytes(data + 1, size - 1));
  return 0;
}
