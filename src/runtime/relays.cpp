#include "runtime/relays.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "runtime/hello.h"
#include "wire/messages.h"

namespace seaway::runtime {

Relays::Relays(net::Loop& loop, PeerId self, std::function<void(const std::string&)> log)
    : loop_(&loop), self_(self), log_(std::move(log)), desk_(kMaxAtRelay) {}

void Relays::take(std::unique_ptr<net::Stream> stream, const wire::LinkHello& hello) {
  const ConnId conn = next_++;
  const core::RelayDesk::Answer answer = desk_.ask(conn, hello);
  if (answer.dropped) {
    drop(*answer.dropped);
  }
  Waiting one{std::move(stream), hello};
  if (answer.met) {
    Waiting other = std::move(waiting_.at(*answer.met));
    waiting_.erase(*answer.met);
    join(std::move(one), std::move(other));
    return;
  }
  // Who waits has nothing to say. If it ends, or says something, that is the end of it.
  one.stream->on_readable([this, conn] { heard(conn); });
  one.stream->watch_read();
  waiting_[conn] = std::move(one);
}

void Relays::heard(ConnId conn) {
  net::Stream& stream = *waiting_.at(conn).stream;
  std::byte byte{};
  iovec room{&byte, 1};
  if (stream.receive({&room, 1}).io == net::Io::blocked) {
    stream.watch_read();
  } else {
    drop(conn);
  }
}

void Relays::drop(ConnId conn) {
  desk_.gone(conn);
  waiting_.erase(conn);
}

bool Relays::answer(Waiting& to) const {
  const wire::LinkHello& hello = to.hello;
  return say_hello(*to.stream, {wire::kWireVersion, hello.run, self_, hello.from, hello.control, self_});
}

void Relays::join(Waiting one, Waiting other) {
  if (!answer(one) || !answer(other)) {
    return;  // both are closed, and ask again
  }
  const auto [first, second] = std::minmax(one.hello.from, one.hello.to);
  const Pair pair{first, second, one.hello.control};
  log_("a relay for peers " + std::to_string(first) + " and " + std::to_string(second) +
       ", which cannot reach one another");
  joined_[pair] = std::make_unique<net::Splice>(*loop_, std::move(one.stream), std::move(other.stream),
                                                [this, pair] { joined_.erase(pair); });
}

void Relays::forget(PeerId peer) {
  std::erase_if(
      joined_, [&](const auto& entry) { return std::get<0>(entry.first) == peer || std::get<1>(entry.first) == peer; });
  std::vector<ConnId> gone;
  for (const auto& [conn, waiting] : waiting_) {
    if (waiting.hello.from == peer || waiting.hello.to == peer) {
      gone.push_back(conn);
    }
  }
  for (const ConnId conn : gone) {
    drop(conn);
  }
}

}  // namespace seaway::runtime
