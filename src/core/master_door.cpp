// The door: who is certified, and what operators want. The proofs are checked by whoever owns the master, what they are worth here.
//
// | enrol, first row that fits                              | then                                          |
// |---------------------------------------------------------|-----------------------------------------------|
// | its uuid is denied                                      | refused                                       |
// | a certificate of the operator's PKI                     | certified                                     |
// | no token, and a certificate of another uuid or none     | refused                                       |
// | .. an expired one whose key is not in the roster        | refused: no certificate is renewed for ever   |
// | .. any other                                            | certified: renewal, or the next incarnation   |
// | an unknown token, an admin's, an expired one            | refused, each with its reason                 |
// | a one-time token that another uuid has used             | refused                                       |
// | .. any other                                            | used by this uuid, durable; then certified    |
// | a token for joining                                     | certified                                     |
//
// A command needs an admin token that has not expired. Its answer waits until what it changed is durable.
#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "core/master_state.h"

namespace seaway::core {

const wire::Token* Master::find_token(std::uint64_t id) const { return state_->find_token(id); }
const std::vector<wire::Token>& Master::tokens() const { return state_->run.tokens; }

wire::Token* Master::State::find_token(std::uint64_t id) {
  const auto it = std::find_if(run.tokens.begin(), run.tokens.end(), [&](const auto& token) { return token.id == id; });
  return it == run.tokens.end() ? nullptr : &*it;
}

bool Master::State::is_denied(const Uuid& uuid) const {
  return std::find(run.denied.begin(), run.denied.end(), uuid) != run.denied.end();
}

namespace {

bool has_expired(const wire::Token& token, std::int64_t now) { return token.expires != 0 && now >= token.expires; }

}  // namespace

// --- Connections ----------------------------------------------------------------------------------------------------

std::string Master::State::why_not_certified(const Connection& connection, const wire::Hello& hello) const {
  const auto& certified = connection.certified;
  if (!certified) {
    return "no certificate was shown: enrol first";
  }
  if (certified->uuid != hello.uuid || certified->id != hello.id) {
    return "the certificate is another peer's";
  }
  if (is_denied(hello.uuid)) {
    return kDenied;
  }
  const Member* m = find(hello.id);
  bool is_member = m != nullptr && m->standing == Standing::member;
  bool is_its_key = m == nullptr || m->info.key == certified->key;
  if (!formed() && hello.taken) {  // its own epoch is all that there is to go by
    for (const wire::MemberInfo& info : hello.taken->roster) {
      is_member = is_member || info.id == hello.id;
      is_its_key = is_its_key && (info.id != hello.id || info.key == certified->key);
    }
  }
  if (!is_its_key) {
    return "the certificate's key is not the one that this peer has joined with";
  }
  if (certified->expired && !is_member) {
    return "the certificate has expired: enrol again";
  }
  return "";
}

// --- Requests -------------------------------------------------------------------------------------------------------

void Master::State::on(const DoorRequest& input) {
  if (const auto* wanted = std::get_if<wire::Enrol>(&input.wants)) {
    enrol(input, *wanted);
    return;
  }
  if (const std::string reason = why_not_obeyed(input); !reason.empty()) {
    refuse_at_door(input, reason);
    return;
  }
  std::visit([&](const auto& command) { obey(input, command); }, std::get<wire::Command>(input.wants));
}

void Master::State::answer(DoorAnswer what, bool changed) {
  dirty = dirty || changed;
  answers.push_back({std::move(what), changed ? writes + 1 : 0});
  if (answers.size() > kMaxStrangers) {
    answers.pop_front();  // who asked has gone long ago
  }
}

void Master::State::refuse_at_door(const DoorRequest& asked, const std::string& reason) {
  answer(AnswerDoor{asked.request, wire::Refused{bounded(reason)}}, false);
}

bool Master::State::answer_door() {
  // Without a term of its own a master that is restarted without a store may still answer: nothing is durable there anyway.
  if (config.has_store && !in_office()) {
    return false;
  }
  const auto ready = std::find_if(answers.begin(), answers.end(),
                                  [&](const WaitingAnswer& waiting) { return waiting.write <= written; });
  if (ready == answers.end()) {
    return false;
  }
  effects->push_back(std::move(ready->answer));
  answers.erase(ready);
  return true;
}

// --- Enrolment ------------------------------------------------------------------------------------------------------

std::string Master::State::why_not_enrolled(const DoorRequest& asked, const wire::Enrol& enrol) {
  if (is_denied(enrol.uuid)) {
    return kDenied;
  }
  if (enrol.id == kNoPeer || enrol.uuid == Uuid{}) {
    return "the request names no peer";
  }
  if (const Member* m = find(enrol.id); m != nullptr && (m->info.uuid != enrol.uuid || m->info.key != asked.key)) {
    return "this incarnation is known, under another uuid or with another key";
  }
  if (asked.token == 0 && !asked.by_pki) {
    if (!asked.certified || asked.certified->uuid != enrol.uuid) {
      return "a certificate is good for a new one of the same peer only";
    }
    const Member* m = member(asked.certified->id);
    if (asked.certified->expired && (m == nullptr || m->info.key != asked.certified->key)) {
      return "the certificate has expired: enrol with a token";
    }
    return "";
  }
  // This lets somebody in, as a token does, and nobody into another's place.
  const bool is_taken = std::any_of(members.begin(), members.end(), [&](const auto& entry) {
    return entry.second.info.uuid == enrol.uuid && entry.second.info.key != asked.key && entry.second.conn;
  });
  if (is_taken) {
    return "a peer with this uuid is here, with another key";
  }
  if (asked.token == 0) {
    return "";
  }
  const wire::Token* token = find_token(asked.token);
  if (token == nullptr) {
    return "the token is not known: it was revoked, or is another run's";
  }
  if (token->use == wire::TokenUse::admin) {
    return "the token is an operator's: it lets nobody join";
  }
  if (has_expired(*token, asked.unix_now)) {
    return "the token has expired: ask for a new one (seaway token new)";
  }
  const bool is_used = token->used_by != Uuid{} && (token->used_by != enrol.uuid || token->used_with != asked.key);
  if (token->use == wire::TokenUse::join_once && is_used) {
    return "the token was good for one peer and has been used: ask for a new one (seaway token new)";
  }
  return "";
}

void Master::State::enrol(const DoorRequest& asked, const wire::Enrol& wanted) {
  if (const std::string reason = why_not_enrolled(asked, wanted); !reason.empty()) {
    log("nobody is enrolled: " + reason);
    refuse_at_door(asked, reason);
    return;
  }
  wire::Token* token = asked.token == 0 ? nullptr : find_token(asked.token);
  const bool uses_up = token != nullptr && token->use == wire::TokenUse::join_once && token->used_by == Uuid{};
  if (uses_up) {
    token->used_by = wanted.uuid;
    token->used_with = asked.key;
  }
  answer(Certify{asked.request, wanted}, uses_up);
}

// --- Commands -------------------------------------------------------------------------------------------------------

std::string Master::State::why_not_obeyed(const DoorRequest& asked) {
  const wire::Token* token = find_token(asked.token);
  if (asked.token == 0 || token == nullptr) {
    return "the admin token is not known: it was revoked, or is another run's";
  }
  if (token->use != wire::TokenUse::admin) {
    return "the token lets peers join: this needs an operator's";
  }
  if (has_expired(*token, asked.unix_now)) {
    return "the admin token has expired";
  }
  return "";
}

void Master::State::obey(const DoorRequest& asked, const wire::NewToken& command) {
  std::erase_if(run.tokens, [&](const wire::Token& token) { return has_expired(token, asked.unix_now); });
  if (run.tokens.size() >= kMaxTokens) {
    refuse_at_door(asked, "there are " + std::to_string(kMaxTokens) + " tokens: revoke some (seaway token revoke)");
    return;
  }
  constexpr std::uint64_t kLongest = 100ull * 365 * 24 * 3600;
  const auto lifetime = static_cast<std::int64_t>(std::min(command.lifetime_s, kLongest));
  run.tokens.push_back({.id = asked.fresh_id,
                        .secret = asked.fresh_secret,
                        .use = command.use,
                        .expires = lifetime == 0 ? 0 : asked.unix_now + lifetime,
                        .label = command.label,
                        .used_by = {},
                        .used_with = {}});
  answer(AnswerToken{asked.request, run.tokens.back()}, true);
}

void Master::State::obey(const DoorRequest& asked, const wire::ListTokens&) {
  std::string text;
  for (const wire::Token& token : run.tokens) {
    const char* use = token.use == wire::TokenUse::admin  ? "admin"
                      : token.use == wire::TokenUse::join ? "join"
                                                          : "join once";
    text += hex(token.id) + "  " + use;
    if (token.used_by != Uuid{}) {
      text += ", used by " + hex(token.used_by);
    }
    if (has_expired(token, asked.unix_now)) {
      text += ", expired";
    } else if (token.expires != 0) {
      text += ", " + std::to_string((token.expires - asked.unix_now + 59) / 60) + " min left";
    }
    text += (token.label.empty() ? "" : "  " + token.label) + "\n";
  }
  answer(AnswerDoor{asked.request, wire::Done{text}}, false);
}

void Master::State::obey(const DoorRequest& asked, const wire::RevokeToken& command) {
  const wire::Token* token = find_token(command.id);
  if (token == nullptr) {
    refuse_at_door(asked, "there is no token " + hex(command.id));
    return;
  }
  const bool another_stays = std::any_of(run.tokens.begin(), run.tokens.end(), [&](const wire::Token& each) {
    return each.use == wire::TokenUse::admin && each.expires == 0 && each.id != command.id;
  });
  if (token->use == wire::TokenUse::admin && !another_stays) {
    refuse_at_door(asked, "no other admin token lasts: nobody could make another one");
    return;
  }
  std::erase_if(run.tokens, [&](const wire::Token& each) { return each.id == command.id; });
  answer(AnswerDoor{asked.request, wire::Done{"revoked " + hex(command.id) + "\n"}}, true);
}

// An incarnation, a uuid, or else a name: somebody may be called like another's incarnation.
std::vector<PeerId> Master::State::called(const std::string& who) const {
  std::vector<PeerId> exactly, by_uuid, by_name;
  for (const auto& [id, m] : members) {
    if (who == std::to_string(id) || who == hex(id)) {
      exactly.push_back(id);
    } else if (who == hex(m.info.uuid)) {
      by_uuid.push_back(id);
    } else if (who == m.info.name) {
      by_name.push_back(id);
    }
  }
  return !exactly.empty() ? exactly : !by_uuid.empty() ? by_uuid : by_name;
}

void Master::State::obey(const DoorRequest& asked, const wire::EvictPeer& command) {
  const std::vector<PeerId> found = called(command.who);
  const bool one_peer = std::all_of(found.begin(), found.end(), [&](PeerId id) {
    return members.at(id).info.uuid == members.at(found.front()).info.uuid;
  });
  if (found.empty() || !one_peer) {
    refuse_at_door(asked, found.empty() ? "no peer is called \"" + command.who + "\" (seaway status lists them)"
                                        : "several peers are called \"" + command.who + "\": name its incarnation");
    return;
  }
  const wire::MemberInfo info = members.at(found.front()).info;
  const bool denies = command.deny && !is_denied(info.uuid);
  if (denies && run.denied.size() >= kMaxDenied) {
    refuse_at_door(asked, "the deny list is full: " + std::to_string(kMaxDenied));
    return;
  }
  if (denies) {
    run.denied.push_back(info.uuid);
  }
  const std::string text = "evicted " + words_for(info) + (command.deny ? ", and denied its uuid\n" : "\n");
  std::vector<PeerId> gone = found;
  if (command.deny) {  // whatever else it has joined as
    gone.clear();
    for (const auto& [id, m] : members) {
      if (m.info.uuid == info.uuid) {
        gone.push_back(id);
      }
    }
  }
  for (const PeerId id : gone) {
    on(EvictRequest{id, command.reason});
  }
  answer(AnswerDoor{asked.request, wire::Done{text}}, true);
}

void Master::State::obey(const DoorRequest& asked, const wire::ShowStatus& command) {
  answer(AnswerStatus{asked.request, command.json}, false);
}

}  // namespace seaway::core
