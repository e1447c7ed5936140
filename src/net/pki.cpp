#include "net/pki.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/assert.h"
#include "net/address.h"

namespace seaway::net {

namespace {

// A client that enrols by these certificates names a server, and nobody else does: that is how a master's one port tells them
// apart. Numbers cannot be named (RFC 6066, 3), so this stands for them. It is not what is verified.
constexpr const char* kAnyName = "master.seaway.invalid";

// A key that is locked would have OpenSSL ask the terminal for its password.
int no_password(char*, int, int, void*) { return -1; }

// OpenSSL's own verification, whose finding is kept in words.
int verify(X509_STORE_CTX* chain, void*) {
  const auto* tls = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsHandshake& handshake = *static_cast<TlsHandshake*>(SSL_get_app_data(tls));
  const int good = X509_verify_cert(chain);
  try {
    if (good == 1) {
      const X509* leaf = X509_STORE_CTX_get0_cert(chain);
      handshake.identity = PeerIdentity{
          .is_master = false, .peer = {}, .key = hash_of_key(public_key_of(*leaf)), .expired = false, .by_pki = true};
      return 1;
    }
    handshake.problem = std::string("the other end's certificate is not good for the PKI: ") +
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain));
  } catch (const std::exception&) {  // OpenSSL's frames are below
    X509_STORE_CTX_set_error(chain, X509_V_ERR_OUT_OF_MEM);
  }
  return 0;
}

}  // namespace

Pki::Pki(TlsConfigurationPtr configuration) : configuration_(std::move(configuration)) {}
Pki::~Pki() = default;

std::shared_ptr<const Pki> Pki::load(const std::string& authorities, const std::string& certificate,
                                     const std::string& key, std::string& problem) {
  start_openssl();
  ERR_clear_error();
  TlsConfigurationPtr made(SSL_CTX_new(TLS_method()));
  SEAWAY_ASSERT(made != nullptr, "OpenSSL cannot be configured");
  SSL_CTX* ctx = made.get();
  constexpr std::array<unsigned char, 10> kName = {'s', 'e', 'a', 'w', 'a', 'y', '-', 'p', 'k', 'i'};
  const bool configured = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
                          SSL_CTX_set_session_id_context(ctx, kName.data(), kName.size()) == 1;
  SEAWAY_ASSERT(configured, "OpenSSL cannot be configured");
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cert_verify_callback(ctx, verify, nullptr);
  SSL_CTX_set_default_passwd_cb(ctx, no_password);
  if (SSL_CTX_load_verify_file(ctx, authorities.c_str()) != 1) {
    problem = "\"" + authorities + "\" has no certificate of an authority in PEM: " + openssl_problem();
  } else if (SSL_CTX_use_certificate_chain_file(ctx, certificate.c_str()) != 1) {
    problem = "\"" + certificate + "\" has no certificate in PEM: " + openssl_problem();
  } else if (SSL_CTX_use_PrivateKey_file(ctx, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    problem = "\"" + key + "\" has no private key in PEM without a password that fits \"" + certificate +
              "\": " + openssl_problem();
  } else if (SSL_CTX_check_private_key(ctx) != 1) {
    problem = "\"" + key + "\" is not the key of \"" + certificate + "\": " + openssl_problem();
  } else {
    return std::shared_ptr<const Pki>(new Pki(std::move(made)));
  }
  ERR_clear_error();
  return nullptr;
}

TlsPtr Pki::connect(const std::string& host, TlsHandshake& handshake) const {
  TlsPtr tls(SSL_new(configuration_.get()));
  SEAWAY_ASSERT(tls != nullptr, "OpenSSL has no memory");
  SSL_set_app_data(tls.get(), &handshake);
  SSL_set_connect_state(tls.get());
  SSL_set_verify(tls.get(), SSL_VERIFY_PEER, nullptr);
  SSL_set_hostflags(tls.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // A number with a zone ("fe80::1%eth0") is none to OpenSSL: no certificate has it, as a number or as a name.
  const bool is_number = numeric_address({host, 1}).has_value();
  const bool done = (is_number && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()), host.c_str()) == 1) ||
                    SSL_set1_host(tls.get(), host.c_str()) == 1;
  const char* named = is_number ? kAnyName : host.c_str();
  SEAWAY_ASSERT(done && SSL_set_tlsext_host_name(tls.get(), named) == 1, "OpenSSL takes the name of a host");
  return tls;
}

bool Pki::take_over(ssl_st* tls) const {
  SSL_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // Whoever enrols comes once: nothing is resumed, by anybody.
  return SSL_set_num_tickets(tls, 0) == 1 && SSL_set_SSL_CTX(tls, configuration_.get()) == configuration_.get();
}

}  // namespace seaway::net
