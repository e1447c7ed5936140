// What is said to a master by somebody without a certificate, and by an operator. After {u32 length, Opening} with
// Purpose::enrol the master says GREETING; that the handshake is over is known by then, and its channel binding too. Then one
// request, one answer, and the connection is closed.
//
//   enrol    I know this token, or this connection shows a certificate of mine: sign this key for this incarnation
//   command  I know this admin token: do this
//
// A token is never sent. The proof is HMAC-SHA256(secret, channel binding || request), so that it is worth nothing on another
// connection: to whoever stands between, or with another request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "wire/messages.h"

namespace seaway::wire {

struct Greeting {
  std::uint16_t version_low = kWireVersion;
  std::uint16_t version_high = kWireVersion;
};

struct Proof {
  std::uint64_t token = 0;  // 0: none, the connection's certificate is the proof
  KeyHash hmac{};
};

struct Enrol {
  Uuid uuid;
  PeerId id = kNoPeer;
  std::vector<std::uint8_t> public_key;  // SubjectPublicKeyInfo, DER
};

// --- Commands of an operator ----------------------------------------------------------------------------------------

struct NewToken {
  TokenUse use = TokenUse::join;
  std::uint64_t lifetime_s = 0;  // 0: until it is revoked
  std::string label;
};
struct ListTokens {};
struct RevokeToken {
  std::uint64_t id = 0;
};
struct EvictPeer {
  std::string who;  // its name, incarnation or uuid
  std::string reason;
  bool deny = false;  // and never let its uuid in again
};
struct ShowStatus {
  bool json = false;
};
using Command = std::variant<NewToken, ListTokens, RevokeToken, EvictPeer, ShowStatus>;

using Request = std::variant<Enrol, Command>;
struct ProvenRequest {
  Proof proof;
  Request request;
};
// What the HMAC is over, after the channel binding.
std::vector<std::byte> encode_request(const Request& request);

// --- Answers --------------------------------------------------------------------------------------------------------

struct Enrolled {
  Uuid run;
  std::vector<std::uint8_t> certificate;  // DER
  std::vector<std::uint8_t> authority;    // the CA's, DER
};
struct Done {
  std::string text;  // for the operator
};
using Answer = std::variant<Greeting, Enrolled, Done, Refused>;

// --- Encoding: {u32 length, fields} ---------------------------------------------------------------------------------

std::vector<std::byte> encode(const ProvenRequest& request);
std::vector<std::byte> encode(const Answer& answer);
// `body` is what follows the length. nullopt when it is not exactly one.
std::optional<ProvenRequest> decode_request(std::span<const std::byte> body);
std::optional<Answer> decode_answer(std::span<const std::byte> body);

}  // namespace seaway::wire
