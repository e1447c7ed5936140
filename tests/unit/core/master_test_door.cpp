// The door: tokens, certificates, what operators want.
#include "master_script.h"

namespace seaway::core::script {
namespace {

using wire::TokenUse;

constexpr std::int64_t kNow = 1'800'000'000;  // Unix
constexpr std::uint64_t kAdmin = 1;
constexpr std::uint64_t kJoin = 2;
constexpr std::uint64_t kOnce = 3;
constexpr std::uint64_t kShort = 4;

KeyHash key_of(PeerId id) {
  KeyHash key{};
  key[0] = static_cast<std::uint8_t>(id);
  return key;
}

// A run with certificates and a token of each kind; nobody has joined.
struct Guarded : Script {
  Guarded() : Script(true, 2) {
    config.certificates = true;
    config.first_tokens = {{.id = kAdmin,
                            .secret = {1, 1},
                            .use = TokenUse::admin,
                            .expires = 0,
                            .label = "",
                            .used_by = {},
                            .used_with = {}},
                           {.id = kJoin,
                            .secret = {2, 2},
                            .use = TokenUse::join,
                            .expires = 0,
                            .label = "",
                            .used_by = {},
                            .used_with = {}},
                           {.id = kOnce,
                            .secret = {3, 3},
                            .use = TokenUse::join_once,
                            .expires = 0,
                            .label = "",
                            .used_by = {},
                            .used_with = {}},
                           {.id = kShort,
                            .secret = {4, 4},
                            .use = TokenUse::join,
                            .expires = kNow + 60,
                            .label = "",
                            .used_by = {},
                            .used_with = {}}};
    master = std::make_unique<Master>(config, Random(42));
    start();
  }
  Certified certificate_of(PeerId id) { return {actor(id).uuid, id, key_of(id), false}; }
  void arrive_certified(PeerId id) {
    actor(id).certified = certificate_of(id);
    arrive(id);
  }
  DoorRequest enrolment(PeerId id, std::uint64_t token) {
    return {.request = ++requests,
            .token = token,
            .certified = {},
            .key = key_of(id),
            .wants = wire::Enrol{actor(id).uuid, id, {1, 2, 3}},
            .unix_now = kNow,
            .fresh_id = 99,
            .fresh_secret = {9, 9}};
  }
  DoorRequest command(wire::Command what, std::uint64_t token = kAdmin) {
    return {.request = ++requests,
            .token = token,
            .certified = {},
            .key = {},
            .wants = std::move(what),
            .unix_now = kNow,
            .fresh_id = 99,
            .fresh_secret = {9, 9}};
  }
  // What it is told; "certified", or the words of a refusal or of an answer.
  std::string ask(const DoorRequest& request) {
    answers.clear();
    step(request);
    REQUIRE(answers.size() == 1);
    return words_of(answers.front(), request.request);
  }
  static std::string words_of(const DoorAnswer& answer, std::uint64_t request) {
    if (const auto* certify = std::get_if<Certify>(&answer)) {
      CHECK(certify->request == request);
      return "certified";
    }
    if (const auto* token = std::get_if<AnswerToken>(&answer)) {
      CHECK(token->request == request);
      return "token";
    }
    if (const auto* words = std::get_if<AnswerDoor>(&answer)) {
      CHECK(words->request == request);
      const auto* refused = std::get_if<wire::Refused>(&words->answer);
      return refused != nullptr ? refused->reason : std::get<wire::Done>(words->answer).text;
    }
    return "status";
  }
  std::uint64_t requests = 0;
};

bool says(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

TEST_CASE("a token lets somebody in, and each that does not has its reason") {
  Guarded run;
  CHECK(run.ask(run.enrolment(a, kJoin)) == "certified");
  CHECK(run.ask(run.enrolment(b, kJoin)) == "certified");
  CHECK(says(run.ask(run.enrolment(b, 77)), "revoked, or is another run's"));
  CHECK(says(run.ask(run.enrolment(b, kAdmin)), "it lets nobody join"));
  DoorRequest late = run.enrolment(b, kShort);
  CHECK(run.ask(late) == "certified");
  late.unix_now = kNow + 60;
  CHECK(says(run.ask(late), "has expired"));
  DoorRequest nobody = run.enrolment(b, kJoin);
  nobody.wants = wire::Enrol{{}, kNoPeer, {}};
  CHECK(says(run.ask(nobody), "names no peer"));
}

TEST_CASE("a one-time token is one peer's, and that is durable before it is certified") {
  Guarded run;
  run.hold_store = true;
  run.answers.clear();
  run.step(run.enrolment(a, kOnce));
  CHECK(run.answers.empty());
  run.release_all();
  REQUIRE(run.answers.size() == 1);
  CHECK(Guarded::words_of(run.answers.front(), 1) == "certified");
  CHECK(says(run.ask(run.enrolment(b, kOnce)), "has been used"));
  CHECK(run.ask(run.enrolment(a, kOnce)) == "certified");  // its answer may have been lost
  run.restart_master();
  CHECK(says(run.ask(run.enrolment(b, kOnce)), "has been used"));
}

TEST_CASE("a certificate is good for the next one of the same peer, while it lasts or its key is a member's") {
  Guarded run;
  DoorRequest request = run.enrolment(a, 0);
  CHECK(says(run.ask(request), "same peer only"));
  request.certified = run.certificate_of(a);
  CHECK(run.ask(request) == "certified");
  request.certified->uuid = {5, 5};
  CHECK(says(run.ask(request), "same peer only"));
  request.certified = run.certificate_of(a);
  request.certified->expired = true;
  CHECK(says(run.ask(request), "has expired"));
  run.arrive_certified(a);
  run.arrive_certified(b);
  REQUIRE(run.roster() == std::set<PeerId>{a, b});
  CHECK(run.ask(request) == "certified");
}

TEST_CASE("a token lets nobody into the place of a peer that is here") {
  Guarded run;
  run.arrive_certified(a);
  run.arrive_certified(b);
  DoorRequest thief = run.enrolment(c, kJoin);
  thief.wants = wire::Enrol{run.actor(a).uuid, c, {1, 2, 3}};
  CHECK(says(run.ask(thief), "with another key"));
  thief.wants = wire::Enrol{run.actor(a).uuid, a, {1, 2, 3}};  // its very incarnation
  CHECK(says(run.ask(thief), "with another key"));
  thief.wants = wire::Enrol{run.actor(a).uuid, c, {1, 2, 3}};
  run.disconnect(a);  // it may have lost its key with its disk
  CHECK(run.ask(thief) == "certified");
}

TEST_CASE("a certificate of the operator's PKI lets somebody in, and nobody into the place of a peer that is here") {
  Guarded run;
  const auto by_pki = [&run](PeerId id) {
    DoorRequest request = run.enrolment(id, 0);
    request.by_pki = true;
    return request;
  };
  CHECK(run.ask(by_pki(a)) == "certified");
  run.arrive_certified(a);
  run.arrive_certified(b);
  DoorRequest thief = by_pki(c);
  std::get<wire::Enrol>(thief.wants).uuid = run.actor(a).uuid;
  CHECK(says(run.ask(thief), "is here, with another key"));
  DoorRequest command = run.command(wire::ListTokens{}, 0);
  command.by_pki = true;
  CHECK(says(run.ask(command), "admin token is not known"));
  run.ask(run.command(wire::EvictPeer{.who = std::to_string(b), .reason = "", .deny = true}));
  CHECK(says(run.ask(by_pki(b)), "denied"));
}

TEST_CASE("what is asked at the door is answered or forgotten, however long the store takes") {
  Guarded run;
  run.hold_store = true;
  run.answers.clear();
  for (int i = 0; i < 1000; ++i) {
    run.step(run.command(wire::NewToken{TokenUse::join, 10, ""}));
  }
  CHECK(run.answers.empty());
  run.step(run.command(wire::ListTokens{}));
  CHECK(run.answers.size() == 1);  // it waits for nothing
  run.release_all();
  CHECK(run.answers.size() <= kMaxStrangers + 1);
}

TEST_CASE("HELLO has to be of whom the certificate names; the roster has its key") {
  Guarded run;
  run.actor(a).certified = run.certificate_of(b);
  run.hello(a);
  CHECK(says(run.last<wire::Refused>(a).reason, "another peer's"));
  run.actor(a).certified.reset();
  run.hello(a);
  CHECK(says(run.last<wire::Refused>(a).reason, "no certificate"));
  run.actor(a).certified = run.certificate_of(a);
  run.actor(a).certified->expired = true;
  run.hello(a);
  CHECK(says(run.last<wire::Refused>(a).reason, "has expired"));
  run.arrive_certified(a);
  run.arrive_certified(b);
  const auto epoch = run.last<wire::EpochMessage>(b);
  REQUIRE(epoch.roster.size() == 2);
  CHECK(epoch.roster[0].key == key_of(epoch.roster[0].id));
  // The certificate of a member may expire while no master can renew it; its key may not change.
  run.disconnect(a);
  run.actor(a).certified->expired = true;
  run.forget();
  run.hello(a);
  CHECK(run.heard<wire::EpochMessage>(a));
  run.disconnect(a);
  run.actor(a).certified->key = key_of(b);
  run.hello(a);
  CHECK(says(run.last<wire::Refused>(a).reason, "not the one that this peer has joined with"));
}

TEST_CASE("commands need an admin token; what they change is durable before they are answered") {
  Guarded run;
  CHECK(says(run.ask(run.command(wire::ListTokens{}, kJoin)), "needs an operator's"));
  CHECK(says(run.ask(run.command(wire::ListTokens{}, 0)), "not known"));
  CHECK(says(run.ask(run.command(wire::ListTokens{})), "join once"));
  run.hold_store = true;
  run.answers.clear();
  run.step(run.command(wire::NewToken{TokenUse::join, 10, "for c"}));
  CHECK(run.answers.empty());
  run.release_all();
  REQUIRE(run.answers.size() == 1);
  const wire::Token made = std::get<AnswerToken>(run.answers.front()).token;
  CHECK(made.id == 99);
  CHECK(made.expires == kNow + 10);
  CHECK(run.ask(run.enrolment(c, 99)) == "certified");
  CHECK(says(run.ask(run.command(wire::RevokeToken{99})), "revoked"));
  CHECK(says(run.ask(run.enrolment(c, 99)), "revoked"));
  CHECK(says(run.ask(run.command(wire::RevokeToken{99})), "there is no token"));
  CHECK(says(run.ask(run.command(wire::RevokeToken{kAdmin})), "no other admin token lasts"));
  CHECK(run.ask(run.command(wire::ShowStatus{})) == "status");
}

TEST_CASE("an operator evicts a peer, and denies it for ever") {
  Guarded run;
  run.arrive_certified(a);
  run.arrive_certified(b);
  run.arrive_certified(c);
  CHECK(says(run.ask(run.command(wire::EvictPeer{"nobody", "no reason", false})), "no peer is called"));
  CHECK(says(run.ask(run.command(wire::EvictPeer{"b", "too slow", true})), "evicted b"));
  CHECK_FALSE(run.roster().contains(b));
  CHECK(says(run.last<wire::Evicted>(b).reason, "too slow"));
  CHECK(says(run.ask(run.enrolment(b, kJoin)), "denied"));
  run.restart_master();
  CHECK(says(run.ask(run.enrolment(b, kJoin)), "denied"));
  run.actor(b).certified = run.certificate_of(b);
  run.hello(b);
  CHECK(says(run.last<wire::Refused>(b).reason, "denied"));
}

}  // namespace
}  // namespace seaway::core::script
