#include "net/lobby.h"

#include <algorithm>
#include <cstring>

#include "net/largest_share.h"

namespace seaway::net {

Lobby::Lobby(Loop& loop, LobbyLimits limits, Introduced introduced)
    : loop_(&loop), limits_(limits), introduced_(std::move(introduced)), timer_(loop, [this] { sweep(); }) {}

Lobby::~Lobby() = default;

void Lobby::enter(std::unique_ptr<Stream> stream) {
  if (strangers_.size() >= limits_.most) {
    refuse(oldest_of_largest_share(strangers_, [](const Stranger& stranger) { return stranger.share; }),
           "made room for a newer connection before it said who it is");
  }
  strangers_.emplace_back();
  const Place place = std::prev(strangers_.end());
  place->stream = std::move(stream);
  place->share = share_of(place->stream->remote());
  place->until = monotonic_now() + limits_.patience;
  place->stream->on_readable([this, place] { read(place); });
  place->stream->watch_read();
  timer_.at(strangers_.front().until);
}

void Lobby::read(Place stranger) {
  constexpr std::uint32_t kPrefix = sizeof(std::uint32_t);
  constexpr std::uint32_t kStep = 512;
  for (;;) {
    iovec into;
    if (stranger->got < kPrefix) {
      into = {stranger->prefix + stranger->got, kPrefix - stranger->got};
    } else {
      const std::uint32_t have = stranger->got - kPrefix;
      stranger->body.resize(std::min(stranger->length, have + kStep));
      into = {stranger->body.data() + have, stranger->body.size() - have};
    }
    const IoResult result = stranger->stream->receive({&into, 1});
    if (result.io == Io::blocked) {
      stranger->stream->watch_read();
      return;
    }
    if (result.io != Io::moved) {
      refuse(stranger, "closed before it said who it is");
      return;
    }
    stranger->got += static_cast<std::uint32_t>(result.bytes);
    if (stranger->got == kPrefix) {
      std::memcpy(&stranger->length, stranger->prefix, kPrefix);
      if (stranger->length == 0 || stranger->length > limits_.longest) {
        refuse(stranger, "no first message of this protocol");
        return;
      }
    } else if (stranger->got == kPrefix + stranger->length) {
      // Later: the callee sets callbacks of its own, and the one that it replaces is running.
      auto stream = std::make_shared<std::unique_ptr<Stream>>(std::move(stranger->stream));
      loop_->post([this, stream, body = std::move(stranger->body)] { introduced_(std::move(*stream), body); });
      strangers_.erase(stranger);
      return;
    }
  }
}

void Lobby::refuse(Place stranger, const char* reason) {
  count(reason);
  strangers_.erase(stranger);
}

void Lobby::sweep() {
  const Time now = monotonic_now();
  while (!strangers_.empty() && strangers_.front().until <= now) {
    refuse(strangers_.begin(), "did not say who it is in time");
  }
  if (!strangers_.empty()) {
    timer_.at(strangers_.front().until);
  }
}

}  // namespace seaway::net
