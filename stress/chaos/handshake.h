// TLS as strangers speak it: by OpenSSL alone, with no certificate and trusting anybody.
#pragma once

#include <memory>
#include <string>

#include "support/stranger.h"

namespace seaway::chaos {

// The first message of a handshake, as a client of TLS 1.3 says it.
support::Bytes client_hello();

// Connects, shakes hands as far as the other end lets it, and says this. How it went, in a word: "unreachable", "refused",
// "let in" when the other end answers.
std::string say_encrypted(const std::string& address, const support::Bytes& words);

}  // namespace seaway::chaos
