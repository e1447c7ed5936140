// Keys, certificates and the authority that makes them.
#include "net/credentials.h"

#include <doctest/doctest.h>

#include "base/random.h"
#include "net/openssl.h"
#include "tls_ends.h"

namespace seaway::net {
namespace {

const CertifiedPeer kName = {{0x0123456789abcdef, 0xfedcba9876543210}, 0x1122334455667788};

TEST_CASE("a certificate names its peer, and has its key and its time") {
  const Run run;
  const PrivateKey key = PrivateKey::make();
  std::string problem;
  const auto der = run.authority->issue(kName, key.public_key(), 1'800'000'000, 24 * kHour, problem);
  const CertificatePtr certificate = certificate_from(der);
  REQUIRE(certificate);
  const auto name = name_of(*certificate);
  REQUIRE(name);
  CHECK_FALSE(name->is_master);
  CHECK(name->peer == kName);
  CHECK(public_key_of(*certificate) == key.public_key());
  CHECK(validity_of(der).not_before == 1'800'000'000 - kHour);
  CHECK(validity_of(der).not_after == 1'800'000'000 + 24 * kHour);
  CHECK(make_credentials(key, der, run.authority->certificate(), problem));
  CHECK(problem.empty());
}

TEST_CASE("a name is written in one way, and only that is read") {
  const std::string uri = to_uri({false, kName});
  CHECK(uri == "seaway:peer:0123456789abcdeffedcba9876543210:1122334455667788");
  REQUIRE(parse_uri(uri));
  CHECK(parse_uri(uri)->peer == kName);
  CHECK(parse_uri("seaway:master")->is_master);
  for (const char* wrong : {"", "seaway:", "seaway:master ", "seaway:masters",
                            "seaway:peer:", "seaway:peer:0123456789ABCDEFfedcba9876543210:1122334455667788",
                            "seaway:peer:0:1", "seaway:peer:0123456789abcdeffedcba9876543210:112233445566778",
                            "seaway:peer:0123456789abcdeffedcba9876543210:11223344556677889",
                            "seaway:peer:0123456789abcdeffedcba9876543210-1122334455667788",
                            "seaway:peer:0123456789abcdeffedcba9876543210:0000000000000000",
                            "seaway:peer:+123456789abcdeffedcba9876543210:1122334455667788"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_uri(wrong));
  }
}

TEST_CASE("an authority comes back from its PEM") {
  const auto authority = Authority::make({5, 6});
  std::string problem;
  const auto again = Authority::load(authority->key_pem(), authority->certificate_pem(), problem);
  REQUIRE(again);
  CHECK(again->certificate() == authority->certificate());
  CHECK(again->pin() == authority->pin());
  CHECK(again->pin() != Authority::make({5, 6})->pin());
  const PrivateKey key = PrivateKey::make();
  const auto der = again->issue(kName, key.public_key(), unix_now(), kHour, problem);
  CHECK(make_credentials(key, der, authority->certificate(), problem));
}

TEST_CASE("an authority is not loaded from what is none") {
  const auto authority = Authority::make({5, 6});
  const auto other = Authority::make({5, 6});
  std::string problem;
  CHECK_FALSE(Authority::load("", "", problem));
  CHECK(problem == "the authority's key is no Ed25519 key in PEM");
  CHECK_FALSE(Authority::load(authority->certificate_pem(), authority->key_pem(), problem));
  CHECK_FALSE(Authority::load(authority->key_pem(), authority->key_pem(), problem));
  CHECK(problem == "the authority's certificate is none in PEM");
  CHECK_FALSE(Authority::load(authority->key_pem(), other->certificate_pem(), problem));
  CHECK(problem == "the authority's certificate is of another key");
  const std::string half = authority->certificate_pem().substr(0, 200);
  CHECK_FALSE(Authority::load(authority->key_pem(), half, problem));
}

TEST_CASE("a key that is locked asks nobody for its password") {
  std::string problem;
  CHECK_FALSE(
      Authority::load("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                      "MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBA4vU3oM4vN5l2o0iG6\n"
                      "-----END ENCRYPTED PRIVATE KEY-----\n",
                      Authority::make({})->certificate_pem(), problem));
}

TEST_CASE("no certificate for a key of another kind") {
  const Run run;
  std::string problem;
  const std::vector<std::byte> good = PrivateKey::make().public_key();
  REQUIRE(good.size() == 44);
  for (std::size_t size : {0u, 1u, 12u, 43u}) {
    CHECK(run.authority->issue(kName, {good.data(), size}, unix_now(), kHour, problem).empty());
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  CHECK(run.authority->issue(kName, longer, unix_now(), kHour, problem).empty());
  std::vector<std::byte> x25519 = good;
  x25519[8] = std::byte{0x6e};
  CHECK(run.authority->issue(kName, x25519, unix_now(), kHour, problem).empty());
  CHECK(problem == "this is no Ed25519 key");
  CHECK(run.authority->issue({{1, 2}, kNoPeer}, good, unix_now(), kHour, problem).empty());
  CHECK(run.authority->issue(kName, good, unix_now(), std::int64_t{1} << 60, problem).empty());
  CHECK(problem == "the certificate's times cannot be written");
}

TEST_CASE("credentials whose parts do not fit are refused") {
  const Run run;
  const PrivateKey key = PrivateKey::make();
  std::string problem;
  const auto der = run.authority->issue(kName, key.public_key(), unix_now(), kHour, problem);
  const auto authority = run.authority->certificate();
  CHECK_FALSE(make_credentials(PrivateKey::make(), der, authority, problem));
  CHECK(problem == "the certificate is of another key");
  CHECK_FALSE(make_credentials(key, der, Authority::make({1, 2})->certificate(), problem));
  CHECK(problem == "the certificate is not signed by this authority");
  CHECK_FALSE(make_credentials(key, der, der, problem));
  CHECK_FALSE(make_credentials(key, authority, authority, problem));
  CHECK(problem == "the certificate names nobody of this protocol");
  CHECK_FALSE(make_credentials(key, {}, authority, problem));
  CHECK(problem == "the certificate is none");
  CHECK_FALSE(make_credentials(key, der, {}, problem));
  CHECK(problem == "the authority's certificate is none");
}

TEST_CASE("garbage is no certificate, and does no harm") {
  const Run run;
  const PrivateKey key = PrivateKey::make();
  std::string problem;
  const auto der = run.authority->issue(kName, key.public_key(), unix_now(), kHour, problem);
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::byte> wrong = der;
    wrong[random.below(wrong.size())] ^= std::byte{static_cast<std::uint8_t>(1u << random.below(8))};
    if (i % 4 == 0) {
      wrong.resize(random.below(wrong.size()));
    }
    CHECK_FALSE(make_credentials(key, wrong, run.authority->certificate(), problem));
    validity_of(wrong);
  }
  std::vector<std::byte> longer = der;
  longer.push_back(std::byte{0});
  CHECK_FALSE(certificate_from(longer));
  CHECK_FALSE(certificate_from(std::vector<std::byte>(100'000)));
  CHECK(validity_of(longer).not_after == 0);
}

TEST_CASE("HMAC-SHA256 is that of RFC 4231") {
  constexpr std::array<std::uint8_t, 32> kCase2 = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                                   0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                                   0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
  const auto mac = hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"));
  CHECK(mac == kCase2);
  CHECK(equal_in_constant_time(mac, kCase2));
  auto wrong = kCase2;
  wrong[31] ^= 1;
  CHECK_FALSE(equal_in_constant_time(mac, wrong));
  CHECK_FALSE(equal_in_constant_time(mac, {kCase2.data(), 31}));
  CHECK(hmac_sha256({}, {}) != hmac_sha256({}, bytes_of("x")));
}

}  // namespace
}  // namespace seaway::net
