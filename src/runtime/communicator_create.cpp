// What a communicator draws where its config leaves it open.
#include <unistd.h>

#include <utility>

#include "runtime/front_communicator.h"

namespace seaway::runtime {

namespace {

std::string default_name() {
  char host[200] = "";
  gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(getpid());
}

}  // namespace

std::shared_ptr<Communicator> Communicator::create(CommunicatorConfig config) {
  if (config.name.empty()) {
    config.name = default_name();
  }
  if (config.listen.empty()) {
    config.listen = ":0";
  }
  if (!config.replica) {
    config.replica = static_cast<std::uint32_t>(random_bits() % UINT32_MAX);
  }
  if (config.uuid == Uuid{}) {
    config.uuid = {random_bits(), random_bits()};
  }
  return std::make_shared<FrontCommunicator>(std::move(config));
}

}  // namespace seaway::runtime
