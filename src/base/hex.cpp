#include "base/hex.h"

#include <cstddef>

namespace seaway {

std::string hex(std::uint64_t number) {
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; number >>= 4) {
    text[i] = "0123456789abcdef"[number & 15];
  }
  return text;
}

std::string hex(const Uuid& uuid) { return hex(uuid.high) + hex(uuid.low); }

}  // namespace seaway
