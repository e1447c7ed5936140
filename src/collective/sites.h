// Who speaks for a site in a hierarchical plan. The members of the base fall into sites; a site is as it was in the base, lost
// members included, so that a loss changes who its gateway is and nothing else.
//
//   collector   of a member's contribution to a chunk: the root, if that is at the member's site; else the site's gateway. A
//               site that has had one member only sums nothing: its contribution goes straight to the root, and stays good
//               when somebody is lost.
//   gateway     the site's members in turn, chunk by chunk; for a lost one a survivor. At the root's site the root.
//   forwarder   of a chunk's result to a member: the root to its own site and to gateways, a gateway to the others of its site.
//
// The bits are those of: each site's contributors summed in roster order, then the sites by their numbers. A site with
// one contributor has that contribution for its sum. So they depend on who contributed, and not on who is whose root.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/ids.h"

namespace seaway::collective {

struct Site {
  std::vector<PeerId> members;  // of the base
  std::vector<PeerId> turns;    // who takes the turn of each of them; empty: nobody is left
};

struct Sites {
  std::vector<Site> list;  // by their numbers (PlanMember::site)
  std::map<PeerId, std::size_t> site_of;

  bool empty() const { return list.empty(); }
  // list.size() for somebody who is not in the base.
  std::size_t of(PeerId member) const {
    const auto it = site_of.find(member);
    return it == site_of.end() ? list.size() : it->second;
  }
  bool together(PeerId one, PeerId other) const { return of(one) == of(other); }
  // Whether the contributions of this member's site are summed before they leave it.
  bool sums(PeerId member) const { return of(member) < list.size() && list[of(member)].members.size() > 1; }

  PeerId gateway(std::size_t site, std::uint32_t chunk, PeerId root) const {
    if (of(root) == site) {
      return root;
    }
    const bool is_left = site < list.size() && !list[site].turns.empty();
    return is_left ? list[site].turns[chunk % list[site].turns.size()] : kNoPeer;
  }
  PeerId collector(PeerId sender, std::uint32_t chunk, PeerId root) const {
    return sums(sender) ? gateway(of(sender), chunk, root) : root;
  }
  PeerId forwarder(PeerId receiver, std::uint32_t chunk, PeerId root) const {
    const PeerId gate = gateway(of(receiver), chunk, root);
    return gate == receiver ? root : gate;
  }
  std::vector<std::uint32_t> chunks_of(PeerId peer, const std::vector<PeerId>& roots) const;
};

}  // namespace seaway::collective
