#include <cstdio>

#include "master/commands.h"
#include "wire/messages.h"

namespace seaway {

int run_version(const std::vector<std::string>&) {
  std::printf("seaway %s, wire version %u\n", SEAWAY_VERSION, static_cast<unsigned>(wire::kWireVersion));
  return 0;
}

}  // namespace seaway
