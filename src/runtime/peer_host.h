// One incarnation of a peer, bound to sockets, memory and time: performs what core::Peer and its engine want. Lives on its
// loop's thread; nothing here is thread-safe and nothing blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/peer.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/message_stream.h"
#include "net/tls.h"
#include "runtime/communicator.h"
#include "runtime/device_jobs.h"
#include "runtime/jobs.h"
#include "runtime/link_connection.h"
#include "runtime/link_dial.h"
#include "runtime/memory.h"
#include "runtime/paces.h"
#include "runtime/relays.h"

namespace seaway::runtime {

// What an incarnation tells its communicator. On the loop's thread.
class PeerOwner {
 public:
  virtual ~PeerOwner() = default;
  virtual void on_joined() = 0;
  virtual void on_join_anew() = 0;  // this incarnation is over, and another one is to join in its place
  virtual void on_epoch_changed() = 0;
  virtual void on_updated() = 0;
  // The incarnation is over: refused, evicted, left, or the master never answered.
  virtual void on_over(Status status, const std::string& text) = 0;
  virtual void on_op_ended(std::uint64_t op, Status status, const collective::Result& result,
                           std::uint64_t scratch_bytes) = 0;
  virtual void on_log(const std::string& text) = 0;
  // A peer comes over a relay: to be taken as a connection that was accepted.
  virtual void on_met(std::unique_ptr<net::Stream> stream) = 0;
};

class PeerHost : public LinkOwner, public DeviceJobOwner {
 public:
  // Its first connection to the master (`master`: its addresses) is already there: its local address is what others may reach
  // this peer at. `tls`: null in plaintext.
  PeerHost(net::Loop& loop, PeerOwner& owner, core::PeerConfig config, std::vector<std::string> master,
           std::shared_ptr<net::TlsContext> tls, std::uint64_t seed, std::unique_ptr<net::Stream> master_stream);
  ~PeerHost() override;

  void join();
  void update();
  void leave();
  void fence(const std::string& reason);
  void synced(PeerId self, std::uint64_t revision);  // a state sync of this incarnation committed
  // `op` names it to the owner. One that is refused ends at once.
  void post(std::uint64_t op, std::uint64_t transaction, OpRequest request);
  void close_transaction(std::uint64_t op);
  void cancel(std::uint64_t op, const std::string& reason);

  void use(std::shared_ptr<net::TlsContext> tls) { tls_ = std::move(tls); }  // from now on: a certificate was renewed

  // Another peer has connected and said its hello.
  void accept(std::unique_ptr<net::Stream> stream, const wire::LinkHello& hello);

  const core::Peer& core() const { return peer_; }
  std::optional<collective::Progress> progress(std::uint64_t op) const;

 private:
  struct PostedOp {
    std::uint64_t name = 0;
    std::uint64_t tag = 0;
  };

  // LinkOwner
  collective::Engine& engine() override { return peer_.engine(); }
  Memory& memory() override { return memory_; }
  void run_jobs() override;
  void settle() override;
  void connection_ended(ConnId conn, bool closed, const std::string& why) override;

  // DeviceJobOwner
  void on_device_job_done(JobId job, std::uint64_t hash) override;
  void on_device_failed(const std::string& problem) override;

  void perform(const core::PeerEffect& effect);
  void perform(const collective::EngineEffect& effect);
  void connect_master();
  void master_connected(std::unique_ptr<net::Stream> stream);
  void read_master(std::span<const std::byte> body);
  void check_silence();
  void dial(const core::Dial& effect);
  void dial_failed(ConnId conn, const core::Dial& dial, const std::string& problem);
  void add_connection(ConnId conn, const wire::LinkHello& hello, bool dialled, std::unique_ptr<net::Stream> stream);
  void close_connections_to(PeerId peer);
  void write_stirred();
  Time now() const { return net::monotonic_now(); }

  net::Loop* loop_;
  PeerOwner* owner_;
  core::PeerConfig config_;
  std::vector<std::string> master_addresses_;
  std::shared_ptr<net::TlsContext> tls_;  // null: plaintext
  core::Peer peer_;
  Memory memory_;
  JobRunner jobs_;
  DeviceJobs device_jobs_;
  Paces paces_;

  std::unique_ptr<net::Stream> first_master_stream_;
  std::unique_ptr<net::Dial> master_dial_;
  std::unique_ptr<net::MessageStream> master_;
  bool master_answered_ = false;
  Time joining_since_ = 0;
  bool over_ = false;

  std::map<ConnId, std::unique_ptr<LinkDial>> dialling_;
  Relays relays_;
  std::map<ConnId, std::shared_ptr<LinkConnection>> links_;
  std::vector<ConnId> stirred_;
  ConnId next_conn_ = 1;
  std::map<OpHandle, PostedOp> posted_;
  std::map<std::uint64_t, OpHandle> handles_;  // by the owner's name

  bool settling_ = false;
  bool settle_again_ = false;
  net::Timer timer_;
  Time timer_at_ = kNever;
};

}  // namespace seaway::runtime
