// The master's state machine: who is a member, what becomes of ops that a loss or a round touched, who joins and where.
//
// It does no I/O. Whoever owns it feeds it inputs in the order in which they happened, performs the effects in the
// order in which they stand, and calls `tick` at `deadline()`. After each input everything open is evaluated again
// until nothing changes (`settle`), so no departure can be forgotten by one kind of vote.
//
// Rules: docs/PROTOCOL.md. Durable before visible: effects that depend on a write stand behind its reply.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/time.h"
#include "wire/enrolment.h"
#include "wire/messages.h"

namespace seaway::core {

using wire::StoredRun;

struct MasterConfig {
  Uuid run;
  Ladder ladder;
  std::uint32_t ladder_percent = 100;
  bool has_store = false;     // false: the run is adopted from the peers' HELLOs after a restart (protocol 9)
  bool majority = false;      // without a store only: no cut leaves half or less of the last roster
  bool certificates = false;  // every connection of a peer shows one: Connected::certified
  std::vector<wire::Token> first_tokens;  // of a new run
  Duration between_rates = 30 * kSecond;  // at least, between two join points that bring nothing but new rates
};

// --- Inputs ---------------------------------------------------------------------------------------------------------

struct Connected {
  ConnId conn = 0;
  std::optional<Certified> certified;  // by a certificate of this run
};
struct Received {
  ConnId conn = 0;
  wire::PeerMessage message;
};
struct Disconnected {
  ConnId conn = 0;
  bool closed = false;  // FIN or RST; false: given up after silence
};
enum class StoreOutcome : std::uint8_t { ok = 1, fenced = 2 };
struct StoreReply {
  std::uint64_t write = 0;
  StoreOutcome outcome = StoreOutcome::ok;
};
struct EvictRequest {  // an operator's
  PeerId peer = kNoPeer;
  std::string reason;
};
// Somebody without a place in the run asks for something, and its proof holds: it knows the secret of the `token` that it named
// (find_token), or, with token 0, its connection showed a certificate. Answered once, by an effect with the same `request`.
struct DoorRequest {
  std::uint64_t request = 0;
  std::uint64_t token = 0;
  std::optional<Certified> certified;
  bool by_pki = false;  // the connection shows a certificate of the operator's own PKI
  KeyHash key{};        // of an ENROL's public key
  wire::Request wants;
  std::int64_t unix_now = 0;  // seconds: tokens expire by the wall clock
  std::uint64_t fresh_id =
      0;  // for a new token, drawn by whoever owns this: nothing here is random enough for a secret
  Uuid fresh_secret;
};
// The store's lock or lease is lost: another master may start any time. Only liveness hangs on it: what an old master
// writes before it hears of it is fenced.
struct LeaseLost {};
using MasterInput = std::variant<Connected, Received, Disconnected, StoreReply, EvictRequest, DoorRequest, LeaseLost>;

// --- Effects, to be performed in order ------------------------------------------------------------------------------

struct SendToPeer {
  ConnId conn = 0;
  wire::MasterMessage message;
};
struct CloseConnection {  // after what was sent on it before
  ConnId conn = 0;
  std::string reason;
};
// Replace the record if the stored (term, version) is the expected one; answer with StoreReply. A master without a
// store gets its reply at once from whoever owns it.
struct WriteStore {
  std::uint64_t write = 0;
  std::uint64_t expected_term = 0;
  std::uint64_t expected_version = 0;
  StoredRun record;
};
struct SteppedDown {  // another master has taken over; say nothing any more
  std::string reason;
};
struct Log {
  std::string text;
};
// Answers to a DoorRequest. What it changed is durable.
struct Certify {  // sign this key for this incarnation, and answer ENROLLED
  std::uint64_t request = 0;
  wire::Enrol enrol;
};
struct AnswerDoor {
  std::uint64_t request = 0;
  wire::Answer answer;
};
struct AnswerToken {  // a new token: the answer is its join string
  std::uint64_t request = 0;
  wire::Token token;
};
struct AnswerStatus {
  std::uint64_t request = 0;
  bool json = false;
};
using DoorAnswer = std::variant<Certify, AnswerDoor, AnswerToken, AnswerStatus>;
using MasterEffect = std::variant<SendToPeer, CloseConnection, WriteStore, SteppedDown, Log, DoorAnswer>;
using MasterEffects = std::vector<MasterEffect>;

// --- What `seaway status` shows -------------------------------------------------------------------------------------

struct MemberStatus {
  wire::MemberInfo info;
  bool connected = false;
  bool pending = false;
  Duration silence = 0;
  std::uint64_t update_count = 0;
  std::string waits_for;  // of a pending one, in words
  std::uint32_t links = 0;
  std::uint32_t open_ops = 0;
  std::uint32_t rate_mbps = 0;  // stated, or else measured; 0: not known
};
struct MasterStatus {
  std::uint64_t term = 0;
  Epoch epoch;
  Cut cut;
  bool resolved = true;
  std::string stage;  // in words: what the master waits for
  std::vector<MemberStatus> members;
};

class Master {
 public:
  Master(MasterConfig config, Random random);
  ~Master();
  Master(Master&&) noexcept;
  Master& operator=(Master&&) noexcept;

  // The first call. `stored` is what the store had; nothing for a new run or without a store.
  void start(Time now, const std::optional<StoredRun>& stored, MasterEffects& effects);
  void step(Time now, const MasterInput& input, MasterEffects& effects);
  void tick(Time now, MasterEffects& effects);
  Time deadline() const;  // call `tick` then; kNever: nothing is due

  // Throws InvariantError when the state contradicts itself. Called by tests after every step.
  void check_invariants() const;
  MasterStatus status(Time now) const;
  bool is_stranger(ConnId conn) const;                    // it belongs to no peer that said HELLO and JOIN, or is none
  const wire::Token* find_token(std::uint64_t id) const;  // whose secret a proof has to know; null: there is none
  const std::vector<wire::Token>& tokens() const;

 private:
  struct State;  // core/master_state.h
  std::unique_ptr<State> state_;
};

}  // namespace seaway::core
