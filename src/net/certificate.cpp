// Reading certificates and keys: whom they name, who signed them.
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <charconv>
#include <ctime>
#include <string_view>

#include "base/assert.h"
#include "base/hex.h"
#include "net/openssl.h"

namespace seaway::net {

namespace {

constexpr std::string_view kMasterUri = "seaway:master";
constexpr std::string_view kPeerUri = "seaway:peer:";
constexpr std::size_t kMostCertificateBytes = 8192;  // ours have 400

// As hex() writes it, and in no other way.
std::optional<std::uint64_t> unhex(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || hex(value) != text) {
    return std::nullopt;
  }
  return value;
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm broken_down{};
  return ASN1_TIME_to_tm(time, &broken_down) == 1 ? static_cast<std::int64_t>(timegm(&broken_down)) : 0;
}

}  // namespace

void FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void FreeCertificate::operator()(x509_st* certificate) const { X509_free(certificate); }

void start_openssl() {
  static const int started = OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr);
  SEAWAY_ASSERT(started == 1, "OpenSSL cannot start");
}

std::string openssl_problem() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const char* words = error == 0 ? nullptr : ERR_reason_error_string(error);
  return words == nullptr ? "an error that OpenSSL does not name" : words;
}

KeyPtr new_ed25519_key() {
  start_openssl();
  KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  SEAWAY_ASSERT(key != nullptr, "OpenSSL makes no Ed25519 key");
  return key;
}

std::vector<std::byte> public_key_of(const x509_st& certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &bytes);
  SEAWAY_ASSERT(size > 0, "a certificate's key cannot be encoded");
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> key(first, first + size);
  OPENSSL_free(bytes);
  return key;
}

std::vector<std::byte> der_of(const x509_st& certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(&certificate, &bytes);
  SEAWAY_ASSERT(size > 0, "a certificate cannot be encoded");
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> der(first, first + size);
  OPENSSL_free(bytes);
  return der;
}

CertificatePtr certificate_from(std::span<const std::byte> der) {
  start_openssl();
  if (der.size() > kMostCertificateBytes) {
    return nullptr;
  }
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* const end = at + der.size();
  CertificatePtr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  return at == end ? std::move(certificate) : nullptr;
}

bool has_ed25519_key(const x509_st& certificate) {
  const EVP_PKEY* key = X509_get0_pubkey(&certificate);
  return key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
}

bool is_signed_by(const x509_st& certificate, const x509_st& authority) {
  // X509_verify() counts a reference, which is why it wants what it does not change.
  const bool is =
      has_ed25519_key(authority) && X509_verify(const_cast<x509_st*>(&certificate), X509_get0_pubkey(&authority)) == 1;
  ERR_clear_error();
  return is;
}

Validity validity_of(const x509_st& certificate) {
  return {seconds_of(X509_get0_notBefore(&certificate)), seconds_of(X509_get0_notAfter(&certificate))};
}

std::string to_uri(const CertifiedName& name) {
  if (name.is_master) {
    return std::string(kMasterUri);
  }
  return std::string(kPeerUri) + hex(name.peer.uuid) + ":" + hex(name.peer.id);
}

std::optional<CertifiedName> parse_uri(const std::string& uri) {
  if (uri == kMasterUri) {
    return CertifiedName{true, {}};
  }
  const std::string_view text = uri;
  if (text.size() != kPeerUri.size() + 49 || !text.starts_with(kPeerUri) || text[kPeerUri.size() + 32] != ':') {
    return std::nullopt;
  }
  const std::string_view rest = text.substr(kPeerUri.size());
  const auto high = unhex(rest.substr(0, 16));
  const auto low = unhex(rest.substr(16, 16));
  const auto id = unhex(rest.substr(33));
  if (!high || !low || !id || *id == kNoPeer) {
    return std::nullopt;
  }
  return CertifiedName{false, {{*high, *low}, *id}};
}

std::optional<CertifiedName> name_of(const x509_st& certificate) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  ERR_clear_error();
  std::optional<CertifiedName> name;
  if (sk_GENERAL_NAME_num(names) == 1) {
    const GENERAL_NAME* only = sk_GENERAL_NAME_value(names, 0);
    if (only->type == GEN_URI) {
      const ASN1_IA5STRING* uri = only->d.uniformResourceIdentifier;
      name = parse_uri(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                   static_cast<std::size_t>(ASN1_STRING_length(uri))));
    }
  }
  GENERAL_NAMES_free(names);
  return name;
}

}  // namespace seaway::net
