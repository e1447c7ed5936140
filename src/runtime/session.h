// The loop's half of a communicator: where it listens, how it reaches the master, the incarnation that it is. All of it runs
// on the loop's thread; it tells the callers' half by the Front.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/dial.h"
#include "net/listener.h"
#include "net/lobby.h"
#include "net/loop.h"
#include "runtime/enrolment.h"
#include "runtime/front.h"
#include "runtime/peer_host.h"

namespace seaway::runtime {

class Session : public PeerOwner, private Enrolment::Owner {
 public:
  // `listening` is where others reach this peer, through all of its lives.
  Session(net::Loop& loop, Front& front, CommunicatorConfig config, net::UniqueFd listening);
  ~Session() override;

  void join();
  void update();
  void leave();
  void fence(const std::string& reason);
  void synced(PeerId self, std::uint64_t revision);
  void post(std::uint64_t op, std::uint64_t transaction, OpRequest request);
  void close_transaction(std::uint64_t op);
  void cancel(std::uint64_t op, const std::string& reason);

  // What a call that is pending waits for, in words; where an op is.
  std::string waits_for() const;
  Error where(std::uint64_t op) const;

 private:
  // PeerOwner
  void on_joined() override;
  void on_join_anew() override;
  void on_epoch_changed() override;
  void on_updated() override;
  void on_over(Status status, const std::string& text) override;
  void on_op_ended(std::uint64_t op, Status status, const collective::Result& result, std::uint64_t scratch) override;
  void on_log(const std::string& text) override;
  void on_met(std::unique_ptr<net::Stream> stream) override { welcome(std::move(stream)); }

  // Enrolment::Owner
  void on_enrolled() override;
  void on_not_enrolled(bool refused, const std::string& why) override;
  void on_enrolment_log(const std::string& text) override { on_log(text); }

  void welcome(std::unique_ptr<net::Stream> stream);
  void begin();
  void try_again(const std::string& problem);
  void reach();
  void stop_reaching();
  void reached(std::unique_ptr<net::Stream> stream, const std::string& problem);
  std::vector<std::string> addresses(const net::Stream& master) const;
  std::shared_ptr<const View> make_view() const;

  net::Loop* loop_;
  Front* front_;
  CommunicatorConfig config_;
  net::SocketAddress listening_;
  Random random_;

  std::vector<std::string> master_;       // its addresses
  std::unique_ptr<Enrolment> enrolment_;  // null: plaintext
  PeerId next_id_ = kNoPeer;              // the incarnation that joins next; kNoPeer: not drawn
  bool is_enrolled_ = false;              // for that one

  net::Lobby lobby_;
  net::Listener listener_;
  std::unique_ptr<net::Dial> dial_;
  net::Timer retry_;
  Time joining_since_ = 0;
  bool has_answered_ = false;  // the master, since join was called
  std::string unreachable_;    // why the master cannot be reached, so far
  std::unique_ptr<PeerHost> host_;
};

// Random bits from the kernel.
std::uint64_t random_bits();

}  // namespace seaway::runtime
