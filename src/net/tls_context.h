// What the streams of a process share. Seen by tls_*.cpp, and by tests that shrink `rekey_records`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/openssl.h"
#include "net/tls.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct bio_st;
struct bio_method_st;

namespace seaway::net {

struct FreeTlsConfiguration {
  void operator()(ssl_ctx_st* configuration) const;
};
struct FreeTlsSession {
  void operator()(ssl_session_st* session) const;
};
struct FreeTls {
  void operator()(ssl_st* tls) const;
};
using TlsConfigurationPtr = std::unique_ptr<ssl_ctx_st, FreeTlsConfiguration>;
using TlsSessionPtr = std::unique_ptr<ssl_session_st, FreeTlsSession>;
using TlsPtr = std::unique_ptr<ssl_st, FreeTls>;

// One handshake, as the callbacks of OpenSSL see it: who may be at the other end, and what was found there.
struct TlsHandshake {
  class TlsContext* context = nullptr;
  bool is_client = false;
  Expect expect = Expect::peer;
  std::string session;  // under which to keep what may be resumed; "": nothing

  std::optional<PeerIdentity> identity;
  std::string problem;  // why the other end's certificate will not do
};

// Bytes between a stream's encryption and the stream below. A stream holds one only while something is in it.
class TlsBuffer {
 public:
  // 16 full records, what encryption adds to them, and messages of the handshake.
  static constexpr std::size_t kBytes = 264ull * 1024;

  explicit operator bool() const { return memory_ != nullptr; }
  bool empty() const { return from_ == to_; }
  std::size_t size() const { return to_ - from_; }
  std::byte* data() { return memory_.get() + from_; }
  std::byte* room() { return memory_.get() + to_; }
  std::size_t room_bytes() const { return memory_ ? kBytes - to_ : 0; }
  void added(std::size_t bytes) { to_ += bytes; }
  void taken(std::size_t bytes);

 private:
  friend class TlsContext;
  std::unique_ptr<std::byte[]> memory_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
};

class TlsContext {
 public:
  // Without `own`: a client without a certificate. `pin`: of the authority, where `own` does not have it.
  TlsContext(std::shared_ptr<const Credentials> own, const KeyHash& pin, bool dials, bool accepts, bool must_show);
  TlsContext(std::shared_ptr<const Pki> pki, std::string host);  // a client that enrols
  // Of a server, before its first connection: takes those of `pki` as well.
  void accept_also(std::shared_ptr<const Pki> pki);

  // A new end of a connection, or null where the context was not made for it. `handshake` stays where it is.
  TlsPtr connect(TlsHandshake& handshake);
  TlsPtr accept(TlsHandshake& handshake);

  // Whether `certificate` is one that `handshake` expects, at this time: fills in its identity, or its problem.
  static bool is_expected(TlsHandshake& handshake, const x509_st& certificate);
  // Whether one of the certificates that came with it, or own's authority, has signed it.
  bool is_of_this_run(const x509_st& certificate, std::span<x509_st* const> with_it) const;

  // A session for later connections, and a handshake that failed: the next one is a full one.
  void keep(const TlsHandshake& handshake, TlsSessionPtr session);
  void forget(const TlsHandshake& handshake) { sessions_.erase(handshake.session); }

  void lend(TlsBuffer& buffer);
  void take_back(TlsBuffer& buffer);

  TlsCounts counts;
  std::uint64_t rekey_records = 1u << 22;  // a key of AES-GCM is good for 2^24.5 of them (RFC 8446, 5.5)

 private:
  struct Kept {
    TlsSessionPtr session;
    std::uint64_t age = 0;  // lower: kept earlier
  };

  std::shared_ptr<const Credentials> own_;
  KeyHash pin_{};
  std::shared_ptr<const Pki> pki_;
  std::string host_;
  TlsConfigurationPtr client_;
  TlsConfigurationPtr server_;
  std::map<std::string, Kept> sessions_;
  std::uint64_t kept_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> spare_;
};

}  // namespace seaway::net
