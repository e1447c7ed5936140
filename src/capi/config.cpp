#include "capi/config.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "base/limits.h"
#include "capi/statuses.h"
#include "capi/structs.h"

namespace seaway::capi {
namespace {

Error take_addresses(const seaway_config& config, std::vector<std::string>& into) {
  if (config.advertise_count > kMaxAddresses) {
    return invalid("advertise_count is " + std::to_string(config.advertise_count) + ": at most " +
                   std::to_string(kMaxAddresses) + " addresses");
  }
  if (config.advertise == nullptr && config.advertise_count > 0) {
    return invalid("advertise is NULL but advertise_count is " + std::to_string(config.advertise_count));
  }
  for (std::size_t i = 0; i < config.advertise_count; ++i) {
    const std::string name = "advertise[" + std::to_string(i) + "]";
    if (config.advertise[i] == nullptr) {
      return invalid(name + " is NULL");
    }
    if (Error error = take_text(config.advertise[i], name.c_str(), into.emplace_back()); error.status != Status::ok) {
      return error;
    }
  }
  return {};
}

}  // namespace

seaway_config default_config() {
  const runtime::CommunicatorConfig defaults;
  seaway_config config{};
  config.struct_size = sizeof config;
  config.replica = SEAWAY_REPLICA_ANY;
  config.lane = defaults.lane;
  config.lanes = defaults.lanes;
  config.min_world = defaults.min_world;
  config.connections = defaults.connections;
  config.rate_mbps = defaults.rate_mbps;
  config.kept_bytes = defaults.kept_bytes;
  return config;
}

Error take_text(const char* text, const char* what, std::string& into) {
  into = text == nullptr ? "" : text;
  return is_utf8(into) ? Error{} : invalid(std::string(what) + " is not UTF-8");
}

Error translate(const seaway_config* config, runtime::CommunicatorConfig& into) {
  if (config == nullptr) {
    return invalid("config is NULL");
  }
  seaway_config given = default_config();
  if (Error error = take(config, given); error.status != Status::ok) {
    return error;
  }
  if (given.plaintext != 0 && given.plaintext != 1) {
    return invalid("plaintext is " + std::to_string(given.plaintext) + ": it is 0 or 1");
  }
  const bool has_pki = given.ca != nullptr || given.cert != nullptr || given.key != nullptr;
  if (given.join == nullptr && given.plaintext == 0 && !has_pki) {
    given.join = std::getenv("SEAWAY_JOIN");
  }
  if (given.site == nullptr) {
    given.site = std::getenv("SEAWAY_SITE");
  }
  for (Error error : {take_text(given.join, "join", into.join), take_text(given.master, "master", into.master),
                      take_text(given.name, "name", into.name), take_text(given.listen, "listen", into.listen),
                      take_text(given.ca, "ca", into.pki.authorities),
                      take_text(given.cert, "cert", into.pki.certificate), take_text(given.key, "key", into.pki.key),
                      take_text(given.site, "site", into.site), take_addresses(given, into.advertise)}) {
    if (error.status != Status::ok) {
      return error;
    }
  }
  if (given.replica != SEAWAY_REPLICA_ANY) {
    into.replica = given.replica;
  }
  into.lane = given.lane;
  into.lanes = given.lanes;
  into.min_world = given.min_world;
  into.connections = given.connections;
  into.rate_mbps = given.rate_mbps;
  into.kept_bytes = given.kept_bytes;
  into.plaintext = given.plaintext == 1;
  into.uuid = {given.uuid[0], given.uuid[1]};
  Error error = runtime::read_files(into);
  return error.status != Status::ok ? error : runtime::validate(into);
}

}  // namespace seaway::capi
