#include "runtime/session.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "runtime/hello.h"
#include "runtime/operation.h"

namespace seaway::runtime {

namespace {

constexpr Duration kRetry = kSecond / 5;

core::PeerConfig peer_config(const CommunicatorConfig& config, PeerId id, std::vector<std::string> addresses) {
  core::PeerConfig peer;
  peer.uuid = config.uuid;
  peer.id = id;
  peer.name = config.name;
  peer.replica = *config.replica;
  peer.lane = config.lane;
  peer.lanes = config.lanes;
  peer.min_world = config.min_world;
  peer.rate_mbps = config.rate_mbps;
  peer.addresses = std::move(addresses);
  peer.site = config.site;
  peer.data_connections = std::max(config.connections, 1u);
  peer.more_connections = config.connections == 0;
  peer.limits.kept_bytes = config.kept_bytes;
  return peer;
}

}  // namespace

std::uint64_t random_bits() {
  std::uint64_t bits = 0;
  while (getrandom(&bits, sizeof bits, 0) != sizeof bits) {
  }
  return bits;
}

Session::Session(net::Loop& loop, Front& front, CommunicatorConfig config, net::UniqueFd listening)
    : loop_(&loop),
      front_(&front),
      config_(std::move(config)),
      listening_(net::local_address(listening.get())),
      random_(random_bits()),
      lobby_(loop, {},
             [this](std::unique_ptr<net::Stream> stream, std::span<const std::byte> body) {
               const auto hello = decode_hello(body);
               if (hello && host_) {
                 host_->accept(std::move(stream), *hello);
               } else {
                 lobby_.count(hello ? "this peer is in no run" : "no hello of a seaway peer");
               }
             }),
      listener_(loop, std::move(listening), [this](std::unique_ptr<net::Stream> s) { welcome(std::move(s)); }),
      retry_(loop, [this] { begin(); }) {
  master_ = {config_.master};
  if (!config_.plaintext) {
    enrolment_ = std::make_unique<Enrolment>(loop, config_, static_cast<Enrolment::Owner&>(*this));
    master_ = enrolment_->addresses();
  }
}

Session::~Session() = default;

// --- Calls ----------------------------------------------------------------------------------------------------------

void Session::join() {
  joining_since_ = net::monotonic_now();
  has_answered_ = false;
  begin();
}

// Another peer has connected: while this one is nobody, that can only be too early or too late.
void Session::welcome(std::unique_ptr<net::Stream> stream) {
  if (!enrolment_) {
    lobby_.enter(std::move(stream));
  } else if (enrolment_->tls()) {
    lobby_.enter(net::tls_server(*loop_, std::move(stream), enrolment_->tls()));
  } else {
    lobby_.count("this peer is in no run");
  }
}

// The next incarnation: drawn, certified, connected to the master.
void Session::begin() {
  while (next_id_ == kNoPeer) {
    next_id_ = random_.next();
    is_enrolled_ = false;
  }
  if (enrolment_ && !is_enrolled_) {
    enrolment_->enrol(next_id_);
  } else {
    reach();
  }
}

void Session::on_enrolled() {
  has_answered_ = true;
  if (host_) {
    host_->use(enrolment_->tls());
  } else if (next_id_ != kNoPeer) {
    is_enrolled_ = true;
    reach();
  }
}

void Session::on_not_enrolled(bool refused, const std::string& why) {
  if (refused) {
    on_over(Status::join_refused, why);
  } else {
    try_again(why);
  }
}

void Session::try_again(const std::string& problem) {
  unreachable_ = problem;
  if (!has_answered_ && net::monotonic_now() - joining_since_ >= Ladder{}.reconnect) {
    on_over(Status::no_master, "no connection to the master for " + std::to_string(Ladder{}.reconnect / kSecond) +
                                   " s: " + problem +
                                   ". Check that it runs and that the address is right, then join again");
    return;
  }
  retry_.at(net::monotonic_now() + kRetry);
}

void Session::stop_reaching() {
  retry_.at(kNever);
  dial_.reset();
  if (enrolment_ && !host_) {
    enrolment_->stop();
    is_enrolled_ = false;  // nothing renews what it has: the next join asks again
  }
}

void Session::reach() {
  dial_ = std::make_unique<net::Dial>(
      *loop_, master_, Ladder{}.evict,
      [this](std::unique_ptr<net::Stream> stream, const std::string& problem) { reached(std::move(stream), problem); });
}

void Session::reached(std::unique_ptr<net::Stream> stream, const std::string& problem) {
  if (!stream) {
    try_again(problem);
    return;
  }
  core::PeerConfig peer = peer_config(config_, std::exchange(next_id_, kNoPeer), addresses(*stream));
  if (enrolment_) {
    peer.run = enrolment_->run();
    peer.certificates = true;
  }
  host_ = std::make_unique<PeerHost>(*loop_, *this, std::move(peer), master_, enrolment_ ? enrolment_->tls() : nullptr,
                                     random_.next(), std::move(stream));
  host_->join();
}

void Session::update() {
  if (host_) {
    host_->update();
  }
}

void Session::leave() {
  if (host_) {
    host_->leave();
    return;
  }
  stop_reaching();
  on_over(Status::ok, "");
}

void Session::fence(const std::string& reason) {
  stop_reaching();
  if (host_) {
    host_->fence(reason);
  }
}

void Session::post(std::uint64_t op, std::uint64_t transaction, OpRequest request) {
  if (host_) {
    host_->post(op, transaction, std::move(request));
    return;
  }
  collective::Result result;
  result.reason = "this peer is no member";
  on_op_ended(op, Status::not_member, result, 0);
}

void Session::close_transaction(std::uint64_t op) {
  if (host_) {
    host_->close_transaction(op);
  }
}

void Session::cancel(std::uint64_t op, const std::string& reason) {
  if (host_) {
    host_->cancel(op, reason);
  }
}

void Session::synced(PeerId self, std::uint64_t revision) {
  if (host_ && host_->core().stage() == core::PeerStage::member) {
    host_->synced(self, revision);
  }
}

std::string Session::waits_for() const {
  if (host_) {
    return host_->core().waits_for();
  }
  return "a connection to the master" + (unreachable_.empty() ? "" : ": " + unreachable_);
}

Error Session::where(std::uint64_t op) const {
  Error error;
  error.status = Status::pending;
  const auto progress = host_ ? host_->progress(op) : std::nullopt;
  if (!progress) {
    return error;
  }
  error.phase = progress->phase;
  error.op = progress->op;
  error.epoch = host_->core().epoch();
  error.text = progress->phase + ", " + std::to_string(progress->bytes_done) + " of " +
               std::to_string(progress->bytes_total) + " bytes";
  if (!progress->not_posted.empty()) {
    error.peer = progress->not_posted.front();
    error.text += "; not called yet by";
    for (const wire::MemberInfo& member : host_->core().roster()) {
      if (std::find(progress->not_posted.begin(), progress->not_posted.end(), member.id) !=
          progress->not_posted.end()) {
        error.text += " " + (member.name.empty() ? std::to_string(member.id) : member.name);
      }
    }
  }
  return error;
}

// --- What others may reach this peer at -----------------------------------------------------------------------------

std::vector<std::string> Session::addresses(const net::Stream& master) const {
  const std::uint16_t port = net::host_port(listening_).port;
  std::vector<std::string> list;
  for (const std::string& text : config_.advertise) {
    std::string problem;
    net::HostPort address = *net::parse_host_port(text, problem);  // validate() has looked
    if (address.port == 0) {
      address.port = port;
    }
    list.push_back(net::to_string(address));
  }
  if (list.empty()) {
    net::HostPort address = net::host_port(net::is_unspecified(listening_) ? master.local() : listening_);
    address.port = port;
    list.push_back(net::to_string(address));
  }
  return list;
}

// --- What the incarnation says --------------------------------------------------------------------------------------

std::shared_ptr<const View> Session::make_view() const {
  const core::Peer& core = host_->core();
  auto view = std::make_shared<View>();
  view->epoch = core.epoch();
  view->generation = core.generation();
  view->update_count = core.update_count();
  view->lanes = config_.lanes;
  // An epoch names newcomers before this peer has come to the update that admits them.
  std::copy_if(core.roster().begin(), core.roster().end(), std::back_inserter(view->members),
               [&](const wire::MemberInfo& member) { return member.generation <= view->generation; });
  view->base = core.base();
  view->world_size = static_cast<std::uint32_t>(view->members.size() / config_.lanes);
  for (std::size_t i = 0; i < view->members.size(); ++i) {
    const wire::MemberInfo& member = view->members[i];
    if (member.replica == *config_.replica && member.lane == config_.lane) {
      view->self = member.id;
      view->synced = core.is_synced() || front_->synced == member.id;
      view->rank = static_cast<std::uint32_t>(i / config_.lanes);
    }
  }
  return view;
}

void Session::on_joined() {
  const std::lock_guard lock(front_->mutex);
  front_->phase = Phase::member;
  front_->view = make_view();
  front_->at_admission = front_->view->update_count > 0;
  front_->changed.notify_all();
}

void Session::on_join_anew() {
  loop_->post([this] {
    host_.reset();
    const std::lock_guard lock(front_->mutex);
    if (front_->phase == Phase::joining && !front_->closed) {  // neither left nor destroyed meanwhile
      has_answered_ = true;
      retry_.at(net::monotonic_now() + kRetry);
    }
  });
}

void Session::on_epoch_changed() {
  const std::lock_guard lock(front_->mutex);
  if (front_->phase != Phase::member && front_->phase != Phase::leaving) {
    return;
  }
  front_->view = make_view();
  front_->add_event({Event::Kind::epoch_changed, 0, front_->view->epoch, ""});
}

void Session::on_updated() {
  const std::lock_guard lock(front_->mutex);
  front_->updating = false;
  front_->view = make_view();
  front_->changed.notify_all();
}

void Session::on_over(Status status, const std::string& text) {
  // Later: it is the incarnation that says this.
  loop_->post([this, status, text] {
    host_.reset();
    if (enrolment_ && next_id_ == kNoPeer) {
      enrolment_->stop();  // nobody is there whose certificate could be renewed
    }
    const std::lock_guard lock(front_->mutex);
    // Ops wait for their jobs on a device, which were just given up.
    finish_all(
        *front_, status == Status::evicted ? Status::evicted : Status::undecided,
        text + ". It was at work on a device: if it had committed, its buffers there may hold a part of the result");
  });
  const std::lock_guard lock(front_->mutex);
  const bool was_member = front_->phase == Phase::member || front_->phase == Phase::leaving;
  front_->phase = Phase::over;
  front_->over = status;
  front_->over_text = text;
  front_->updating = false;
  front_->view = nullptr;
  if (status != Status::ok) {
    front_->last_error = {status, text, "", {}, {}, kNoPeer};
  }
  if (status == Status::evicted && was_member) {
    front_->add_event({Event::Kind::evicted, 0, {}, text});
  }
  front_->changed.notify_all();
}

void Session::on_op_ended(std::uint64_t op, Status status, const collective::Result& result, std::uint64_t scratch) {
  const Epoch epoch = host_ ? host_->core().epoch() : Epoch{};
  const std::lock_guard lock(front_->mutex);
  if (status == Status::not_member && front_->over == Status::evicted && front_->phase == Phase::over) {
    // Started while this peer did not know yet: it ends as those do that were started before.
    collective::Result evicted = result;
    evicted.reason = front_->over_text;
    finish(*front_, op, Status::evicted, evicted, epoch, scratch);
    return;
  }
  finish(*front_, op, status, result, epoch, scratch);
}

void Session::on_log(const std::string& text) {
  const std::lock_guard lock(front_->mutex);
  front_->add_event({Event::Kind::log, 0, {}, text});
}

}  // namespace seaway::runtime
