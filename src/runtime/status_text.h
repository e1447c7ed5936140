// What `seaway status --json` prints: one JSON object. Its fields are documented in docs/PROTOCOL.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "core/master.h"

namespace seaway::runtime {

std::string status_json(const core::MasterStatus& status, const std::string& address, Duration uptime,
                        const std::map<std::string, std::uint64_t>& refusals, std::size_t strangers);

}  // namespace seaway::runtime
