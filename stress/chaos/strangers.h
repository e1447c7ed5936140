// Whatever comes to a port: see tests/e2e/strangers_test.cpp, which does it in order. Here it comes at random: noise, first words
// in plaintext, handshakes of TLS that are cut off, changed or followed by noise. An encrypted run hears them all, and one in
// plaintext too.
#pragma once

#include <string>
#include <vector>

namespace seaway::chaos {

// Words: SEED SECONDS HOST:PORT...
int run_strangers(const std::vector<std::string>& words);

}  // namespace seaway::chaos
