// What topology/pacing.h decides, on sockets: asks the kernel of every connection a few times a second while an op runs, sets
// paces, and tells the peers what this member can take and the core how many connections help and what the line carries.
#pragma once

#include <map>
#include <memory>

#include "core/peer.h"
#include "runtime/link_connection.h"
#include "topology/pacing.h"

namespace seaway::runtime {

class Paces {
 public:
  using Links = std::map<ConnId, std::shared_ptr<LinkConnection>>;

  void sample(const Links& links, core::Peer& peer, Time now);
  // When sample is worth calling again.
  Time due() const { return sampled_at_ + kInterval; }

 private:
  static constexpr Duration kInterval = 100 * kMillisecond;
  struct Seen {
    net::PathFigures figures;
    std::uint64_t pace = 0;
  };

  std::vector<topology::LinkSample> take(const Links& links, const core::Peer& peer);

  topology::Pacing pacing_;
  std::map<ConnId, Seen> seen_;
  Time sampled_at_ = 0;
};

}  // namespace seaway::runtime
