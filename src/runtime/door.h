// The master's end of the door (wire/enrolment.h): connections that ask for one thing. Checks their proofs, hands what they want to
// core::Master, signs what it says is to be signed. A connection is here for 5 s at most, and 256 at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/master.h"
#include "net/credentials.h"
#include "net/loop.h"
#include "net/message_stream.h"

namespace seaway::runtime {

struct DoorConfig {
  std::shared_ptr<const net::Authority> authority;
  std::int64_t certificate_s = 24ll * 3600;  // how long a peer's certificate is good
  std::vector<std::string> addresses;        // of the master, as join strings name them
};

class Door {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual const wire::Token* find_token(std::uint64_t id) const = 0;
    virtual void ask(const core::DoorRequest& request) = 0;  // answered with Door::answer
    virtual std::string status(bool json) const = 0;
    virtual Uuid run() const = 0;
    virtual void count_refusal(const std::string& reason) = 0;
  };

  Door(net::Loop& loop, DoorConfig config, Owner& owner);

  // Somebody has come in and said that it wants to ask.
  void enter(std::unique_ptr<net::Stream> stream);
  void answer(const core::DoorAnswer& answer);

  std::string join_string(const wire::Token& token) const;

 private:
  struct Visitor {
    std::unique_ptr<net::MessageStream> stream;
    Time until = 0;
    std::string share;  // of addresses, that it comes from
    bool has_asked = false;
  };

  void hear(std::uint64_t visitor, std::span<const std::byte> body);
  void say(std::uint64_t visitor, const wire::Answer& answer);
  void certify(const core::Certify& order);
  void sweep();

  net::Loop* loop_;
  DoorConfig config_;
  Owner* owner_;
  std::map<std::uint64_t, Visitor> visitors_;  // by age
  std::uint64_t next_ = 1;
  net::Timer timer_;
};

}  // namespace seaway::runtime
