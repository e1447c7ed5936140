// One connection of a link that this peer dials, until both hellos are through.
//
//   straight       connect -> TLS with the peer -> hello -> its hello
//   over a relay   connect -> TLS with the relay -> hello that names it -> its hello, once the peer is there too -> and over that,
//                  as if one had dialled the other: TLS with the peer -> hello -> its hello. It is the end with the larger id
//                  that goes on; to the other one the stream is like any that was accepted.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/peer.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"
#include "wire/frame.h"

namespace seaway::runtime {

class LinkDial {
 public:
  // One of the last three is called, once; this may be destroyed in it. What is handed over gets its own callbacks then.
  struct Calls {
    std::function<std::string(const wire::LinkHello&, const net::Stream&)> refusal;  // of the other end's hello
    std::function<void(std::unique_ptr<net::Stream>)> linked;
    std::function<void(std::unique_ptr<net::Stream>)> met;
    std::function<void(const std::string&)> failed;
  };
  // `hello`: what is said to the peer. `tls`: null in plaintext.
  LinkDial(net::Loop& loop, const core::Dial& dial, const wire::LinkHello& hello, std::shared_ptr<net::TlsContext> tls,
           const Ladder& ladder, Calls calls);
  ~LinkDial();
  LinkDial(const LinkDial&) = delete;
  LinkDial& operator=(const LinkDial&) = delete;

  PeerId peer() const { return hello_.to; }

 private:
  bool meets() const { return hello_.relay != kNoPeer && !has_met_; }
  void greet(std::unique_ptr<net::Stream> stream);
  void read();
  void fail(const std::string& problem);
  void greeted();

  net::Loop* loop_;
  wire::LinkHello hello_;
  std::shared_ptr<net::TlsContext> tls_;
  Ladder ladder_;
  Calls calls_;
  bool has_met_ = false;
  std::unique_ptr<net::Stream> stream_;
  std::vector<std::byte> reply_;
  net::Timer timer_;
  std::unique_ptr<net::Dial> dial_;
  std::shared_ptr<bool> alive_;
};

}  // namespace seaway::runtime
