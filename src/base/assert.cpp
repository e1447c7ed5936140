#include "base/assert.h"

#include <string>

namespace seaway {

void invariant_broken(const char* condition, const char* what, const char* file, int line) {
  throw InvariantError(std::string(file) + ":" + std::to_string(line) + ": " + what + " (" + condition + ")");
}

}  // namespace seaway
