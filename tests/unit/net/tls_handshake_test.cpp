// Who gets through a handshake, and what both ends then know of one another.
#include <doctest/doctest.h>

#include "tls_ends.h"

namespace seaway::net {
namespace {

TEST_CASE("two peers know one another") {
  const Run run;
  Ends ends;
  const auto one = run.peer({{1, 2}, 3});
  ends.start(tls_for_peer(one), Expect::peer, run.for_peer(7));
  CHECK(ends.client.stream->identity() == nullptr);
  CHECK(ends.client.stream->channel_binding("x").empty());
  REQUIRE(ends.talk());
  const PeerIdentity* server = ends.client.stream->identity();
  REQUIRE(server != nullptr);
  CHECK_FALSE(server->is_master);
  CHECK(server->peer == CertifiedPeer{{7, 7}, 7});
  CHECK_FALSE(server->expired);
  const PeerIdentity* client = ends.server.stream->identity();
  REQUIRE(client != nullptr);
  CHECK(client->peer == CertifiedPeer{{1, 2}, 3});
  CHECK(client->key == hash_of_key(one->key.public_key()));
  CHECK(client->key != server->key);
  CHECK(ends.client.stream->problem().empty());
}

TEST_CASE("a peer and its master know one another") {
  const Run run;
  Ends ends;
  ends.start(run.for_peer(7), Expect::master, run.for_master());
  REQUIRE(ends.talk());
  REQUIRE(ends.client.stream->identity() != nullptr);
  CHECK(ends.client.stream->identity()->is_master);
  REQUIRE(ends.server.stream->identity() != nullptr);
  CHECK(ends.server.stream->identity()->peer.id == 7);
}

TEST_CASE("who enrols knows the master by its authority's pin, and shows nothing") {
  const Run run;
  Ends ends;
  ends.start(run.for_enrolment(), Expect::master, run.for_master());
  REQUIRE(ends.talk());
  REQUIRE(ends.client.stream->identity() != nullptr);
  CHECK(ends.client.stream->identity()->is_master);
  CHECK(ends.server.stream->identity() == nullptr);
}

TEST_CASE("who enrols hangs up on a master with another pin") {
  const Run run;
  Ends ends;
  ends.start(Run().for_enrolment(), Expect::master, run.for_master());
  ends.client.say("a token");
  REQUIRE(ends.both_end());
  CHECK(ends.client.stream->problem() == "the other end's certificate is of another run");
  CHECK(ends.server.stream->problem() == "refused by the other end: unknown CA");
  CHECK(ends.server.got.empty());
  CHECK(ends.client.stream->identity() == nullptr);
}

TEST_CASE("a peer of another run is refused") {
  const Run run;
  const Run other;
  SUBCASE("when it dials") {
    Ends ends;
    ends.start(other.for_peer(7), Expect::peer, run.for_peer(8));
    REQUIRE(ends.both_end());
    CHECK(ends.client.stream->problem() == "the other end's certificate is of another run");
    CHECK(ends.server.stream->problem() == "refused by the other end: unknown CA");
  }
  SUBCASE("when it has stolen the name of the authority") {
    // The same names everywhere, another key.
    Ends ends;
    ends.start(other.for_peer(7), Expect::master, run.for_master());
    REQUIRE(ends.both_end());
    CHECK(ends.client.stream->problem() == "the other end's certificate is of another run");
  }
}

TEST_CASE("a client whose certificate is of another run is refused by the server, too") {
  // It trusts the server's authority, as an impostor would.
  const Run run;
  const Run other;
  const PrivateKey key = PrivateKey::make();
  std::string problem;
  const auto certificate = other.authority->issue({{1, 1}, 1}, key.public_key(), unix_now(), kHour, problem);
  auto impostor = std::make_shared<const Credentials>(
      Credentials{key, certificate_from(certificate), certificate_from(run.authority->certificate())});
  for (const bool to_master : {false, true}) {
    Ends ends;
    ends.start(tls_for_peer(impostor), to_master ? Expect::master : Expect::peer,
               to_master ? run.for_master() : run.for_peer(8));
    ends.client.say("let me in");
    REQUIRE(ends.both_end());
    CHECK(ends.server.stream->problem() == "the other end's certificate is of another run");
    CHECK(ends.server.got.empty());
    CHECK(ends.client.stream->problem() == "refused by the other end: unknown CA");
  }
}

TEST_CASE("a peer is no master, and a master no peer") {
  const Run run;
  SUBCASE("a peer where a master is expected") {
    Ends ends;
    ends.start(run.for_peer(1), Expect::master, run.for_peer(2));
    REQUIRE(ends.both_end());
    CHECK(ends.client.stream->problem() == "the other end is no master");
    CHECK(ends.server.stream->problem() == "refused by the other end: bad certificate");
  }
  SUBCASE("a peer where somebody enrols") {
    Ends ends;
    ends.start(run.for_enrolment(), Expect::master, run.for_peer(2));
    REQUIRE(ends.both_end());
    CHECK(ends.client.stream->problem() != "");
  }
  SUBCASE("a master where a peer is expected") {
    Ends ends;
    ends.start(run.for_peer(1), Expect::peer, run.for_master());
    REQUIRE(ends.both_end());
    CHECK(ends.client.stream->problem() == "the other end is no peer");
  }
  SUBCASE("a master that dials a peer") {
    Ends ends;
    ends.start(tls_for_peer(run.authority->issue_master(unix_now(), kHour)), Expect::peer, run.for_peer(2));
    REQUIRE(ends.both_end());
    CHECK(ends.server.stream->problem() == "the other end is no peer");
  }
}

TEST_CASE("a peer wants a certificate of whoever dials it") {
  const Run run;
  // Someone without one who takes any server: an enrolment, made to dial a peer. Its own check comes first unless the peer's
  // certificate is a master's.
  Ends ends;
  ends.start(run.for_enrolment(), Expect::master, tls_for_peer(run.authority->issue_master(unix_now(), kHour)));
  REQUIRE(ends.both_end());
  CHECK(ends.server.stream->problem() == "TLS: peer did not return a certificate");
  CHECK(ends.client.stream->problem() == "refused by the other end: certificate required");
}

TEST_CASE("a peer's certificate that is out of date is told, not refused") {
  for (const std::int64_t moved : {-48 * kHour, 48 * kHour}) {
    Run run;
    run.now += moved;
    const auto late = run.for_peer(1);
    run.now = unix_now();
    const auto good = run.for_peer(2);
    Ends ends;
    ends.start(late, Expect::peer, good);
    REQUIRE(ends.talk());
    CHECK(ends.server.stream->identity()->expired);
    CHECK_FALSE(ends.client.stream->identity()->expired);
    Ends back;
    back.start(good, Expect::peer, late);
    REQUIRE(back.talk());
    CHECK(back.client.stream->identity()->expired);
    Ends to_master;
    to_master.start(late, Expect::master, run.for_master());
    REQUIRE(to_master.talk());
    CHECK(to_master.server.stream->identity()->expired);
  }
}

TEST_CASE("a master that is out of date is refused") {
  for (const bool enrols : {false, true}) {
    Run run;
    const auto client = enrols ? run.for_enrolment() : run.for_peer(1);
    run.now -= 48 * kHour;
    Ends ends;
    ends.start(client, Expect::master, run.for_master());
    REQUIRE(ends.both_end());
    CHECK(ends.client.stream->problem() == "the master's certificate has expired");
  }
}

TEST_CASE("both ends derive the same from a connection, and something else from the next") {
  const Run run;
  const auto client = run.for_enrolment();
  const auto server = run.for_master();
  std::vector<std::vector<std::byte>> seen;
  for (int i = 0; i < 3; ++i) {
    Ends ends;
    ends.start(client, Expect::master, server, "master");
    REQUIRE(ends.talk());
    for (const char* label : {"EXPORTER-one", "EXPORTER-two"}) {
      const auto binding = ends.client.stream->channel_binding(label);
      CHECK(binding.size() == 32);
      CHECK(binding == ends.server.stream->channel_binding(label));
      for (const auto& other : seen) {
        CHECK(binding != other);
      }
      seen.push_back(binding);
    }
  }
}

TEST_CASE("the second connection is resumed, and both ends know one another as before") {
  const Run run;
  SUBCASE("peers") {
    const auto client = run.for_peer(1);
    const auto server = run.for_peer(2);
    for (std::uint64_t i = 0; i < 4; ++i) {
      Ends ends;
      ends.start(client, Expect::peer, server, "two");
      REQUIRE(ends.talk());
      CHECK(counts_of(*client).full == 1);
      CHECK(counts_of(*client).resumed == i);
      CHECK(counts_of(*server).resumed == i);
      CHECK(ends.client.stream->identity()->peer.id == 2);
      CHECK(ends.server.stream->identity()->peer.id == 1);
      CHECK(ends.server.stream->identity()->key != KeyHash{});
    }
  }
  SUBCASE("a peer and its master") {
    const auto client = run.for_peer(1);
    const auto server = run.for_master();
    for (int i = 0; i < 2; ++i) {
      Ends ends;
      ends.start(client, Expect::master, server, "master");
      REQUIRE(ends.talk());
      CHECK(ends.client.stream->identity()->is_master);
      CHECK(ends.server.stream->identity()->peer.id == 1);
    }
    CHECK(counts_of(*server).resumed == 1);
  }
  SUBCASE("somebody who enrols") {
    const auto client = run.for_enrolment();
    const auto server = run.for_master();
    for (int i = 0; i < 2; ++i) {
      Ends ends;
      ends.start(client, Expect::master, server, "master");
      REQUIRE(ends.talk());
      CHECK(ends.server.stream->identity() == nullptr);
      CHECK(ends.client.stream->identity()->is_master);
    }
    CHECK(counts_of(*server).resumed == 1);
  }
}

TEST_CASE("one session is good for many connections, at once, and after some that were cut") {
  const Run run;
  const auto client = run.for_peer(1);
  const auto server = run.for_peer(2);
  Ends first;
  first.start(client, Expect::peer, server, "two");
  REQUIRE(first.talk());
  Ends second;
  Ends third;
  second.start(client, Expect::peer, server, "two");
  third.start(client, Expect::peer, server, "two");
  REQUIRE(second.talk());
  REQUIRE(third.talk());
  CHECK(counts_of(*client).resumed == 2);
  ::shutdown(first.raw[0], SHUT_RDWR);
  ::shutdown(second.raw[0], SHUT_RDWR);
  REQUIRE(first.both_end());
  REQUIRE(second.both_end());
  Ends fourth;
  fourth.start(client, Expect::peer, server, "two");
  REQUIRE(fourth.talk());
  CHECK(counts_of(*client).resumed == 3);
  CHECK(counts_of(*server).resumed == 3);
}

TEST_CASE("nothing is resumed without a name, under another one, or by another process") {
  const Run run;
  const auto client = run.for_peer(1);
  const auto server = run.for_peer(2);
  for (const char* name : {"", "", "two", "three"}) {
    Ends ends;
    ends.start(client, Expect::peer, server, name);
    REQUIRE(ends.talk());
  }
  CHECK(counts_of(*client).full == 4);
  Ends ends;
  ends.start(client, Expect::peer, run.for_peer(2), "two");  // its tickets are good for itself alone
  REQUIRE(ends.talk());
  CHECK(counts_of(*client).full == 5);
  CHECK(counts_of(*client).resumed == 0);
  Ends again;
  again.start(client, Expect::peer, server, "three");
  REQUIRE(again.talk());
  CHECK(counts_of(*client).resumed == 1);
}

TEST_CASE("what was resumed tells of a certificate whose time is over since") {
  Run run;
  run.lifetime_s = 1;
  const auto client = run.for_peer(1);
  const auto server = run.for_peer(2);
  bool expired = false;
  const Time patience = monotonic_now() + 20 * kSecond;
  while (!expired && monotonic_now() < patience) {
    Ends ends;
    ends.start(client, Expect::peer, server, "two");
    REQUIRE(ends.talk());
    expired = ends.client.stream->identity()->expired && ends.server.stream->identity()->expired;
    run_what_there_is(ends.loop);
  }
  CHECK(expired);
  CHECK(counts_of(*client).full == 1);
}

}  // namespace
}  // namespace seaway::net
