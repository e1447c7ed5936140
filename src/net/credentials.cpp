#include "net/credentials.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/assert.h"
#include "net/openssl.h"

namespace seaway::net {

PrivateKey PrivateKey::make() {
  auto impl = std::make_shared<Impl>();
  impl->key = new_ed25519_key();
  return PrivateKey(std::move(impl));
}

std::vector<std::byte> PrivateKey::public_key() const {
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(impl_->key.get(), &bytes);
  SEAWAY_ASSERT(size > 0, "a public key cannot be encoded");
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> key(first, first + size);
  OPENSSL_free(bytes);
  return key;
}

KeyHash hash_of_key(std::span<const std::byte> public_key) {
  KeyHash hash;
  SHA256(reinterpret_cast<const unsigned char*>(public_key.data()), public_key.size(), hash.data());
  return hash;
}

std::shared_ptr<const Credentials> make_credentials(const PrivateKey& key, std::span<const std::byte> certificate,
                                                    std::span<const std::byte> authority, std::string& problem) {
  CertificatePtr leaf = certificate_from(certificate);
  CertificatePtr root = certificate_from(authority);
  if (!leaf || !root) {
    problem = leaf ? "the authority's certificate is none" : "the certificate is none";
    return nullptr;
  }
  if (!name_of(*leaf)) {
    problem = "the certificate names nobody of this protocol";
    return nullptr;
  }
  if (public_key_of(*leaf) != key.public_key()) {
    problem = "the certificate is of another key";
    return nullptr;
  }
  if (!is_signed_by(*leaf, *root)) {
    problem = "the certificate is not signed by this authority";
    return nullptr;
  }
  return std::make_shared<const Credentials>(Credentials{key, std::move(leaf), std::move(root)});
}

Validity validity_of(std::span<const std::byte> certificate) {
  const CertificatePtr parsed = certificate_from(certificate);
  return parsed ? validity_of(*parsed) : Validity{};
}

std::array<std::uint8_t, 32> hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> data) {
  start_openssl();
  constexpr std::byte kNothing{};  // OpenSSL takes a null key for "the one before"
  std::array<std::uint8_t, 32> result{};
  unsigned size = 0;
  const auto* done = HMAC(EVP_sha256(), key.empty() ? &kNothing : key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(data.data()), data.size(), result.data(), &size);
  SEAWAY_ASSERT(done != nullptr && size == result.size(), "OpenSSL has no HMAC");
  return result;
}

bool equal_in_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace seaway::net
