#include "runtime/door.h"

#include <ctime>
#include <utility>

#include "net/address.h"
#include "net/largest_share.h"
#include "runtime/certified.h"
#include "runtime/door_client.h"
#include "runtime/join_string.h"
#include "runtime/session.h"

namespace seaway::runtime {

Door::Door(net::Loop& loop, DoorConfig config, Owner& owner)
    : loop_(&loop), config_(std::move(config)), owner_(&owner), timer_(loop, [this] { sweep(); }) {}

void Door::enter(std::unique_ptr<net::Stream> stream) {
  if (visitors_.size() >= kMaxStrangers) {
    owner_->count_refusal("made room for a newer one at the door");
    visitors_.erase(net::oldest_of_largest_share(visitors_, [](const auto& entry) { return entry.second.share; }));
  }
  const std::uint64_t id = next_++;
  Visitor& visitor = visitors_[id];
  visitor.until = net::monotonic_now() + kStrangerPatience;
  visitor.share = net::share_of(stream->remote());
  visitor.stream = std::make_unique<net::MessageStream>(
      *loop_, std::move(stream), kMaxStrangerBytes, [this, id](std::span<const std::byte> body) { hear(id, body); },
      [this, id](bool, const char*) { visitors_.erase(id); });
  visitor.stream->send(wire::encode(wire::Answer{wire::Greeting{}}));
  timer_.at(visitors_.begin()->second.until);
}

void Door::sweep() {
  const Time now = net::monotonic_now();
  while (!visitors_.empty() && visitors_.begin()->second.until <= now) {
    owner_->count_refusal("asked for nothing at the door, or could not be answered in time");
    visitors_.erase(visitors_.begin());
  }
  timer_.at(visitors_.empty() ? kNever : visitors_.begin()->second.until);
}

void Door::hear(std::uint64_t id, std::span<const std::byte> body) {
  Visitor& visitor = visitors_.at(id);
  auto asked = wire::decode_request(body);
  if (!asked || visitor.has_asked) {
    owner_->count_refusal("what was asked at the door cannot be read");
    visitors_.erase(id);
    return;
  }
  visitor.has_asked = true;
  const net::Stream& stream = visitor.stream->stream();
  core::DoorRequest request;
  request.request = id;
  request.token = asked->proof.token;
  request.certified = certified(stream);
  request.by_pki = stream.identity() != nullptr && stream.identity()->by_pki;
  if (const auto* enrol = std::get_if<wire::Enrol>(&asked->request)) {
    request.key = net::hash_of_key(std::as_bytes(std::span(enrol->public_key)));
  }
  request.unix_now = std::time(nullptr);
  request.fresh_id = random_bits();
  request.fresh_secret = {random_bits(), random_bits()};
  if (const wire::Token* token = owner_->find_token(request.token); token != nullptr) {
    const KeyHash proof = door_proof(token->secret, stream.channel_binding(kDoorBinding), asked->request);
    if (!net::equal_in_constant_time(proof, asked->proof.hmac)) {
      owner_->count_refusal("the proof of a token is wrong");
      say(id, wire::Refused{"the token's secret is wrong"});
      return;
    }
  }
  request.wants = std::move(asked->request);
  owner_->ask(request);
}

void Door::say(std::uint64_t id, const wire::Answer& answer) {
  const auto it = visitors_.find(id);
  if (it == visitors_.end()) {
    return;  // it did not wait
  }
  it->second.stream->send(wire::encode(answer));
  net::MessageStream::close_later(std::move(it->second.stream));
  visitors_.erase(it);
}

void Door::certify(const core::Certify& order) {
  std::string problem;
  const auto certificate =
      config_.authority->issue({order.enrol.uuid, order.enrol.id}, std::as_bytes(std::span(order.enrol.public_key)),
                               std::time(nullptr), config_.certificate_s, problem);
  if (certificate.empty()) {
    owner_->count_refusal("a key that cannot be certified");
    say(order.request, wire::Refused{"the key cannot be certified: " + problem});
    return;
  }
  const auto bytes = [](const std::vector<std::byte>& from) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(from.data());
    return std::vector<std::uint8_t>(data, data + from.size());
  };
  say(order.request, wire::Enrolled{owner_->run(), bytes(certificate), bytes(config_.authority->certificate())});
}

std::string Door::join_string(const wire::Token& token) const {
  return to_string(JoinString{config_.addresses, token.id, token.secret, config_.authority->pin()});
}

void Door::answer(const core::DoorAnswer& answer) {
  if (const auto* order = std::get_if<core::Certify>(&answer)) {
    certify(*order);
  } else if (const auto* words = std::get_if<core::AnswerDoor>(&answer)) {
    if (const auto* refused = std::get_if<wire::Refused>(&words->answer)) {
      owner_->count_refusal(refused->reason);
    }
    say(words->request, words->answer);
  } else if (const auto* made = std::get_if<core::AnswerToken>(&answer)) {
    say(made->request, wire::Done{join_string(made->token) + "\n"});
  } else if (const auto* asked = std::get_if<core::AnswerStatus>(&answer)) {
    say(asked->request, wire::Done{owner_->status(asked->json)});
  }
}

}  // namespace seaway::runtime
