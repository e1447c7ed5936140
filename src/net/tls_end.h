// One end of a TLS connection between two buffers: OpenSSL, and nothing of sockets. Encrypted bytes that have come are put
// into in(); those that are to leave are found in out(). OpenSSL stops when in() is empty, and has taken all of it then, a
// part of a record included.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/tls_context.h"

namespace seaway::net {

class TlsEnd {
 public:
  static constexpr std::size_t kRecord = 16ull * 1024;  // plaintext of the longest record
  static constexpr std::size_t kRecordOverhead = 22;    // header, kind, authentication
  static constexpr std::size_t kTurn = 256ull * 1024;   // plaintext that one encrypt() takes

  TlsEnd(std::shared_ptr<TlsContext> context, bool is_client, Expect expect, std::string session);
  ~TlsEnd();
  TlsEnd(const TlsEnd&) = delete;
  TlsEnd& operator=(const TlsEnd&) = delete;

  enum class Step : std::uint8_t {
    done = 1,
    needs_bytes = 2,  // in() is empty
    ended = 3,        // the other end has said goodbye
    failed = 4,       // for ever; problem() says why
  };
  Step handshake();
  // Up to a record.
  Step decrypt(std::byte* to, std::size_t room, std::size_t& got);
  // Whether the other end has said why it broke the connection: failed, and problem(). Takes no plaintext.
  Step look_for_alert();
  // How much of it was taken: up to kTurn, for which out() has room when it was empty. 0: failed.
  std::size_t encrypt(std::span<const iovec> from);
  // The last that goes to out().
  void say_goodbye();

  TlsBuffer& in() { return in_; }
  TlsBuffer& out() { return out_; }
  void lend_in() { context_->lend(in_); }
  const std::shared_ptr<TlsContext>& context() const { return context_; }
  void tidy();  // gives empty buffers back
  // Whether there is more of what has come / of what is to leave.
  bool holds_input() const;
  bool holds_output() const { return !out_.empty(); }

  const std::string& problem() const { return problem_; }
  const PeerIdentity* identity() const { return is_over_ && handshake_.identity ? &*handshake_.identity : nullptr; }
  std::vector<std::byte> channel_binding(const char* label) const;  // empty before the handshake is over

 private:
  static int read_in(bio_st* bio, char* to, int most);
  static int write_out(bio_st* bio, const char* from, int count);
  static long control(bio_st* bio, int command, long number, void* pointer);
  static const bio_method_st* method();

  Step end_handshake();
  Step fail();
  bool write(const std::byte* bytes, std::size_t size);

  std::shared_ptr<TlsContext> context_;
  TlsHandshake handshake_;
  TlsPtr tls_;
  TlsBuffer in_;
  TlsBuffer out_;
  bool is_over_ = false;              // the handshake; stays so when the connection fails later
  std::string problem_;               // "": it has not failed
  std::uint64_t under_this_key_ = 0;  // records sent
};

}  // namespace seaway::net
