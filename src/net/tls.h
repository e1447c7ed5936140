// Streams that are encrypted, and whose ends know one another by certificate. TLS 1.3 alone.
//
//   * The handshake happens inside receive() and send(), and goes on whatever the owner watches. What send() is given
//     before it is over, at most 16 KiB, is kept, and leaves once the other end is verified.
//   * The other end's certificate is signed by the run's authority itself, and names a peer or the master, whichever is
//     expected here. One that is out of date is no error: PeerIdentity::expired. But a client refuses a master's.
//   * A client that has been connected to the same end before resumes: no certificate and no signature is sent or checked,
//     and both ends know one another as before.
//   * A FIN ends a stream as it does TCP: frames and messages say their own length. What an open stream has taken still leaves
//     after the stream is destroyed, for 5 s at most.
//   * A server takes at most kMaxStrangerBytes from the other end before the handshake is over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/credentials.h"
#include "net/loop.h"
#include "net/stream.h"

namespace seaway::net {

// What all streams of a process share: certificates, sessions to resume, buffers. Loop's thread only.
class TlsContext;
class Pki;  // net/pki.h

// Dials a master without a certificate. The chain that the master shows ends in an authority whose key has this hash.
std::shared_ptr<TlsContext> tls_for_enrolment(const KeyHash& pin);
// Dials the master on `host` with a certificate of the operator's PKI, which vouches for the master, too.
std::shared_ptr<TlsContext> tls_for_enrolment(std::shared_ptr<const Pki> pki, std::string host);
// Dials the master and peers, accepts peers. Both ends show certificates of own's authority.
std::shared_ptr<TlsContext> tls_for_peer(std::shared_ptr<const Credentials> own);
// Accepts peers; one that dials may show a certificate of own's authority or none; with `pki` one of that, too.
std::shared_ptr<TlsContext> tls_for_master(std::shared_ptr<const Credentials> own,
                                           std::shared_ptr<const Pki> pki = nullptr);

// Handshakes that have succeeded, at either end.
struct TlsCounts {
  std::uint64_t full = 0;
  std::uint64_t resumed = 0;
};
TlsCounts counts_of(const TlsContext& context);

enum class Expect : std::uint8_t { master = 1, peer = 2 };

// `below` is connected. `session`: the name under which the next connection resumes this one, e.g. the peer's; "": none.
std::unique_ptr<Stream> tls_client(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context,
                                   Expect expect, std::string session);
std::unique_ptr<Stream> tls_server(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context);

}  // namespace seaway::net
