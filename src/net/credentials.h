// Keys and certificates of a run. Ed25519 keys, X.509 v3 certificates; one certificate authority for each run, which its
// master holds. A certificate names its owner in a URI: "seaway:peer:UUID:INCARNATION" in hex, or "seaway:master".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "net/stream.h"

namespace seaway::net {

class PrivateKey {  // copies are the same key
 public:
  static PrivateKey make();                   // a new one
  std::vector<std::byte> public_key() const;  // SubjectPublicKeyInfo, DER

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit PrivateKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

KeyHash hash_of_key(std::span<const std::byte> public_key);  // SHA-256

// A private key, its certificate and the authority's. Immutable; used through shared_ptr<const>.
class Credentials;

// `certificate`: DER of the leaf, `authority`: DER of the authority's. Null and `problem` when they do not fit the key or one
// another.
std::shared_ptr<const Credentials> make_credentials(const PrivateKey& key, std::span<const std::byte> certificate,
                                                    std::span<const std::byte> authority, std::string& problem);

struct Validity {  // seconds of Unix
  std::int64_t not_before = 0;
  std::int64_t not_after = 0;
};
Validity validity_of(std::span<const std::byte> certificate);  // {0, 0}: it is none

// The certificate authority of a run.
class Authority {
 public:
  static std::unique_ptr<Authority> make(const Uuid& run);  // a new key
  // What key_pem() and certificate_pem() gave. Null and `problem` when they are something else.
  static std::unique_ptr<Authority> load(const std::string& key_pem, const std::string& certificate_pem,
                                         std::string& problem);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  std::string key_pem() const;
  std::string certificate_pem() const;
  std::vector<std::byte> certificate() const;  // DER
  KeyHash pin() const;                         // hash_of_key of the authority's key

  // A peer's certificate, DER. It is valid from an hour before `now`: clocks of homes are wrong. `public_key` is a stranger's
  // bytes. Empty and `problem` when it is no Ed25519 key.
  std::vector<std::byte> issue(const CertifiedPeer& name, std::span<const std::byte> public_key, std::int64_t now,
                               std::int64_t lifetime_s, std::string& problem) const;
  // A new key and its certificate, of a master's listener.
  std::shared_ptr<const Credentials> issue_master(std::int64_t now, std::int64_t lifetime_s) const;

 private:
  struct Impl;
  explicit Authority(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

std::array<std::uint8_t, 32> hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> data);
bool equal_in_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

}  // namespace seaway::net
