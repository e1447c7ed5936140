// What the .cpp files of this folder share of OpenSSL, without a header of OpenSSL's: they include those themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "net/credentials.h"

struct evp_pkey_st;
struct x509_st;

namespace seaway::net {

struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
struct FreeCertificate {
  void operator()(x509_st* certificate) const;
};
using KeyPtr = std::unique_ptr<evp_pkey_st, FreeKey>;
using CertificatePtr = std::unique_ptr<x509_st, FreeCertificate>;

struct PrivateKey::Impl {
  KeyPtr key;
};

class Credentials {
 public:
  PrivateKey key;
  CertificatePtr certificate;
  CertificatePtr authority;
};

// Before anything else of OpenSSL's. Its clean-up at exit() would meet threads of ours that still run: it is left out unless
// the host process has asked for it first.
void start_openssl();

// The newest error of this thread, in words; the queue is empty afterwards.
std::string openssl_problem();

KeyPtr new_ed25519_key();
std::vector<std::byte> public_key_of(const x509_st& certificate);  // SubjectPublicKeyInfo, DER
std::vector<std::byte> der_of(const x509_st& certificate);
CertificatePtr certificate_from(std::span<const std::byte> der);  // null: it is none, or more than one

bool has_ed25519_key(const x509_st& certificate);
// By `authority` itself, whatever else it is that the certificate names as its issuer.
bool is_signed_by(const x509_st& certificate, const x509_st& authority);
Validity validity_of(const x509_st& certificate);

// Whom a certificate names: the one URI of its subjectAltName. nullopt: nobody of this protocol.
struct CertifiedName {
  bool is_master = false;
  CertifiedPeer peer;
};
std::optional<CertifiedName> name_of(const x509_st& certificate);
std::string to_uri(const CertifiedName& name);
std::optional<CertifiedName> parse_uri(const std::string& uri);

}  // namespace seaway::net
