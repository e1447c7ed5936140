// What `seaway status` prints: for people, and as one JSON object whose fields docs/PROTOCOL.md lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "core/master.h"

namespace seaway::runtime {

struct ServerStatus {
  std::string address;
  Duration uptime = 0;
  std::size_t strangers = 0;                      // connections that have not said who they are
  std::map<std::string, std::uint64_t> refusals;  // by reason
};

std::string status_json(const core::MasterStatus& status, const ServerStatus& server);
std::string status_text(const core::MasterStatus& status, const ServerStatus& server);

}  // namespace seaway::runtime
