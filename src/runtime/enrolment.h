// How a peer comes by its certificates: with the token of its join string or a certificate of an own PKI at first, with the
// certificate that it has later. One key for all of its lives; renewed at half of a certificate's life.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/credentials.h"
#include "net/loop.h"
#include "net/tls.h"
#include "runtime/communicator.h"
#include "runtime/door_client.h"

namespace seaway::runtime {

class Enrolment {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_enrolled() = 0;  // also when a certificate was renewed: tls() is another one
    virtual void on_not_enrolled(bool refused, const std::string& why) = 0;  // never of a renewal
    virtual void on_enrolment_log(const std::string& text) = 0;
  };

  // `config`: has a join string, or an own PKI.
  Enrolment(net::Loop& loop, const CommunicatorConfig& config, Owner& owner);

  // A certificate for this incarnation, answered with on_enrolled or on_not_enrolled. Then it is renewed until the next call.
  void enrol(PeerId id);

  void stop();  // nothing is asked any more, and nothing renewed, until the next enrol()

  const std::vector<std::string>& addresses() const { return first_.addresses; }  // the master's
  const std::shared_ptr<net::TlsContext>& tls() const { return tls_; }            // null: there is no certificate yet
  const Uuid& run() const { return run_; }

 private:
  void ask(bool for_the_first_time);
  // What proves, without a certificate of the run's, that this peer may have one.
  bool prove(DoorClient::Ask& wanted, std::string& problem) const;
  void hear(bool for_the_first_time, const std::optional<wire::Answer>& answer, const std::string& problem);
  void take(const wire::Enrolled& enrolled);
  void fail(bool refused, const std::string& why);

  net::Loop* loop_;
  DoorClient::Ask first_;  // with a join string all but the request; with an own PKI the addresses
  PkiFiles pki_;
  Uuid uuid_;
  Owner* owner_;
  net::PrivateKey key_;
  PeerId id_ = kNoPeer;
  bool renewing_ = false;
  Uuid run_;
  std::shared_ptr<net::TlsContext> tls_;
  net::Timer renewal_;
  net::Timer hopeless_;  // nothing could be asked: `problem_`, told later
  std::string problem_;
  std::unique_ptr<DoorClient> asking_;
};

}  // namespace seaway::runtime
