// What a peer says first, true to the format and of nobody: what a test gives to strangers.
#pragma once

#include "base/random.h"
#include "support/stranger.h"

namespace seaway::support {

// To a master. No whole JOIN: without authentication whoever says one is a newcomer, no stranger.
Bytes first_words_to_master(Random& random);
Bytes first_words_to_peer(Random& random);

}  // namespace seaway::support
