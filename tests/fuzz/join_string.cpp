// Join strings, as people paste them: read as they are written, or refused in words that keep the secret.
#include "runtime/join_string.h"

#include "fuzz/support/input.h"
#include "fuzz/support/require.h"

using namespace seaway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string text = input.text(size);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '@') {
    return 0;  // a file's name
  }
  std::string problem;
  const auto join = runtime::parse_join_string(text, problem);
  FUZZ_REQUIRE(join.has_value() == problem.empty(), "a join string, or what is wrong with it");
  if (join) {
    std::string none;
    const std::string written = runtime::to_string(*join);
    FUZZ_REQUIRE(runtime::parse_join_string(written, none) == join, "it is read as it is written");
  } else if (const std::size_t slash = text.rfind('/'); slash != std::string::npos && slash > 48) {
    const std::string secret = text.substr(slash - 32, 32);
    const bool is_one = secret.find_first_not_of("0123456789abcdef") == std::string::npos;
    FUZZ_REQUIRE(!is_one || problem.find(secret) == std::string::npos, "the words of a refusal tell no secret");
  }
  return 0;
}
