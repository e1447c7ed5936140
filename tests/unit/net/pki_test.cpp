// An operator's own PKI at the master's door: who is let in, who is told why not, and that it changes nothing for anybody else.
#include "net/pki.h"

#include <doctest/doctest.h>

#include <fstream>

#include "support/own_pki.h"
#include "support/temporary_folder.h"
#include "tls_ends.h"

namespace seaway::net {
namespace {

using support::OwnPki;

constexpr const char* kHost = "master.example.org";

std::shared_ptr<const Pki> load(const OwnPki::Files& files) {
  std::string problem;
  auto pki = Pki::load(files.authorities, files.certificate, files.key, problem);
  REQUIRE_MESSAGE(pki, problem);
  return pki;
}

bool says(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

struct Operator {
  support::TemporaryFolder folder;
  OwnPki pki;
  Run run;

  explicit Operator(OwnPki::Keys keys = OwnPki::Keys::ecdsa) : pki(folder.path(), keys) {}
  std::shared_ptr<TlsContext> master(const std::string& names = std::string("DNS:") + kHost, int days_left = 30) const {
    return tls_for_master(run.authority->issue_master(run.now, run.lifetime_s),
                          load(pki.certify("master", names, days_left)));
  }
  std::shared_ptr<TlsContext> peer(const std::string& host = kHost, int days_left = 30) const {
    return tls_for_enrolment(load(pki.certify("peer", "DNS:peer-7", days_left)), host);
  }
};

TEST_CASE("certificates of an own PKI let a peer in that names nobody yet, whatever their keys are") {
  for (const auto keys : {OwnPki::Keys::ed25519, OwnPki::Keys::ecdsa, OwnPki::Keys::rsa}) {
    CAPTURE(static_cast<int>(keys));
    const Operator own(keys);
    Ends ends;
    ends.start(own.peer(), Expect::master, own.master());
    REQUIRE(ends.talk());
    const PeerIdentity* identity = ends.server.stream->identity();
    REQUIRE(identity);
    CHECK(identity->by_pki);
    CHECK_FALSE(identity->is_master);
    CHECK(identity->peer == CertifiedPeer{});
    CHECK(ends.client.stream->channel_binding("EXPORTER-test") == ends.server.stream->channel_binding("EXPORTER-test"));
  }
}

TEST_CASE("a master's host is a name or a number, and its certificate has to have it") {
  const Operator own;
  for (const auto& [names, host] :
       {std::pair{"IP:127.0.0.1", "127.0.0.1"}, {"IP:::1", "::1"}, {"DNS:*.b.org", "a.b.org"}}) {
    CAPTURE(host);
    Ends ends;
    ends.start(own.peer(host), Expect::master, own.master(names));
    CHECK(ends.talk());
  }
  for (const auto& [names, host] : {std::pair{"IP:127.0.0.1", "127.0.0.2"},
                                    {"DNS:127.0.0.1", "127.0.0.1"},
                                    {"DNS:a.org", "b.org"},
                                    {"DNS:a.org", "fe80::1%lo"}}) {
    CAPTURE(host);
    Ends ends;
    ends.start(own.peer(host), Expect::master, own.master(names));
    CHECK_FALSE(ends.talk());
    REQUIRE(ends.both_end());
    CHECK_MESSAGE(says(ends.client.stream->problem(), "mismatch"), ends.client.stream->problem());
  }
}

TEST_CASE("what the PKI does not vouch for is refused, and both ends hear why") {
  const Operator own;
  const Operator another;
  SUBCASE("another authority's peer") {
    Ends ends;
    // It trusts this authority, and has a certificate of the other.
    auto files = another.pki.certify("peer", "DNS:peer-7");
    files.authorities = own.pki.certify("unused", "DNS:x").authorities;
    ends.start(tls_for_enrolment(load(files), kHost), Expect::master, own.master());
    CHECK_FALSE(ends.talk());
    REQUIRE(ends.both_end());
    CHECK_MESSAGE(says(ends.server.stream->problem(), "unable to get local issuer"), ends.server.stream->problem());
    CHECK_MESSAGE(says(ends.client.stream->problem(), "refused by the other end"), ends.client.stream->problem());
  }
  SUBCASE("another authority's master") {
    Ends ends;
    ends.start(another.peer(), Expect::master, own.master());
    CHECK_FALSE(ends.talk());
    REQUIRE(ends.both_end());
    CHECK_MESSAGE(says(ends.client.stream->problem(), "unable to get local issuer"), ends.client.stream->problem());
  }
  SUBCASE("a peer's that has expired") {
    Ends ends;
    ends.start(own.peer(kHost, 0), Expect::master, own.master());
    CHECK_FALSE(ends.talk());
    REQUIRE(ends.both_end());
    CHECK_MESSAGE(says(ends.server.stream->problem(), "has expired"), ends.server.stream->problem());
  }
  SUBCASE("a master's that has expired") {
    Ends ends;
    ends.start(own.peer(), Expect::master, own.master(std::string("DNS:") + kHost, 0));
    CHECK_FALSE(ends.talk());
    REQUIRE(ends.both_end());
    CHECK_MESSAGE(says(ends.client.stream->problem(), "has expired"), ends.client.stream->problem());
  }
  SUBCASE("a master that has no PKI") {
    Ends ends;
    ends.start(own.peer(), Expect::master, own.run.for_master());
    CHECK_FALSE(ends.talk());
    REQUIRE(ends.both_end());
    CHECK_MESSAGE(says(ends.client.stream->problem(), "not good for the PKI"), ends.client.stream->problem());
  }
  SUBCASE("a peer of the PKI at a peer") {
    Ends ends;
    ends.start(own.peer(), Expect::peer, own.run.for_peer(1));
    CHECK_FALSE(ends.talk());
  }
}

TEST_CASE("a certificate of the PKI that is called like a peer of the run names nobody") {
  const Operator own(OwnPki::Keys::ed25519);
  const std::string name = "URI:seaway:peer:00000000000000010000000000000002:0000000000000003";
  Ends ends;
  ends.start(tls_for_enrolment(load(own.pki.certify("peer", name)), kHost), Expect::master, own.master());
  REQUIRE(ends.talk());
  CHECK(ends.server.stream->identity()->by_pki);
  CHECK(ends.server.stream->identity()->peer == CertifiedPeer{});
}

TEST_CASE("a master with a PKI is for the peers of its run what it was") {
  const Operator own;
  const auto master = own.master();
  const auto peer = own.run.for_peer(3);
  for (const bool resumed : {false, true}) {
    Ends ends;
    ends.start(peer, Expect::master, master, "the master");
    REQUIRE(ends.talk());
    REQUIRE(ends.server.stream->identity());
    CHECK_FALSE(ends.server.stream->identity()->by_pki);
    CHECK(ends.server.stream->identity()->peer.id == 3);
    CHECK(counts_of(*master).resumed == (resumed ? 1 : 0));
  }
  Ends ends;
  ends.start(own.run.for_enrolment(), Expect::master, master);
  REQUIRE(ends.talk());
  CHECK(ends.server.stream->identity() == nullptr);
}

TEST_CASE("what cannot be read is named, and a locked key does not ask the terminal") {
  const Operator own;
  const auto files = own.pki.certify("peer", "DNS:peer-7");
  const auto other = own.pki.certify("other", "DNS:peer-8");
  const std::string locked = own.folder.path() + "/locked.key";
  std::ofstream(locked) << "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj\n"
                           "-----END ENCRYPTED PRIVATE KEY-----\n";
  const auto problem_with = [](const std::string& ca, const std::string& certificate, const std::string& key) {
    std::string problem;
    CHECK(Pki::load(ca, certificate, key, problem) == nullptr);
    return problem;
  };
  CHECK(says(problem_with("/nowhere/ca.pem", files.certificate, files.key), "/nowhere/ca.pem"));
  CHECK(says(problem_with(files.key, files.certificate, files.key), files.key.c_str()));
  CHECK(says(problem_with(files.authorities, "/nowhere/peer.pem", files.key), "/nowhere/peer.pem"));
  CHECK(says(problem_with(files.authorities, files.certificate, locked), "locked.key"));
  CHECK(says(problem_with(files.authorities, files.certificate, other.key), "other.key"));
}

}  // namespace
}  // namespace seaway::net
