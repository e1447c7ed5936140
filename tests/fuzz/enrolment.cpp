// The decoders of the door: what a stranger asks of a master, and what a stranger's master answers.
#include "wire/enrolment.h"

#include "fuzz/support/decoding.h"
#include "fuzz/support/input.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.one_in(2)) {
    fuzz::check_decoder(input.rest(), wire::kControlHeaderBytes, wire::decode_request,
                        [](const wire::ProvenRequest& request) { return wire::encode(request); });
  } else {
    fuzz::check_decoder(input.rest(), wire::kControlHeaderBytes, wire::decode_answer,
                        [](const wire::Answer& answer) { return wire::encode(answer); });
  }
  return 0;
}
