// Who is at the other end of a stream, in the core's words.
#pragma once

#include <optional>

#include "base/ids.h"
#include "net/stream.h"

namespace seaway::runtime {

// Nothing without a certificate (plaintext, or somebody who has none yet), or with one that names no peer.
inline std::optional<Certified> certified(const net::Stream& stream) {
  const net::PeerIdentity* identity = stream.identity();
  if (identity == nullptr || identity->is_master || identity->by_pki) {
    return std::nullopt;
  }
  return Certified{identity->peer.uuid, identity->peer.id, identity->key, identity->expired};
}

}  // namespace seaway::runtime
