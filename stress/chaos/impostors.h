// Who wants to be a member and must not: with a join string of another run, or of nobody, or without encryption where there is some.
// On stdout, a line for each attempt: KIND OUTCOME. The outcome "let in" is a promise that is broken.
#pragma once

#include <string>
#include <vector>

namespace seaway::chaos {

// Words: SEED SECONDS MASTER PEER..., as HOST:PORT. In the environment SEAWAY_JOIN, unless the run is in plaintext.
int run_impostors(const std::vector<std::string>& words);

// Of the kinds above, the one that the master refuses in so many words, and what it counts that under.
inline constexpr const char* kWrongToken = "wrong-token";
inline constexpr const char* kWrongTokenReason = "the proof of a token is wrong";

}  // namespace seaway::chaos
