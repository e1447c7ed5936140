#include "runtime/link_dial.h"

#include <span>
#include <utility>

#include "runtime/hello.h"

namespace seaway::runtime {

LinkDial::LinkDial(net::Loop& loop, const core::Dial& dial, const wire::LinkHello& hello,
                   std::shared_ptr<net::TlsContext> tls, const Ladder& ladder, Calls calls)
    : loop_(&loop),
      hello_(hello),
      tls_(std::move(tls)),
      ladder_(ladder),
      calls_(std::move(calls)),
      timer_(loop, [this] { fail(meets() ? "the other end did not come to the relay" : "no hello in time"); }),
      alive_(std::make_shared<bool>(true)) {
  dial_ = std::make_unique<net::Dial>(loop, dial.addresses, ladder.suspect,
                                      [this](std::unique_ptr<net::Stream> stream, const std::string& problem) {
                                        if (stream) {
                                          greet(std::move(stream));
                                        } else {
                                          fail(problem);
                                        }
                                      });
}

LinkDial::~LinkDial() { *alive_ = false; }

// A call outlives this, which may be destroyed in it.
void LinkDial::fail(const std::string& problem) {
  const auto failed = std::move(calls_.failed);
  failed(std::string(problem));
}

void LinkDial::greet(std::unique_ptr<net::Stream> stream) {
  stream_ = std::move(stream);
  if (tls_) {  // one name for all connections of a link: the further ones are cheap
    const PeerId other = meets() ? hello_.relay : hello_.to;
    stream_ = net::tls_client(*loop_, std::move(stream_), tls_, net::Expect::peer, "peer " + std::to_string(other));
  }
  stream_->on_readable([this] { read(); });
  timer_.at(net::monotonic_now() + (meets() ? ladder_.stall : ladder_.suspect));
  reply_.clear();
  if (!say_hello(*stream_, hello_)) {
    fail("the hello cannot be sent");
    return;
  }
  stream_->watch_read();
}

void LinkDial::read() {
  const std::size_t wanted = encoded_hello_bytes();
  const std::size_t have = reply_.size();
  reply_.resize(wanted);
  iovec piece{reply_.data() + have, wanted - have};
  const net::IoResult result = stream_->receive({&piece, 1});
  reply_.resize(have + result.bytes);
  if (result.io != net::Io::moved && result.io != net::Io::blocked) {
    const std::string problem = stream_->problem();
    fail(problem.empty() ? "it closed the connection at the hello" : problem);
    return;
  }
  if (reply_.size() < wanted) {
    stream_->watch_read();
    return;
  }
  const auto hello = decode_hello(std::span(reply_).subspan(sizeof(std::uint32_t)));
  const std::string refusal = !hello                                                ? "what answers is no seaway peer"
                              : hello->from != (meets() ? hello_.relay : hello_.to) ? "another peer answers there"
                                                                                    : calls_.refusal(*hello, *stream_);
  if (!refusal.empty()) {
    fail(refusal);
    return;
  }
  // Later: this runs in a callback of the stream that gets other callbacks now.
  loop_->post([this, alive = alive_] {
    if (*alive) {
      greeted();
    }
  });
}

void LinkDial::greeted() {
  timer_.at(kNever);
  if (!meets()) {
    const auto linked = std::move(calls_.linked);
    linked(std::move(stream_));
    return;
  }
  has_met_ = true;
  if (hello_.from > hello_.to) {
    greet(std::move(stream_));
  } else {
    const auto met = std::move(calls_.met);
    met(std::move(stream_));
  }
}

}  // namespace seaway::runtime
