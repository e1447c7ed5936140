// An operator's PKI: an authority that seaway knows nothing of, and what it certifies, as files in PEM.
#pragma once

#include <memory>
#include <string>

struct evp_pkey_st;
struct x509_st;

namespace seaway::support {

class OwnPki {
 public:
  enum class Keys { ed25519, ecdsa, rsa };

  explicit OwnPki(std::string folder, Keys keys = Keys::ecdsa);  // writes FOLDER/ca.pem
  ~OwnPki();
  OwnPki(const OwnPki&) = delete;
  OwnPki& operator=(const OwnPki&) = delete;

  struct Files {
    std::string authorities, certificate, key;
  };
  // `names`: as OpenSSL's configuration writes a subjectAltName, e.g. "DNS:example.org, IP:127.0.0.1". Valid from a day ago
  // to `days_left` from now.
  Files certify(const std::string& file, const std::string& names, int days_left = 30) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seaway::support
