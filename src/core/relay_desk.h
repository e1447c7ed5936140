// Where two peers meet that cannot reach one another: whoever asks for another one waits until that one asks for it.
// Who may ask at all is core::Peer's to say (may_relay).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <tuple>

#include "base/ids.h"
#include "wire/frame.h"

namespace seaway::core {

class RelayDesk {
 public:
  explicit RelayDesk(std::size_t most) : most_(most) {}

  struct Answer {
    std::optional<ConnId> met;      // this connection waited for it: join the two
    std::optional<ConnId> dropped;  // this one goes: an older one that asked the same, or the oldest of too many
  };
  Answer ask(ConnId conn, const wire::LinkHello& hello);
  void gone(ConnId conn);  // it waits no more
  std::size_t waiting() const { return waiting_.size(); }

 private:
  using Wish = std::tuple<PeerId, PeerId, bool>;  // from, to, control
  std::size_t most_;
  std::map<Wish, ConnId> waiting_;
};

}  // namespace seaway::core
