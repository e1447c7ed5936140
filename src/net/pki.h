// Certificates of an operator's own PKI. They stand in for tokens and the pin: a peer shows one where it enrols, and the master one
// that the same authorities vouch for. What peers show one another later is the run's own, however they came to it.
//
// OpenSSL verifies them in its usual way: chains, times, the purpose, and the name of the host that was dialled. Keys may be of
// any kind that OpenSSL takes by itself.
#pragma once

#include <memory>
#include <string>

#include "net/tls_context.h"

namespace seaway::net {

// What was in the files when they were read.
class Pki {
 public:
  // PEM files: the authorities' certificates; one certificate for this end, with those between it and an authority after it; its
  // key, without a password. Null, and `problem`, which names the file and never says what is in it.
  static std::shared_ptr<const Pki> load(const std::string& authorities, const std::string& certificate,
                                         const std::string& key, std::string& problem);

  // A client that dials `host`: a name or a number, which the other end's certificate has to have.
  TlsPtr connect(const std::string& host, TlsHandshake& handshake) const;
  // Makes `tls`, a server that has heard a client's first message and nothing else, one that shows and wants these.
  bool take_over(ssl_st* tls) const;

  ~Pki();
  Pki(const Pki&) = delete;
  Pki& operator=(const Pki&) = delete;

 private:
  explicit Pki(TlsConfigurationPtr configuration);
  TlsConfigurationPtr configuration_;
};

}  // namespace seaway::net
