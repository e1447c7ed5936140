// Numbers as the library writes them for people and into certificates: all digits, lower case, so that each has one form.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"

namespace seaway {

std::string hex(std::uint64_t number);  // 16 digits
std::string hex(const Uuid& uuid);      // 32

}  // namespace seaway
