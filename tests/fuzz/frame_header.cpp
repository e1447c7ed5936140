// The header of frames between peers: the decoder and the check over its bytes.
#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"
#include "runtime/frame_check.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size != wire::kFrameHeaderBytes) {
    return -1;  // connections read whole headers; nothing else is worth keeping
  }
  const std::span<const std::byte, wire::kFrameHeaderBytes> bytes(fuzz::as_bytes(data, size));
  const auto header = wire::decode_frame_header(bytes);
  if (!header) {
    return 0;
  }
  FUZZ_REQUIRE(header->length <= kMaxChunkBytes, "no frame is longer than a chunk");
  FUZZ_REQUIRE(wire::name_of(header->type) != nullptr, "every frame has a name");
  const runtime::HeaderBytes again = runtime::encode_checked(*header);
  FUZZ_REQUIRE(runtime::is_intact(again), "a header is intact as it was encoded");
  FUZZ_REQUIRE(wire::decode_frame_header(again) == header, "a header is decoded as it was encoded");
  // The check is not part of what is decoded: it is right exactly when the encoding is the same.
  FUZZ_REQUIRE(runtime::is_intact(bytes) == std::equal(again.begin(), again.end(), bytes.begin()),
               "the check covers every other byte");
  return 0;
}
