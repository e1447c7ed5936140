#include "net/tls_end.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "base/assert.h"

namespace seaway::net {

static_assert(TlsBuffer::kBytes >
              TlsEnd::kTurn + 2 * (TlsEnd::kTurn / TlsEnd::kRecord) * TlsEnd::kRecordOverhead + 4096);

TlsEnd::TlsEnd(std::shared_ptr<TlsContext> context, bool is_client, Expect expect, std::string session)
    : context_(std::move(context)) {
  handshake_.expect = expect;
  if (!session.empty()) {
    handshake_.session = std::move(session.insert(0, expect == Expect::master ? "master " : "peer "));
  }
  tls_ = is_client ? context_->connect(handshake_) : context_->accept(handshake_);
  SEAWAY_ASSERT(tls_ != nullptr, "this context was made for the other end of a connection");
  BIO* bio = BIO_new(method());
  SEAWAY_ASSERT(bio != nullptr, "OpenSSL has no memory");
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls_.get(), bio, bio);
}

TlsEnd::~TlsEnd() {
  // Otherwise OpenSSL takes a connection that was not closed in order for an attack, and its session for lost.
  SSL_set_shutdown(tls_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  context_->take_back(in_);
  context_->take_back(out_);
}

// --- Between OpenSSL and the buffers --------------------------------------------------------------------------------

int TlsEnd::read_in(BIO* bio, char* to, int most) {
  TlsBuffer& in = static_cast<TlsEnd*>(BIO_get_data(bio))->in_;
  BIO_clear_retry_flags(bio);
  if (in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t count = std::min(in.size(), static_cast<std::size_t>(most));
  std::memcpy(to, in.data(), count);
  in.taken(count);
  return static_cast<int>(count);
}

int TlsEnd::write_out(BIO* bio, const char* from, int count) {
  TlsEnd& self = *static_cast<TlsEnd*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  try {
    self.context_->lend(self.out_);
  } catch (const std::bad_alloc&) {
    return -1;
  }
  // There is room, but for the answers to somebody who asks for new keys without end and takes none of the answers.
  const auto size = static_cast<std::size_t>(count);
  if (self.out_.room_bytes() < size) {
    return -1;
  }
  std::memcpy(self.out_.room(), from, size);
  self.out_.added(size);
  return count;
}

long TlsEnd::control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* TlsEnd::method() {
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "seaway");
    SEAWAY_ASSERT(m != nullptr, "OpenSSL has no memory");
    BIO_meth_set_read(m, read_in);
    BIO_meth_set_write(m, write_out);
    BIO_meth_set_ctrl(m, control);
    return m;
  }();
  return made;
}

void TlsEnd::tidy() {
  for (TlsBuffer* buffer : {&in_, &out_}) {
    if (*buffer && buffer->empty()) {
      context_->take_back(*buffer);
    }
  }
}

// --- The handshake --------------------------------------------------------------------------------------------------

TlsEnd::Step TlsEnd::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_.get());
  if (result == 1) {
    return end_handshake();
  }
  if (SSL_get_error(tls_.get(), result) != SSL_ERROR_WANT_READ) {
    return fail();
  }
  // A client that has a ticket may use it again and again: another one would be a fifth of this handshake's cost.
  if (SSL_is_server(tls_.get()) == 1 && SSL_session_reused(tls_.get()) == 1) {
    SSL_set_num_tickets(tls_.get(), 0);
  }
  return Step::needs_bytes;
}

// Of a resumed one the certificate is that of the connection before, which was verified then; its time may be over since.
TlsEnd::Step TlsEnd::end_handshake() {
  const bool resumed = SSL_session_reused(tls_.get()) == 1;
  const X509* certificate = SSL_get0_peer_certificate(tls_.get());
  if (resumed && certificate != nullptr && !TlsContext::is_expected(handshake_, *certificate)) {
    return fail();
  }
  SEAWAY_ASSERT(handshake_.identity.has_value() == (certificate != nullptr), "a certificate that nobody has verified");
  is_over_ = true;
  ++(resumed ? context_->counts.resumed : context_->counts.full);
  return Step::done;
}

TlsEnd::Step TlsEnd::fail() {
  constexpr int kCertificateRequired = 116;  // an alert that OpenSSL 3.0 does not name
  const int alert = ERR_GET_REASON(ERR_peek_last_error()) - SSL_AD_REASON_OFFSET;
  if (!problem_.empty()) {
    // As it was.
  } else if (!handshake_.problem.empty()) {
    problem_ = handshake_.problem;
  } else if (alert >= 0 && alert < 256) {
    problem_ = std::string("refused by the other end: ") +
               (alert == kCertificateRequired ? "certificate required" : SSL_alert_desc_string_long(alert));
  } else {
    problem_ = "TLS: " + openssl_problem();
  }
  ERR_clear_error();
  if (!is_over_) {
    context_->forget(handshake_);
  }
  return Step::failed;
}

std::vector<std::byte> TlsEnd::channel_binding(const char* label) const {
  if (!is_over_) {
    return {};
  }
  std::vector<std::byte> binding(32);
  ERR_clear_error();
  const int done = SSL_export_keying_material(tls_.get(), reinterpret_cast<unsigned char*>(binding.data()),
                                              binding.size(), label, std::strlen(label), nullptr, 0, 0);
  SEAWAY_ASSERT(done == 1, "OpenSSL exports no key");
  return binding;
}

// --- Bytes ----------------------------------------------------------------------------------------------------------

TlsEnd::Step TlsEnd::decrypt(std::byte* to, std::size_t room, std::size_t& got) {
  ERR_clear_error();
  const int result = SSL_read_ex(tls_.get(), to, room, &got);
  if (result == 1) {
    return Step::done;
  }
  got = 0;
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Step::needs_bytes;
    case SSL_ERROR_ZERO_RETURN:
      return Step::ended;
    default:
      return fail();
  }
}

TlsEnd::Step TlsEnd::look_for_alert() {
  ERR_clear_error();
  std::byte first{};
  std::size_t got = 0;
  const int result = SSL_peek_ex(tls_.get(), &first, 1, &got);
  const int error = SSL_get_error(tls_.get(), result);
  return result == 1                      ? Step::done
         : error == SSL_ERROR_WANT_READ   ? Step::needs_bytes
         : error == SSL_ERROR_ZERO_RETURN ? Step::ended
                                          : fail();
}

bool TlsEnd::holds_input() const { return !in_.empty() || SSL_pending(tls_.get()) > 0; }

// Large pieces are encrypted from where they are, in full records; small ones, and ends of large ones, share records.
std::size_t TlsEnd::encrypt(std::span<const iovec> from) {
  std::array<std::byte, kRecord> shared;  // filled before it is read
  std::size_t total = 0;
  std::size_t at = 0;  // of from.front()
  while (!from.empty() && total < kTurn) {
    const auto* here = static_cast<const std::byte*>(from.front().iov_base) + at;
    std::size_t size = std::min(from.front().iov_len - at, kTurn - total) / kRecord * kRecord;
    if (size > 0) {
      at += size;
    } else {
      const std::size_t most = std::min(kRecord, kTurn - total);
      while (!from.empty() && size < most) {
        const std::size_t part = std::min(from.front().iov_len - at, most - size);
        std::copy_n(static_cast<const std::byte*>(from.front().iov_base) + at, part, shared.data() + size);
        size += part;
        at += part;
        if (at == from.front().iov_len) {
          from = from.subspan(1);
          at = 0;
        }
      }
      here = shared.data();
    }
    if (!write(here, size)) {
      return 0;
    }
    total += size;
  }
  return total;
}

bool TlsEnd::write(const std::byte* bytes, std::size_t size) {
  if (size == 0) {
    return true;
  }
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(tls_.get(), bytes, size, &written) != 1) {
    fail();
    return false;
  }
  under_this_key_ += (written + kRecord - 1) / kRecord;
  if (under_this_key_ >= context_->rekey_records) {
    under_this_key_ = 0;
    // Goes out before the next record.
    if (SSL_key_update(tls_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
      fail();
      return false;
    }
  }
  return true;
}

void TlsEnd::say_goodbye() {
  ERR_clear_error();
  SSL_shutdown(tls_.get());
  ERR_clear_error();
}

}  // namespace seaway::net
