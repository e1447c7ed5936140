// The one line that lets a peer join: where the master is, a token, and the pin of the run's CA key, by which the peer knows
// that it is this run's master that answers.
//
//   seaway1/HOST:PORT[,HOST:PORT...]/TOKEN/PIN        TOKEN: 48 hex digits, 16 of the token's name and 32 of its secret
//                                                     PIN: 64, SHA-256 of the CA's public key
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace seaway::runtime {

struct JoinString {
  std::vector<std::string> addresses;  // of the master, the first that answers
  std::uint64_t token = 0;
  Uuid secret;
  KeyHash pin{};
  bool operator==(const JoinString&) const = default;
};

std::string to_string(const JoinString& join);

// What was given, or for "@FILE" what is in the file. Read once: it may be a pipe. Nothing, and `problem`, when it cannot be.
std::optional<std::string> join_text(const std::string& given, std::string& problem);

// Nothing, and `problem` in words, which never repeat the secret.
std::optional<JoinString> parse_join_string(const std::string& text, std::string& problem);

std::string to_hex(const KeyHash& hash);

}  // namespace seaway::runtime
