// One request at a master's door: a certificate, or what an operator wants (wire/enrolment.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/dial.h"
#include "net/loop.h"
#include "net/message_stream.h"
#include "net/tls.h"
#include "wire/enrolment.h"

namespace seaway::runtime {

// What a proof is bound to, at both ends: RFC 5705 by way of RFC 8446, 7.5.
inline constexpr const char* kDoorBinding = "EXPORTER-seaway-door";

// HMAC-SHA256(secret, channel binding || request).
KeyHash door_proof(const Uuid& secret, const std::vector<std::byte>& binding, const wire::Request& request);

class DoorClient {
 public:
  struct Ask {
    std::vector<std::string> addresses;
    std::shared_ptr<net::TlsContext> tls;
    std::uint64_t token = 0;  // 0: the certificate of `tls` is the proof
    Uuid secret;
    wire::Request request;
  };
  // Called once, later: an answer (never a Greeting), or none and why.
  using Done = std::function<void(const std::optional<wire::Answer>& answer, const std::string& problem)>;

  DoorClient(net::Loop& loop, Ask ask, Done done);

 private:
  void connected(std::unique_ptr<net::Stream> stream, const std::string& problem);
  void hear(std::span<const std::byte> body);
  void end(const std::optional<wire::Answer>& answer, const std::string& problem);

  net::Loop* loop_;
  Ask ask_;
  Done done_;
  std::unique_ptr<net::MessageStream> stream_;
  net::Timer patience_;
  net::Dial dial_;
};

}  // namespace seaway::runtime
