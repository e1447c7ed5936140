// The run's certificate authority in the master's folder: ca.key and ca.crt (PEM), and the join strings that its master prints.
#pragma once

#include <memory>
#include <string>

#include "net/credentials.h"

namespace seaway {

// Loads it, or makes one where there is none. Null, and `problem` in words, when the files are there and no good: nothing is
// overwritten, as every certificate of the run hangs on them.
std::shared_ptr<const net::Authority> open_authority(const std::string& folder, std::string& problem);

// A file for its owner alone (0600), there as a whole or not at all, and on the disk. False: `problem` says why not.
bool write_private(const std::string& path, const std::string& contents, std::string& problem);

}  // namespace seaway
