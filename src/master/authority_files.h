// The run's certificate authority in the master's folder: ca.pem, its key and its certificate in one file, so that there is never
// one without the other. And the join strings that its master prints.
#pragma once

#include <memory>
#include <string>

#include "net/credentials.h"

namespace seaway {

// Loads it, or makes one where there is none and `has_run` is false: every certificate of a run hangs on it, and its members would
// refuse another. Null, and `problem` in words, when it is lost or no good; nothing is overwritten.
std::shared_ptr<const net::Authority> open_authority(const std::string& folder, bool has_run, std::string& problem);

// A file for its owner alone (0600), there as a whole or not at all, and on the disk. One that is so already is left alone: that
// works on a full disk too. False: `problem` says why not.
bool write_private(const std::string& path, const std::string& contents, std::string& problem);

}  // namespace seaway
