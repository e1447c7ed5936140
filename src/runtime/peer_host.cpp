#include "runtime/peer_host.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

#include "runtime/certified.h"
#include "runtime/hello.h"
#include "runtime/kill_point.h"
#include "runtime/operation.h"

namespace seaway::runtime {

namespace {

constexpr int kJobsPerTurn = 16;  // about a millisecond: then others, heartbeats among them, get their turn

Status status_of(collective::PostError error) {
  switch (error) {
    case collective::PostError::none:
      return Status::ok;
    case collective::PostError::invalid:
      return Status::invalid;
    case collective::PostError::not_member:
      return Status::not_member;
    case collective::PostError::too_many:
      return Status::too_many;
  }
  return Status::internal;
}

}  // namespace

PeerHost::PeerHost(net::Loop& loop, PeerOwner& owner, core::PeerConfig config, std::vector<std::string> master,
                   std::shared_ptr<net::TlsContext> tls, std::uint64_t seed, std::unique_ptr<net::Stream> master_stream)
    : loop_(&loop),
      owner_(&owner),
      config_(config),
      master_addresses_(std::move(master)),
      tls_(std::move(tls)),
      peer_(std::move(config), Random(seed)),
      memory_(config_.limits.chunk_bytes, config_.limits.kept_bytes),
      jobs_(memory_),
      device_jobs_(loop, memory_, jobs_, *this),
      first_master_stream_(std::move(master_stream)),
      relays_(loop, config_.id, [this](const std::string& text) { owner_->on_log(text); }),
      timer_(loop, [this] {
        timer_at_ = kNever;
        check_silence();
        if (!posted_.empty() && now() >= paces_.due()) {
          paces_.sample(links_, peer_, now());
        }
        peer_.tick(now());
        settle();
      }) {}

PeerHost::~PeerHost() {
  for (auto& [conn, link] : links_) {
    link->close();
  }
}

// --- Calls ----------------------------------------------------------------------------------------------------------

void PeerHost::join() {
  joining_since_ = now();
  peer_.join(now());
  settle();
}

void PeerHost::update() {
  peer_.update(now());
  settle();
}

void PeerHost::leave() {
  peer_.leave(now());
  settle();
}

void PeerHost::fence(const std::string& reason) {
  peer_.fence(reason, now());
  settle();
}

void PeerHost::synced(PeerId self, std::uint64_t revision) {
  if (self == config_.id) {
    peer_.synced(revision, now());
    settle();
  }
}

void PeerHost::post(std::uint64_t op, std::uint64_t transaction, OpRequest request) {
  constexpr OpHandle kEnded = ~OpHandle{0};  // the engine knows none of that name
  collective::Descriptor descriptor = request.descriptor;
  if (transaction != 0) {
    const auto it = handles_.find(transaction);
    descriptor.transaction = it == handles_.end() ? kEnded : it->second;
  }
  if (request.deadline_s > 0) {
    descriptor.deadline = now() + static_cast<Duration>(request.deadline_s * kSecond);
  }
  const bool is_broadcast = descriptor.kind == collective::OpKind::broadcast;
  descriptor.in_place = descriptor.kind == collective::OpKind::all_reduce && request.out.empty();
  if (descriptor.kind == collective::OpKind::transfer) {
    (descriptor.root == kNoPeer ? descriptor.root : descriptor.target) = config_.id;
  }
  descriptor.on_device = request.device != device::kHost;
  if (descriptor.on_device) {
    if (std::string problem = device_jobs_.open(request.device); !problem.empty()) {
      collective::Result result;
      result.reason = std::move(problem);
      owner_->on_op_ended(op, Status::no_device, result, 0);
      return;
    }
  }
  const collective::Posted posted = peer_.engine().post(descriptor, now());
  if (posted.error != collective::PostError::none) {
    collective::Result result;
    result.reason = posted.text;
    owner_->on_op_ended(op, status_of(posted.error), result, 0);
    return;
  }
  if (is_broadcast && descriptor.root != config_.id && !descriptor.has_data) {
    request.out = std::exchange(request.in, {});
  }
  posted_[posted.op] = {op, descriptor.tag};
  handles_[op] = posted.op;
  if (descriptor.on_device) {
    device_jobs_.add(posted.op, request.device, std::move(request.mark));
  }
  const std::uint64_t blocks = std::max<std::uint64_t>(descriptor.blocks, 1);
  const bool scatters = descriptor.kind == collective::OpKind::reduce_scatter;
  const bool gathers = descriptor.kind == collective::OpKind::all_gather;
  memory_.add(posted.op, {.in = {std::move(request.in), scatters ? blocks : 1},
                          .out = {std::move(request.out), gathers ? blocks : 1},
                          .residual = {std::move(request.residual), scatters ? blocks : 1},
                          .device = request.device,
                          .lands_on_device = lands_on_device(descriptor),
                          .coded_in = copied_bytes(descriptor),
                          .mirror = lands_on_device(descriptor) ? coded_bytes(descriptor, descriptor.up) : 0,
                          .coded_out = coded_bytes(descriptor, descriptor.down),
                          .partial = partial_bytes(descriptor)});
  settle();
}

void PeerHost::close_transaction(std::uint64_t op) {
  if (const auto it = handles_.find(op); it != handles_.end()) {
    peer_.engine().close_transaction(it->second, now());
    settle();
  }
}

void PeerHost::cancel(std::uint64_t op, const std::string& reason) {
  if (const auto it = handles_.find(op); it != handles_.end()) {
    peer_.engine().cancel(it->second, reason, now());
    settle();
  }
}

std::optional<collective::Progress> PeerHost::progress(std::uint64_t op) const {
  const auto it = handles_.find(op);
  return it == handles_.end() ? std::nullopt : peer_.engine().progress(it->second);
}

// --- Effects --------------------------------------------------------------------------------------------------------

void PeerHost::run_jobs() {
  collective::Job job;
  for (int jobs = 0; jobs < kJobsPerTurn && peer_.engine().next_job(job); ++jobs) {
    if (device_jobs_.take(job)) {
      continue;
    }
    const std::uint64_t hash = jobs_.run(job);
    peer_.engine().on_done(job.id, hash, now());
    if (const auto op = posted_.find(job.op); job.kind == collective::JobKind::reduce && op != posted_.end()) {
      SEAWAY_KILL_POINT_REDUCED(op->second.tag);
    }
  }
}

void PeerHost::on_device_job_done(JobId job, std::uint64_t hash) {
  peer_.engine().on_done(job, hash, now());
  settle();
}

void PeerHost::on_device_failed(const std::string& problem) { fence("a call of the device failed: " + problem); }

void PeerHost::settle() {
  settle_again_ = true;
  if (settling_) {
    return;
  }
  settling_ = true;
  while (settle_again_) {
    settle_again_ = false;
    run_jobs();
    std::vector<collective::EngineEffect> rest;
    peer_.drain_engine(rest, now());
    const std::vector<core::PeerEffect> effects = peer_.take_effects();
    for (const core::PeerEffect& effect : effects) {
      perform(effect);
    }
    for (const collective::EngineEffect& effect : rest) {
      perform(effect);
    }
    settle_again_ = settle_again_ || !effects.empty() || !rest.empty();
    if (!settle_again_) {
      write_stirred();
    }
  }
  settling_ = false;
  if (over_) {
    timer_.at(kNever);
    return;
  }
  // Nothing else may happen that would lead back here: an op in place ends with as many copies as it has chunks.
  Time due = peer_.engine().has_jobs() ? now() : peer_.deadline();
  if (!posted_.empty()) {
    due = std::min(due, paces_.due());
  }
  // Many deadlines are put off with every frame. The timer goes off when the first of them was due, and looks again.
  if (due < timer_at_) {
    timer_at_ = due;
    timer_.at(due);
  }
}

void PeerHost::write_stirred() {
  stirred_.clear();
  peer_.engine().take_stirred(stirred_);
  for (const ConnId conn : stirred_) {
    if (const auto it = links_.find(conn); it != links_.end()) {
      const std::shared_ptr<LinkConnection> link = it->second;  // it may end by this
      link->write();
    }
  }
}

void PeerHost::perform(const core::PeerEffect& effect) {
  if (std::holds_alternative<core::ConnectMaster>(effect)) {
    connect_master();
  } else if (const auto* send = std::get_if<core::SendToMaster>(&effect)) {
    if (master_) {
      master_->send(wire::encode(send->message));
    }
  } else if (std::holds_alternative<core::CloseMaster>(effect)) {
    master_dial_.reset();
    if (master_) {
      net::MessageStream::close_later(std::move(master_));
    }
  } else if (const auto* to_dial = std::get_if<core::Dial>(&effect)) {
    dial(*to_dial);
  } else if (const auto* unneeded = std::get_if<core::DropConnection>(&effect)) {
    connection_ended(unneeded->conn, true, unneeded->reason);
  } else if (const auto* close = std::get_if<core::CloseConnectionTo>(&effect)) {
    close_connections_to(close->peer);
  } else if (std::holds_alternative<core::Joined>(effect)) {
    owner_->on_joined();
  } else if (std::holds_alternative<core::EpochChanged>(effect)) {
    owner_->on_epoch_changed();
  } else if (std::holds_alternative<core::UpdateDone>(effect)) {
    owner_->on_updated();
  } else if (const auto* refused = std::get_if<core::JoinRefused>(&effect)) {
    over_ = true;
    owner_->on_over(Status::join_refused, refused->reason);
  } else if (std::holds_alternative<core::JoinAnew>(effect)) {
    over_ = true;
    owner_->on_join_anew();
  } else if (const auto* evicted = std::get_if<core::EvictedFromRun>(&effect)) {
    over_ = true;
    owner_->on_over(Status::evicted, evicted->reason);
  } else if (std::holds_alternative<core::LeftRun>(effect)) {
    over_ = true;
    owner_->on_over(Status::ok, "");
  } else if (const auto* log = std::get_if<core::LogLine>(&effect)) {
    owner_->on_log(log->text);
  }
}

void PeerHost::perform(const collective::EngineEffect& effect) {
  if (const auto* end = std::get_if<collective::OpEnded>(&effect)) {
    const auto it = posted_.find(end->op);
    const PostedOp op = it->second;
    posted_.erase(it);
    handles_.erase(op.name);
    const std::uint64_t scratch = memory_.taken(end->op);
    memory_.remove(end->op);
    device_jobs_.remove(end->op);
    owner_->on_op_ended(op.name, status_of(end->result.outcome), end->result, scratch);
  } else if (const auto* release = std::get_if<collective::Release>(&effect)) {
    for (const auto& [conn, link] : links_) {
      link->release(*release);
    }
    peer_.engine().on_released(release->op, now());
  } else if (const auto* free = std::get_if<collective::FreeSlot>(&effect)) {
    memory_.free_slot(free->slot);
  } else if (const auto* held = std::get_if<collective::HoldResult>(&effect)) {
    memory_.hold(held->op, held->scratch_bytes, held->coded_bytes);
    peer_.engine().on_released(held->op, now());
  } else if (const auto* unheld = std::get_if<collective::FreeHeld>(&effect)) {
    memory_.remove(unheld->op);
  } else if (const auto* close = std::get_if<collective::CloseLinkConnection>(&effect)) {
    connection_ended(close->conn, false, close->reason);
  }
}

// --- The master's line ----------------------------------------------------------------------------------------------

void PeerHost::connect_master() {
  if (first_master_stream_) {
    master_connected(std::exchange(first_master_stream_, nullptr));
    return;
  }
  master_dial_ = std::make_unique<net::Dial>(*loop_, master_addresses_, config_.ladder.suspect,
                                             [this](std::unique_ptr<net::Stream> stream, const std::string& problem) {
                                               if (stream) {
                                                 master_connected(std::move(stream));
                                               } else {
                                                 owner_->on_log("the master cannot be reached: " + problem);
                                                 peer_.on_master_lost(now());
                                               }
                                               settle();
                                             });
}

void PeerHost::master_connected(std::unique_ptr<net::Stream> stream) {
  if (tls_) {
    stream = net::tls_client(*loop_, std::move(stream), tls_, net::Expect::master, "master");
  }
  stream->set_user_timeout(config_.ladder.connection + config_.ladder.suspect);
  master_ = std::make_unique<net::MessageStream>(
      *loop_, std::move(stream), kMaxControlBytes, [this](std::span<const std::byte> body) { read_master(body); },
      [this](bool, const char* why) {
        const std::string problem = master_->stream().problem();
        master_.reset();
        owner_->on_log("the connection to the master is lost: " + (problem.empty() ? std::string(why) : problem));
        peer_.on_master_lost(now());
        settle();
      });
  master_->send(wire::encode(wire::Opening{}));
  peer_.on_master_connected(now());
}

void PeerHost::read_master(std::span<const std::byte> body) {
  const auto message = wire::decode_master_message(body);
  if (!message) {
    master_.reset();
    owner_->on_log("the master says what no master of this version says; its connection is closed");
    peer_.on_master_lost(now());
    settle();
    return;
  }
  master_answered_ = true;
  peer_.on_master_message(*message, now());
  settle();
}

// A newcomer whom nobody answers gives up: that is the one call that must not hang on a wrong address.
void PeerHost::check_silence() {
  if (!master_answered_ && !over_ && peer_.stage() == core::PeerStage::joining &&
      now() >= joining_since_ + config_.ladder.reconnect) {
    over_ = true;
    peer_.fence("the master does not answer", now());
    owner_->on_over(Status::no_master,
                    "the master at " + master_addresses_.front() +
                        " was connected to and did not answer: is it a seaway master of this version?");
  }
}

// --- Links ----------------------------------------------------------------------------------------------------------

void PeerHost::dial(const core::Dial& effect) {
  const ConnId conn = next_conn_++;
  const wire::LinkHello hello{wire::kWireVersion, config_.run, config_.id, effect.peer, effect.control, effect.relay};
  LinkDial::Calls calls;
  calls.refusal = [this](const wire::LinkHello& reply, const net::Stream& stream) {
    return peer_.accept(reply, certified(stream), now());
  };
  calls.linked = [this, conn, theirs = hello](std::unique_ptr<net::Stream> stream) mutable {
    theirs.from = theirs.to;
    dialling_.erase(conn);
    add_connection(conn, theirs, true, std::move(stream));
  };
  calls.met = [this, conn, effect](std::unique_ptr<net::Stream> stream) {
    dialling_.erase(conn);
    peer_.on_met(effect.peer, effect.control, now());
    owner_->on_met(std::move(stream));
    settle();
  };
  calls.failed = [this, conn, effect](const std::string& problem) { dial_failed(conn, effect, problem); };
  dialling_[conn] = std::make_unique<LinkDial>(*loop_, effect, hello, tls_, config_.ladder, std::move(calls));
}

void PeerHost::dial_failed(ConnId conn, const core::Dial& dial, const std::string& problem) {
  const std::string over = dial.relay == kNoPeer ? "" : " over peer " + std::to_string(dial.relay);
  owner_->on_log("a connection to peer " + std::to_string(dial.peer) + over + " failed: " + problem);
  peer_.on_dial_failed(dial.peer, dial.control, now(), dial.relay != kNoPeer);
  dialling_.erase(conn);
  settle();
}

void PeerHost::accept(std::unique_ptr<net::Stream> stream, const wire::LinkHello& hello) {
  const bool for_others = hello.relay == config_.id;
  const std::string refusal =
      for_others ? peer_.may_relay(hello, certified(*stream)) : peer_.accept(hello, certified(*stream), now());
  if (!refusal.empty()) {
    owner_->on_log("a connection from " + net::to_string(stream->remote()) + " is refused: " + refusal);
    return;
  }
  if (for_others) {
    stream->set_user_timeout(config_.ladder.connection);
    relays_.take(std::move(stream), hello);
    return;
  }
  if (say_hello(*stream, {wire::kWireVersion, config_.run, config_.id, hello.from, hello.control, hello.relay})) {
    add_connection(next_conn_++, hello, false, std::move(stream));
  }
}

// `hello`: what the other end says, or would.
void PeerHost::add_connection(ConnId conn, const wire::LinkHello& hello, bool dialled,
                              std::unique_ptr<net::Stream> stream) {
  stream->set_user_timeout(config_.ladder.connection);
  const auto link =
      std::make_shared<LinkConnection>(*this, conn, hello.from, hello.control, dialled, std::move(stream));
  links_[conn] = link;
  const bool relayed = hello.relay != kNoPeer;
  if (relayed) {
    owner_->on_log("peer " + std::to_string(hello.from) + " is reached over peer " + std::to_string(hello.relay));
  }
  peer_.on_linked(hello.from, conn, hello.control, dialled, now(), relayed);
  link->start();
  settle();
}

void PeerHost::connection_ended(ConnId conn, bool closed, const std::string& why) {
  const auto it = links_.find(conn);
  if (it == links_.end()) {
    return;
  }
  const std::shared_ptr<LinkConnection> link = it->second;
  links_.erase(it);
  link->close();
  owner_->on_log("a connection to peer " + std::to_string(link->peer()) + " ended: " + why);
  peer_.on_link_lost(link->peer(), conn, link->control(), closed, now());
  settle();
}

void PeerHost::close_connections_to(PeerId peer) {
  std::erase_if(dialling_, [&](const auto& entry) { return entry.second->peer() == peer; });
  relays_.forget(peer);
  std::vector<ConnId> conns;
  for (const auto& [conn, link] : links_) {
    if (link->peer() == peer) {
      conns.push_back(conn);
    }
  }
  for (const ConnId conn : conns) {
    links_.at(conn)->close();
    links_.erase(conn);
    peer_.engine().on_lost(conn, now());
  }
}

}  // namespace seaway::runtime
