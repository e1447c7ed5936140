// The checks of a communicator's config. A file of its own, so that a fuzzer takes them without the network.
#include <utility>

#include "base/limits.h"
#include "net/address.h"
#include "runtime/communicator.h"
#include "runtime/join_string.h"

namespace seaway::runtime {

namespace {

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

// With an own PKI: all three files, and where the master is.
Error check_pki(const CommunicatorConfig& config) {
  const PkiFiles& pki = config.pki;
  for (const auto& [field, file] :
       {std::pair{"ca", &pki.authorities}, std::pair{"cert", &pki.certificate}, std::pair{"key", &pki.key}}) {
    if (file->empty()) {
      return wrong(std::string(field) + ": ca, cert and key name one file each, together: an own PKI takes all three");
    }
  }
  if (config.plaintext) {
    return wrong("ca, cert, key: are for encrypted runs; not with plaintext = 1");
  }
  if (!config.join.empty()) {
    return wrong("join: with ca, cert and key the certificate lets this peer in; give the master's address");
  }
  if (config.master.empty()) {
    return wrong("master: is required with ca, cert and key, as HOST:PORT");
  }
  return check_address("master", config.master, true, true);
}

// Either a join string or, in plaintext and with an own PKI, an address.
Error check_master(const CommunicatorConfig& config) {
  if (!config.pki.authorities.empty() || !config.pki.certificate.empty() || !config.pki.key.empty()) {
    return check_pki(config);
  }
  if (!config.plaintext) {
    if (config.join.empty()) {
      return wrong(
          config.master.empty()
              ? "join: is required, as `seaway master` prints it (or plaintext = 1 and master, on a private network)"
              : "join: is required: a master's address alone says neither who may join nor who answers there. Take the "
                "join string that `seaway master` prints, give ca, cert and key of an own PKI, or set plaintext = 1 on "
                "a "
                "private network");
    }
    if (!config.master.empty()) {
      return wrong("master: is in the join string; give it with plaintext = 1, or with ca, cert and key");
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
  if (config.site.size() > kMaxSiteBytes) {
    return wrong("site: longer than 64 bytes");
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
  if (config.connections > kMaxDataConnections) {
    return wrong("connections: must be at most 64; 0: as many as help");
  }
  return {};
}

}  // namespace seaway::runtime
