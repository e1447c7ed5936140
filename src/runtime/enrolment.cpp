#include "runtime/enrolment.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "net/address.h"
#include "net/pki.h"
#include "runtime/join_string.h"

namespace seaway::runtime {

namespace {

constexpr Duration kShortest = kSecond;           // to a renewal
constexpr Duration kAgain = 7500 * kMillisecond;  // after one that failed
constexpr std::int64_t kBackdated = 3600;         // a certificate begins that long before it was made

std::span<const std::byte> bytes_of(const std::vector<std::uint8_t>& from) { return std::as_bytes(std::span(from)); }

}  // namespace

Enrolment::Enrolment(net::Loop& loop, const CommunicatorConfig& config, Owner& owner)
    : loop_(&loop),
      pki_(config.pki),
      uuid_(config.uuid),
      owner_(&owner),
      key_(net::PrivateKey::make()),
      renewal_(loop,
               [this] {
                 renewing_ = true;
                 ask(false);
               }),
      hopeless_(loop, [this] { fail(true, problem_); }) {
  std::string problem;
  if (const auto join = parse_join_string(config.join, problem)) {  // validate() has looked
    first_.addresses = join->addresses;
    first_.tls = net::tls_for_enrolment(join->pin);
    first_.token = join->token;
    first_.secret = join->secret;
  } else {
    first_.addresses = {config.master};
  }
}

void Enrolment::enrol(PeerId id) {
  id_ = id;
  renewing_ = false;
  renewal_.at(kNever);
  // Who had a certificate for an earlier life of this peer needs no token: it may have been good once.
  ask(tls_ == nullptr);
}

void Enrolment::stop() {
  renewal_.at(kNever);
  hopeless_.at(kNever);
  asking_.reset();
}

// The files are read each time: what issues them renews them, too.
bool Enrolment::prove(DoorClient::Ask& wanted, std::string& problem) const {
  wanted = first_;
  if (!wanted.tls) {
    const auto pki = net::Pki::load(pki_.authorities, pki_.certificate, pki_.key, problem);
    const auto address = net::parse_host_port(first_.addresses.front(), problem);
    if (!pki || !address) {
      return false;
    }
    wanted.tls = net::tls_for_enrolment(pki, address->host);
  }
  return true;
}

void Enrolment::ask(bool for_the_first_time) {
  const std::vector<std::byte> key = key_.public_key();
  const auto* data = reinterpret_cast<const std::uint8_t*>(key.data());
  DoorClient::Ask wanted;
  if (!for_the_first_time) {
    wanted.addresses = first_.addresses;
    wanted.tls = tls_;
  } else if (!prove(wanted, problem_)) {
    hopeless_.at(net::monotonic_now());
    return;
  }
  wanted.request = wire::Enrol{uuid_, id_, {data, data + key.size()}};
  asking_ = std::make_unique<DoorClient>(
      *loop_, std::move(wanted),
      [this, for_the_first_time](const std::optional<wire::Answer>& answer, const std::string& problem) {
        hear(for_the_first_time, answer, problem);
      });
}

void Enrolment::hear(bool for_the_first_time, const std::optional<wire::Answer>& answer, const std::string& problem) {
  if (answer) {
    if (const auto* enrolled = std::get_if<wire::Enrolled>(&*answer)) {
      take(*enrolled);
      return;
    }
    if (!for_the_first_time && !renewing_) {
      ask(true);  // expired, or the master has forgotten: what let this peer in may still be good
      return;
    }
    const auto* refused = std::get_if<wire::Refused>(&*answer);
    fail(true, refused != nullptr ? refused->reason : "the master answers something else");
    return;
  }
  fail(false, problem);
}

void Enrolment::take(const wire::Enrolled& enrolled) {
  std::string problem;
  auto credentials = net::make_credentials(key_, bytes_of(enrolled.certificate), bytes_of(enrolled.authority), problem);
  if (!credentials) {
    fail(true, "the master's certificate is of no use: " + problem);
    return;
  }
  run_ = enrolled.run;
  tls_ = net::tls_for_peer(std::move(credentials));
  const net::Validity validity = net::validity_of(bytes_of(enrolled.certificate));
  const std::int64_t life = validity.not_after - validity.not_before - kBackdated;
  renewal_.at(net::monotonic_now() + std::max(life * kSecond / 2, kShortest));
  if (std::exchange(renewing_, false)) {
    owner_->on_enrolment_log("the certificate was renewed");
  }
  owner_->on_enrolled();
}

void Enrolment::fail(bool refused, const std::string& why) {
  if (!renewing_) {
    owner_->on_not_enrolled(refused, why);
    return;
  }
  // Nothing is lost by this: connections stay, and the key stays in the roster.
  owner_->on_enrolment_log("the certificate could not be renewed, it is tried again: " + why);
  renewal_.at(net::monotonic_now() + kAgain);
}

}  // namespace seaway::runtime
