#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/assert.h"
#include "net/pki.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace seaway::net {

namespace {

constexpr std::size_t kMostSessions = 2048;  // a roster has 1024
constexpr std::size_t kMostSpare = 4;        // a thread fills one at a time; more are left over when sockets were full

bool has_aes() {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("aes") != 0;
#elif defined(__aarch64__)
  return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
  return false;
#endif
}

void must(bool done) { SEAWAY_ASSERT(done, "OpenSSL cannot be configured"); }

TlsHandshake& handshake_of(const SSL* tls) { return *static_cast<TlsHandshake*>(SSL_get_app_data(tls)); }

// In place of OpenSSL's own verification, which knows hosts, not runs. In the middle of the handshake: whoever is refused here
// gets no byte of ours.
int verify(X509_STORE_CTX* chain, void*) {
  const auto* tls = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsHandshake& handshake = handshake_of(tls);
  const X509* leaf = X509_STORE_CTX_get0_cert(chain);
  STACK_OF(X509)* stack = X509_STORE_CTX_get0_untrusted(chain);
  std::array<X509*, 4> with_it{};
  std::size_t count = 0;
  for (int i = 0; i < sk_X509_num(stack) && count < with_it.size(); ++i) {
    with_it[count++] = sk_X509_value(stack, i);
  }
  int error = X509_V_OK;
  try {
    if (!handshake.context->is_of_this_run(*leaf, {with_it.data(), count})) {
      handshake.problem = "the other end's certificate is of another run";
      error = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;  // as an alert: unknown CA
    } else if (!TlsContext::is_expected(handshake, *leaf)) {
      error = X509_V_ERR_CERT_REJECTED;  // as an alert: bad certificate
    }
  } catch (const std::exception&) {  // OpenSSL's frames are below
    error = X509_V_ERR_OUT_OF_MEM;
  }
  X509_STORE_CTX_set_error(chain, error);
  return error == X509_V_OK ? 1 : 0;
}

int named_a_server(SSL* tls, int*, void* pki) {
  if (SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name) == nullptr) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  return static_cast<const Pki*>(pki)->take_over(tls) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int new_session(SSL* tls, SSL_SESSION* session) {
  constexpr int kTaken = 1;
  TlsSessionPtr owned(session);
  try {
    const TlsHandshake& handshake = handshake_of(tls);
    handshake.context->keep(handshake, std::move(owned));
  } catch (const std::exception&) {
    return kTaken;  // and freed: the next handshake is a full one
  }
  return kTaken;
}

TlsConfigurationPtr configuration(const Credentials* own) {
  TlsConfigurationPtr made(SSL_CTX_new(TLS_method()));
  must(made != nullptr);
  SSL_CTX* ctx = made.get();
  // The fastest first: without instructions for AES that is ChaCha20, which a server takes then although its own order is
  // another.
  const char* ciphers = has_aes() ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
                                  : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
  must(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_ciphersuites(ctx, ciphers) == 1 &&
       SSL_CTX_set1_groups_list(ctx, "X25519") == 1 && SSL_CTX_set1_sigalgs_list(ctx, "ed25519") == 1 &&
       SSL_CTX_set_max_early_data(ctx, 0) == 1);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                               SSL_OP_NO_COMPRESSION);
  // An idle connection keeps no buffers.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_cert_verify_callback(ctx, verify, nullptr);
  if (own != nullptr) {
    must(SSL_CTX_use_certificate(ctx, own->certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(ctx, own->key.impl().key.get()) == 1);
  }
  return made;
}

}  // namespace

void FreeTlsConfiguration::operator()(ssl_ctx_st* configuration) const { SSL_CTX_free(configuration); }
void FreeTlsSession::operator()(ssl_session_st* session) const { SSL_SESSION_free(session); }
void FreeTls::operator()(ssl_st* tls) const { SSL_free(tls); }

void TlsBuffer::taken(std::size_t bytes) {
  from_ += bytes;
  if (from_ == to_) {
    from_ = to_ = 0;
  }
}

TlsContext::TlsContext(std::shared_ptr<const Credentials> own, const KeyHash& pin, bool dials, bool accepts,
                       bool must_show)
    : own_(std::move(own)), pin_(pin) {
  start_openssl();
  if (dials) {
    client_ = configuration(own_.get());
    SSL_CTX_set_verify(client_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_session_cache_mode(client_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_.get(), new_session);
  }
  if (accepts) {
    constexpr std::array<unsigned char, 6> kName = {'s', 'e', 'a', 'w', 'a', 'y'};
    server_ = configuration(own_.get());
    SSL_CTX_set_verify(server_.get(), SSL_VERIFY_PEER | (must_show ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    // A ticket holds the session, encrypted: the server remembers nothing. A client may use it again and again.
    SSL_CTX_set_session_cache_mode(server_.get(), SSL_SESS_CACHE_OFF);
    must(SSL_CTX_set_num_tickets(server_.get(), 1) == 1 &&
         SSL_CTX_set_session_id_context(server_.get(), kName.data(), kName.size()) == 1);
    // Only who enrols does not have the authority's certificate, and it dials masters alone.
    if (name_of(*own_->certificate)->is_master) {
      must(SSL_CTX_add1_chain_cert(server_.get(), own_->authority.get()) == 1);
    }
  }
  spare_.reserve(kMostSpare);
}

TlsContext::TlsContext(std::shared_ptr<const Pki> pki, std::string host)
    : pki_(std::move(pki)), host_(std::move(host)) {
  spare_.reserve(kMostSpare);
}

void TlsContext::accept_also(std::shared_ptr<const Pki> pki) {
  pki_ = std::move(pki);
  SSL_CTX_set_tlsext_servername_callback(server_.get(), named_a_server);
  SSL_CTX_set_tlsext_servername_arg(server_.get(), const_cast<Pki*>(pki_.get()));
}

TlsPtr TlsContext::connect(TlsHandshake& handshake) {
  if (pki_ && !own_) {
    handshake.context = this;
    handshake.is_client = true;
    return pki_->connect(host_, handshake);
  }
  if (!client_) {
    return nullptr;
  }
  TlsPtr tls(SSL_new(client_.get()));
  must(tls != nullptr);
  handshake.context = this;
  handshake.is_client = true;
  SSL_set_app_data(tls.get(), &handshake);
  SSL_set_connect_state(tls.get());
  if (const auto kept = sessions_.find(handshake.session); kept != sessions_.end()) {
    // A copy, because OpenSSL takes a session for used up at the end of its first handshake, or when a connection breaks.
    const TlsSessionPtr copy(SSL_SESSION_dup(kept->second.session.get()));
    must(copy != nullptr && SSL_set_session(tls.get(), copy.get()) == 1);
  }
  return tls;
}

TlsPtr TlsContext::accept(TlsHandshake& handshake) {
  if (!server_) {
    return nullptr;
  }
  TlsPtr tls(SSL_new(server_.get()));
  must(tls != nullptr);
  handshake.context = this;
  SSL_set_app_data(tls.get(), &handshake);
  SSL_set_accept_state(tls.get());
  return tls;
}

bool TlsContext::is_expected(TlsHandshake& handshake, const x509_st& certificate) {
  const auto name = name_of(certificate);
  const bool wants_master = handshake.is_client && handshake.expect == Expect::master;
  if (!name || !has_ed25519_key(certificate) || name->is_master != wants_master) {
    handshake.problem = !name          ? "the other end's certificate names nobody of this protocol"
                        : wants_master ? "the other end is no master"
                                       : "the other end is no peer";
    return false;
  }
  const std::int64_t now = std::time(nullptr);
  const Validity validity = validity_of(certificate);
  const bool expired = now < validity.not_before || now > validity.not_after;
  if (expired && wants_master) {
    handshake.problem =
        now > validity.not_after ? "the master's certificate has expired" : "the master's certificate is not valid yet";
    return false;
  }
  handshake.identity = {name->is_master, name->peer, hash_of_key(public_key_of(certificate)), expired};
  return true;
}

bool TlsContext::is_of_this_run(const x509_st& certificate, std::span<x509_st* const> with_it) const {
  if (own_) {
    return is_signed_by(certificate, *own_->authority);
  }
  return std::any_of(with_it.begin(), with_it.end(), [&](const x509_st* authority) {
    return hash_of_key(public_key_of(*authority)) == pin_ && is_signed_by(certificate, *authority);
  });
}

void TlsContext::keep(const TlsHandshake& handshake, TlsSessionPtr session) {
  if (handshake.session.empty()) {
    return;
  }
  if (sessions_.size() >= kMostSessions && !sessions_.contains(handshake.session)) {
    sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(),
                                     [](const auto& a, const auto& b) { return a.second.age < b.second.age; }));
  }
  sessions_[handshake.session] = {std::move(session), ++kept_};
}

void TlsContext::lend(TlsBuffer& buffer) {
  if (buffer.memory_) {
    return;
  }
  if (spare_.empty()) {
    buffer.memory_ = std::make_unique_for_overwrite<std::byte[]>(TlsBuffer::kBytes);
  } else {
    buffer.memory_ = std::move(spare_.back());
    spare_.pop_back();
  }
}

void TlsContext::take_back(TlsBuffer& buffer) {
  buffer.from_ = buffer.to_ = 0;
  if (buffer.memory_ && spare_.size() < kMostSpare) {
    spare_.push_back(std::move(buffer.memory_));
  }
  buffer.memory_.reset();
}

std::shared_ptr<TlsContext> tls_for_enrolment(const KeyHash& pin) {
  return std::make_shared<TlsContext>(nullptr, pin, true, false, false);
}

std::shared_ptr<TlsContext> tls_for_peer(std::shared_ptr<const Credentials> own) {
  return std::make_shared<TlsContext>(std::move(own), KeyHash{}, true, true, true);
}

std::shared_ptr<TlsContext> tls_for_enrolment(std::shared_ptr<const Pki> pki, std::string host) {
  return std::make_shared<TlsContext>(std::move(pki), std::move(host));
}

std::shared_ptr<TlsContext> tls_for_master(std::shared_ptr<const Credentials> own, std::shared_ptr<const Pki> pki) {
  auto made = std::make_shared<TlsContext>(std::move(own), KeyHash{}, false, true, false);
  if (pki) {
    made->accept_also(std::move(pki));
  }
  return made;
}

TlsCounts counts_of(const TlsContext& context) { return context.counts; }

}  // namespace seaway::net
