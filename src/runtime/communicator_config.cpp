// What a communicator is made of: the checks of its config, and what it draws where the caller leaves it open.
#include <unistd.h>

#include <utility>

#include "net/address.h"
#include "runtime/front_communicator.h"
#include "runtime/join_string.h"

namespace seaway::runtime {

namespace {

std::string default_name() {
  char host[200] = "";
  gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(getpid());
}

Error wrong(std::string text) { return {Status::invalid, std::move(text), "", {}, {}, kNoPeer}; }

Error check_address(const char* field, const std::string& text, bool needs_host, bool needs_port) {
  std::string problem;
  const auto address = net::parse_host_port(text, problem);
  if (!address) {
    return wrong(std::string(field) + ": " + problem);
  }
  if (needs_host && address->host.empty()) {
    return wrong(std::string(field) + ": \"" + text + "\" names no host");
  }
  if (needs_port && address->port == 0) {
    return wrong(std::string(field) + ": \"" + text + "\" names no port");
  }
  if (text.size() > kMaxNameBytes) {
    return wrong(std::string(field) + ": longer than 256 bytes");
  }
  return {};
}

// Either a join string or, in plaintext, an address.
Error check_master(const CommunicatorConfig& config) {
  if (!config.plaintext) {
    if (config.join.empty()) {
      return wrong(
          config.master.empty()
              ? "join: is required, as `seaway master` prints it (or plaintext = 1 and master, on a private network)"
              : "join: is required: a master's address alone says neither who may join nor who answers there. Take the "
                "join string that `seaway master` prints, or set plaintext = 1 on a private network");
    }
    if (!config.master.empty()) {
      return wrong("master: is in the join string; give it with plaintext = 1 alone");
    }
    std::string problem;
    if (!parse_join_string(config.join, problem)) {
      return wrong("join: " + problem);
    }
    return {};
  }
  if (!config.join.empty()) {
    return wrong("join: a join string is for encrypted runs; with plaintext = 1 give the master's address");
  }
  if (config.master.empty()) {
    return wrong("master: is required, as HOST:PORT");
  }
  return check_address("master", config.master, true, true);
}

}  // namespace

Error validate(const CommunicatorConfig& config) {
  if (Error error = check_master(config); error.status != Status::ok) {
    return error;
  }
  if (!config.listen.empty()) {
    if (Error error = check_address("listen", config.listen, false, false); error.status != Status::ok) {
      return error;
    }
  }
  if (config.advertise.size() > kMaxAddresses) {
    return wrong("advertise: at most 8 addresses");
  }
  for (const std::string& address : config.advertise) {
    if (Error error = check_address("advertise", address, true, false); error.status != Status::ok) {
      return error;
    }
  }
  if (config.name.size() > kMaxNameBytes) {
    return wrong("name: longer than 256 bytes");
  }
  if (config.lanes == 0 || config.lanes > kMaxMembers) {
    return wrong("lanes: must be 1 to 1024");
  }
  if (config.lane >= config.lanes) {
    return wrong("lane: must be below lanes (" + std::to_string(config.lanes) + ")");
  }
  if (config.lanes > 1 && !config.replica) {
    return wrong("replica: must be given when lanes > 1, so that the lanes of one replica find one another");
  }
  if (config.min_world == 0 || config.min_world > kMaxMembers) {
    return wrong("min_world: must be 1 to 1024");
  }
  if (config.connections == 0 || config.connections > 64) {
    return wrong("connections: must be 1 to 64");
  }
  return {};
}

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
