#include "runtime/door_client.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/limits.h"

namespace seaway::runtime {

KeyHash door_proof(const Uuid& secret, const std::vector<std::byte>& binding, const wire::Request& request) {
  const std::uint64_t key[2] = {secret.high, secret.low};
  std::vector<std::byte> data = binding;
  const std::vector<std::byte> bytes = wire::encode_request(request);
  data.insert(data.end(), bytes.begin(), bytes.end());
  return net::hmac_sha256(std::as_bytes(std::span(key)), data);
}

DoorClient::DoorClient(net::Loop& loop, Ask ask, Done done)
    : loop_(&loop),
      ask_(std::move(ask)),
      done_(std::move(done)),
      patience_(loop, [this] { end(std::nullopt, "the master does not answer"); }),
      dial_(loop, ask_.addresses, Ladder{}.evict,
            [this](std::unique_ptr<net::Stream> stream, const std::string& problem) {
              connected(std::move(stream), problem);
            }) {}

void DoorClient::connected(std::unique_ptr<net::Stream> stream, const std::string& problem) {
  if (!stream) {
    end(std::nullopt, problem);
    return;
  }
  patience_.at(net::monotonic_now() + kStrangerPatience);
  stream_ = std::make_unique<net::MessageStream>(
      *loop_, net::tls_client(*loop_, std::move(stream), ask_.tls, net::Expect::master, ""), kMaxControlBytes,
      [this](std::span<const std::byte> body) { hear(body); },
      [this](bool, const char* why) {
        const std::string words = stream_->stream().problem();
        end(std::nullopt, "the connection to the master ended: " + (words.empty() ? std::string(why) : words));
      });
  stream_->send(wire::encode(wire::Opening{.purpose = wire::Purpose::enrol}));
}

void DoorClient::hear(std::span<const std::byte> body) {
  const auto answer = wire::decode_answer(body);
  if (!answer) {
    end(std::nullopt, "what answers is no master of this version");
    return;
  }
  const auto* greeting = std::get_if<wire::Greeting>(&*answer);
  if (greeting == nullptr) {
    end(answer, "");
    return;
  }
  if (greeting->version_low > wire::kWireVersion || greeting->version_high < wire::kWireVersion) {
    end(wire::Refused{"the master speaks wire versions " + std::to_string(greeting->version_low) + " to " +
                      std::to_string(greeting->version_high) + ", this program " + std::to_string(wire::kWireVersion) +
                      " to " + std::to_string(wire::kWireVersion) + ": use versions of seaway that overlap"},
        "");
    return;
  }
  wire::ProvenRequest request{{.token = ask_.token, .hmac = {}}, ask_.request};
  if (ask_.token != 0) {
    request.proof.hmac = door_proof(ask_.secret, stream_->stream().channel_binding(kDoorBinding), ask_.request);
  }
  stream_->send(wire::encode(request));
}

void DoorClient::end(const std::optional<wire::Answer>& answer, const std::string& problem) {
  patience_.at(kNever);
  stream_.reset();
  if (const Done done = std::exchange(done_, nullptr)) {
    done(answer, problem);  // may destroy this
  }
}

}  // namespace seaway::runtime
