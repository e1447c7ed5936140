#include "chaos/handshake.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <stdexcept>

namespace seaway::chaos {

namespace {

struct FreeConfiguration {
  void operator()(SSL_CTX* configuration) const { SSL_CTX_free(configuration); }
};
struct FreeTls {
  void operator()(SSL* tls) const { SSL_free(tls); }
};
using Tls = std::unique_ptr<SSL, FreeTls>;

Tls client() {
  static const std::unique_ptr<SSL_CTX, FreeConfiguration> configuration(SSL_CTX_new(TLS_client_method()));
  Tls tls(SSL_new(configuration.get()));
  if (!tls || SSL_set_min_proto_version(tls.get(), TLS1_3_VERSION) != 1) {
    throw std::runtime_error("OpenSSL cannot be configured");
  }
  SSL_set_connect_state(tls.get());
  return tls;
}

}  // namespace

support::Bytes client_hello() {
  const Tls tls = client();
  BIO* said = BIO_new(BIO_s_mem());
  SSL_set_bio(tls.get(), BIO_new(BIO_s_mem()), said);
  SSL_do_handshake(tls.get());  // wants an answer
  support::Bytes hello(BIO_ctrl_pending(said));
  BIO_read(said, hello.data(), static_cast<int>(hello.size()));
  return hello;
}

std::string say_encrypted(const std::string& address, const support::Bytes& words) {
  const support::Stranger stranger(address);
  if (!stranger.ok()) {
    return "unreachable";
  }
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::fcntl(stranger.fd(), F_SETFL, 0);
  ::setsockopt(stranger.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const Tls tls = client();
  SSL_set_fd(tls.get(), stranger.fd());
  char answer[1];
  const bool is_let_in = SSL_do_handshake(tls.get()) == 1 &&
                         SSL_write(tls.get(), words.data(), static_cast<int>(words.size())) > 0 &&
                         SSL_read(tls.get(), answer, sizeof answer) > 0;
  return is_let_in ? "let in" : "refused";
}

}  // namespace seaway::chaos
