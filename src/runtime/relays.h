// What this peer does as a relay: two others dial it because they cannot reach one another (core/peer_relays.cpp), and it moves
// their bytes. Loop's thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "core/relay_desk.h"
#include "net/loop.h"
#include "net/splice.h"
#include "net/stream.h"
#include "wire/frame.h"

namespace seaway::runtime {

class Relays {
 public:
  Relays(net::Loop& loop, PeerId self, std::function<void(const std::string&)> log);

  // Its hello names this peer as the relay, and it may.
  void take(std::unique_ptr<net::Stream> stream, const wire::LinkHello& hello);
  void forget(PeerId peer);  // one end of whatever is closed

 private:
  struct Waiting {
    std::unique_ptr<net::Stream> stream;
    wire::LinkHello hello;
  };
  using Pair = std::tuple<PeerId, PeerId, bool>;  // the smaller id first; control

  void join(Waiting one, Waiting other);
  bool answer(Waiting& to) const;
  void heard(ConnId waiting);
  void drop(ConnId waiting);

  net::Loop* loop_;
  PeerId self_;
  std::function<void(const std::string&)> log_;
  core::RelayDesk desk_;
  ConnId next_ = 1;
  std::map<ConnId, Waiting> waiting_;
  std::map<Pair, std::unique_ptr<net::Splice>> joined_;
};

}  // namespace seaway::runtime
