#include "runtime/master_server.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "core/master.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/lobby.h"
#include "net/loop.h"
#include "net/message_stream.h"
#include "net/tls.h"
#include "runtime/certified.h"
#include "runtime/door.h"
#include "runtime/session.h"
#include "runtime/status_text.h"

namespace seaway::runtime {

namespace {

constexpr Duration kDrain = kSecond;

wire::Token draw_token(wire::TokenUse use, const char* label) {
  return {.id = random_bits() | 1,
          .secret = {random_bits(), random_bits()},
          .use = use,
          .expires = 0,
          .label = label,
          .used_by = {},
          .used_with = {}};
}

core::MasterConfig core_config(const MasterServerConfig& config, const Uuid& run, bool has_store) {
  core::MasterConfig core;
  core.run = run;
  core.certificates = !config.plaintext;
  if (core.certificates) {
    core.first_tokens = {draw_token(wire::TokenUse::admin, "first")};
    if (!config.pki) {
      core.first_tokens.push_back(draw_token(wire::TokenUse::join, "first"));
    }
  }
  core.ladder = Ladder::scaled(config.ladder_percent);
  core.ladder_percent = config.ladder_percent;
  core.has_store = has_store;
  return core;
}

// What runs on the server's thread: performs what core::Master wants.
class MasterHost : private Door::Owner {
 public:
  MasterHost(net::Loop& loop, const MasterServerConfig& config, const std::optional<wire::StoredRun>& stored,
             std::unique_ptr<store::Store> store, net::UniqueFd listening, std::function<void()> durable,
             std::function<void(const std::string& why)> stepped_down)
      : loop_(&loop),
        log_(config.log),
        durable_(std::move(durable)),
        stepped_down_(std::move(stepped_down)),
        address_(net::to_string(net::local_address(listening.get()))),
        run_(stored && stored->run != Uuid{} ? stored->run : Uuid{random_bits(), random_bits()}),
        master_(core_config(config, run_, store != nullptr), Random(random_bits())),
        ladder_(Ladder::scaled(config.ladder_percent)),
        started_(net::monotonic_now()),
        lobby_(loop, {},
               [this](std::unique_ptr<net::Stream> s, std::span<const std::byte> b) { enter(std::move(s), b); }),
        listener_(std::make_unique<net::Listener>(loop, std::move(listening),
                                                  [this](std::unique_ptr<net::Stream> s) { welcome(std::move(s)); })),
        timer_(loop, [this] { tick(); }),
        store_(std::move(store)) {
    if (!config.plaintext) {
      constexpr std::int64_t kYears = 10ll * 365 * 24 * 3600;  // its key lies beside that of the CA
      tls_ = net::tls_for_master(config.authority->issue_master(std::time(nullptr), kYears), config.pki);
      const std::vector<std::string> addresses =
          config.advertise.empty() ? std::vector{reachable_address()} : config.advertise;
      door_ = std::make_unique<Door>(loop, DoorConfig{config.authority, config.certificate_s, addresses},
                                     static_cast<Door::Owner&>(*this));
    }
    core::MasterEffects effects;
    master_.start(started_, stored, effects);
    perform(effects);
  }

  // Of the oldest token that may do this; "": there is none.
  std::string string_for(wire::TokenUse use) const {
    for (const wire::Token& token : master_.tokens()) {
      if (door_ && token.use == use && (token.expires == 0 || token.expires > std::time(nullptr))) {
        return door_->join_string(token);
      }
    }
    return "";
  }

  void drain() {
    listener_.reset();
    for (auto& [conn, stream] : connections_) {
      net::MessageStream::close_later(std::move(stream));
    }
    connections_.clear();
  }

 private:
  // Door::Owner
  const wire::Token* find_token(std::uint64_t id) const override { return master_.find_token(id); }
  void ask(const core::DoorRequest& request) override { step(request); }
  std::string status(bool json) const override {
    const Time now = net::monotonic_now();
    const ServerStatus server{address_, now - started_, lobby_.waiting(), lobby_.refusals()};
    const core::MasterStatus status = master_.status(now);
    return json ? status_json(status, server) : status_text(status, server);
  }
  Uuid run() const override { return run_; }
  void count_refusal(const std::string& reason) override { lobby_.count(reason); }

  // Who listens on every address is called by the name of its machine.
  std::string reachable_address() const {
    std::string problem;
    const auto address = net::parse_host_port(address_, problem);
    const auto number = address ? net::numeric_address(*address) : std::nullopt;
    char host[256] = "";
    if (!number || !net::is_unspecified(*number) || gethostname(host, sizeof host - 1) != 0) {
      return address_;
    }
    return net::to_string(net::HostPort{host, address->port});
  }

  void welcome(std::unique_ptr<net::Stream> stream) {
    lobby_.enter(tls_ ? net::tls_server(*loop_, std::move(stream), tls_) : std::move(stream));
  }

  void enter(std::unique_ptr<net::Stream> stream, std::span<const std::byte> body) {
    const auto opening = wire::decode_opening(body);
    if (!opening) {
      lobby_.count("no first message of this protocol");
      return;
    }
    if (opening->purpose == wire::Purpose::enrol) {
      if (door_) {
        door_->enter(std::move(stream));
      } else {
        lobby_.count("asked for a certificate: this run is in plaintext");
      }
      return;
    }
    if (opening->purpose != wire::Purpose::run) {
      tell_status(std::move(stream), opening->purpose);
      return;
    }
    const std::optional<Certified> who = certified(*stream);
    if (door_ && !who) {
      lobby_.count("no certificate");
      return;
    }
    // One that takes nothing is not waited for longer than one that says nothing.
    stream->set_user_timeout(ladder_.connection + ladder_.suspect);
    const ConnId conn = next_conn_++;
    connections_[conn] = std::make_unique<net::MessageStream>(
        *loop_, std::move(stream), kMaxControlBytes,
        [this, conn](std::span<const std::byte> message) { receive(conn, message); },
        [this, conn](bool closed, const char* why) {
          log("a connection ended: " + std::string(why));
          connections_.erase(conn);
          step(core::Disconnected{conn, closed});
        });
    connections_.at(conn)->limit(unknown_);
    connections_.at(conn)->limit_rate();
    step(core::Connected{conn, who});
  }

  void receive(ConnId conn, std::span<const std::byte> body) {
    const auto message = wire::decode_peer_message(body);
    if (!message) {
      log("closes the connection from " + net::to_string(connections_.at(conn)->stream().remote()) +
          ": what it says is no message of this version");
      lobby_.count("a message that cannot be read");
      connections_.erase(conn);
      step(core::Disconnected{conn, false});
      return;
    }
    step(core::Received{conn, *message});
    if (const auto it = connections_.find(conn); it != connections_.end() && !master_.is_stranger(conn)) {
      it->second->lift_limit();
    }
  }

  // In plaintext: who may ask is this machine. Else it takes an admin token, at the door.
  void tell_status(std::unique_ptr<net::Stream> stream, wire::Purpose purpose) {
    if (door_ || !net::is_loopback(stream->remote())) {
      lobby_.count(door_ ? "status asked without an admin token" : "status asked from another machine");
      return;
    }
    const std::string text = status(purpose == wire::Purpose::status_json);
    const auto length = static_cast<std::uint32_t>(text.size());
    std::vector<std::byte> bytes(sizeof length + text.size());
    std::memcpy(bytes.data(), &length, sizeof length);
    std::memcpy(bytes.data() + sizeof length, text.data(), text.size());
    auto answer = std::make_unique<net::MessageStream>(
        *loop_, std::move(stream), kMaxStrangerBytes, [](std::span<const std::byte>) {}, [](bool, const char*) {});
    answer->send(std::move(bytes));
    net::MessageStream::close_later(std::move(answer));
  }

  void step(const core::MasterInput& input) {
    core::MasterEffects effects;
    master_.step(net::monotonic_now(), input, effects);
    perform(effects);
  }

  void tick() {
    core::MasterEffects effects;
    master_.tick(net::monotonic_now(), effects);
    perform(effects);
  }

  void perform(const core::MasterEffects& effects) {
    for (const core::MasterEffect& effect : effects) {
      if (const auto* send = std::get_if<core::SendToPeer>(&effect)) {
        if (const auto it = connections_.find(send->conn); it != connections_.end()) {
          it->second->send(wire::encode(send->message));
        }
      } else if (const auto* close = std::get_if<core::CloseConnection>(&effect)) {
        if (const auto it = connections_.find(close->conn); it != connections_.end()) {
          net::MessageStream::close_later(std::move(it->second));
          connections_.erase(it);
        }
        if (!close->reason.empty()) {
          log("closes a connection: " + close->reason);
        }
      } else if (const auto* write = std::get_if<core::WriteStore>(&effect)) {
        const auto reply = [this, id = write->write](bool ok) {
          loop_->post([this, id, ok] {
            if (ok) {
              durable_();
            }
            step(core::StoreReply{id, ok ? core::StoreOutcome::ok : core::StoreOutcome::fenced});
          });
        };
        if (store_) {
          store_->write({write->expected_term, write->expected_version}, write->record, reply);
        } else {
          reply(true);  // memory: durable at once, for as long as this process lives
        }
      } else if (const auto* answer = std::get_if<core::DoorAnswer>(&effect)) {
        door_->answer(*answer);
      } else if (const auto* text = std::get_if<core::Log>(&effect)) {
        log(text->text);
      } else if (const auto* down = std::get_if<core::SteppedDown>(&effect)) {
        log("steps down: " + down->reason);
        stepped_down_(down->reason);
      }
    }
    const Time due = master_.deadline();
    if (due < timer_at_ || timer_at_ <= net::monotonic_now()) {
      timer_at_ = due;
      timer_.at(due);
    }
  }

  void log(const std::string& text) const {
    if (log_) {
      log_(text);
    }
  }

  net::Loop* loop_;
  std::function<void(const std::string&)> log_;
  std::function<void()> durable_;
  std::function<void(const std::string&)> stepped_down_;
  std::string address_;
  Uuid run_;
  core::Master master_;
  Ladder ladder_;
  Time started_;
  net::Allowance unknown_{.most = kMaxUnknownBytes, .used = 0};  // of connections that belong to no peer yet
  std::map<ConnId, std::unique_ptr<net::MessageStream>> connections_;
  ConnId next_conn_ = 1;
  net::Lobby lobby_;
  std::shared_ptr<net::TlsContext> tls_;  // null: plaintext
  std::unique_ptr<Door> door_;            // the same
  std::unique_ptr<net::Listener> listener_;
  net::Timer timer_;
  Time timer_at_ = kNever;
  std::unique_ptr<store::Store> store_;  // the first to go: its thread answers to this
};

class ThreadedMaster : public MasterServer {
 public:
  ThreadedMaster(const MasterServerConfig& config, const std::optional<wire::StoredRun>& stored,
                 std::unique_ptr<store::Store> store, net::UniqueFd listening)
      : address_(net::to_string(net::local_address(listening.get()))),
        generation_(net::fork_generation()),
        durable_(store == nullptr) {
    host_ = std::make_unique<MasterHost>(
        loop_, config, stored, std::move(store), std::move(listening), [this] { durable_ = true; },
        [this](const std::string& why) {
          end(End::stepped_down, why);
          loop_.stop();
        });
    join_string_ = host_->string_for(wire::TokenUse::join);
    admin_string_ = host_->string_for(wire::TokenUse::admin);
    thread_ = std::make_unique<std::thread>([this] { run(); });
  }

  ~ThreadedMaster() override {
    if (generation_ != net::fork_generation()) {  // the thread is the parent's
      [[maybe_unused]] const auto* thread = thread_.release();
      [[maybe_unused]] const auto* host = host_.release();
      return;
    }
    loop_.stop();
    thread_->join();
  }

  std::string address() const override { return address_; }
  std::string join_string() const override { return join_string_; }
  std::string admin_string() const override { return admin_string_; }
  bool is_durable() const override { return durable_; }

  void drain() override {
    loop_.post([this] {
      host_->drain();
      drained_ = std::make_unique<net::Timer>(loop_, [this] { loop_.stop(); });
      drained_->at(net::monotonic_now() + kDrain);
    });
    thread_->join();
    thread_ = std::make_unique<std::thread>([] {});
  }

  End ended(std::string& why) const override {
    const std::lock_guard lock(mutex_);
    why = why_;
    return end_;
  }

 private:
  void run() {
    try {
      loop_.run();
    } catch (const std::exception& error) {
      end(End::bug, error.what());
    }
    drained_.reset();
    host_.reset();
  }
  void end(End what, const std::string& why) {
    const std::lock_guard lock(mutex_);
    end_ = what;
    why_ = why;
  }

  std::string address_;
  std::string join_string_;
  std::string admin_string_;
  std::uint32_t generation_;
  net::Loop loop_;
  std::unique_ptr<MasterHost> host_;
  std::atomic<bool> durable_ = false;
  std::unique_ptr<net::Timer> drained_;
  std::unique_ptr<std::thread> thread_;
  mutable std::mutex mutex_;
  End end_ = End::none;
  std::string why_;
};

}  // namespace

std::unique_ptr<MasterServer> MasterServer::start(MasterServerConfig config, std::unique_ptr<store::Store> store,
                                                  Error& error) {
  error = {};
  if (!config.plaintext && !config.authority) {
    config.authority = net::Authority::make({random_bits(), random_bits()});
  }
  std::string problem;
  net::UniqueFd listening = net::listen_on(config.listen, problem);
  if (!listening) {
    error = {Status::no_address, problem, "", {}, {}, kNoPeer};
    return nullptr;
  }
  store::Table::Read read;
  if (store) {
    read = store->load();
  }
  if (!read.problem.empty()) {
    error = {Status::invalid, "the state " + read.problem, "", {}, {}, kNoPeer};
    return nullptr;
  }
  return std::make_unique<ThreadedMaster>(config, read.record, std::move(store), std::move(listening));
}

}  // namespace seaway::runtime
