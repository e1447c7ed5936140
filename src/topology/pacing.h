// How fast this member sends on each of its links, and over how many connections: from what real traffic shows. Nothing is
// probed, and nobody else's consent is needed: a pace changes when it likes.
//
// In an all-reduce everybody sends to everybody at once. Unpaced, the senders overrun the queue in front of a receiver, which
// drops what then has to be sent again; paced at the receiver's rate divided among them, they fill it and lose nothing.
//
//   a link's pace = .95 * min(its share of my uplink, what the other end says it can take from me) * its factor
//
//   my uplink         the most that all links together delivered in some samples running
//   what I can take   the same of what came in; the share that each sender may have of it travels back in its ACKs
//   a share           by how much the plan sends on each link, among those that carry anything now
//   the factor        4 at first, which is no pace; then, at each sample of a link that had something to send
//
//     resent above 2 %               at most 1, then times .85, not below .5: the path has less than its ends
//     the pace was used              it rises, by .1 % first and more each time, up to 5 %; by .1 % while a queue stands
//     up to                          1 / .95, which is all of the share; 1.15 for five samples after the share has grown, and then
//                                    again after pauses that double: there may be more
//
// What the links together carried is told to the master, too: the plan deals chunks by it (core/master_rates.cpp).
//
// So a link that never loses anything is never paced, and neither are small ops: nothing is learned from what was not full.
//
// A connection can have no more under way than the kernel's buffers hold. When that is what its link waits for, it gets more of
// them: twice as many, while that pays.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>

#include "base/ids.h"
#include "base/time.h"

namespace seaway::topology {

// What happened on one link since the last sample: sums over its connections.
struct LinkSample {
  PeerId peer = kNoPeer;
  double traffic = 1;           // what the plan sends on it, each way, in any unit that is the same for all links
  double offered = 0;           // bytes a second that the other end says it can take from me; 0: it does not know
  std::uint64_t delivered = 0;  // bytes that the other end acknowledged
  std::uint64_t received = 0;
  std::uint64_t sent = 0;  // what was sent again included
  std::uint64_t resent = 0;
  std::uint64_t out_of_order = 0;  // packets that came so: others had been lost, or were late
  Duration busy = 0;               // something was under way, or waited to be
  Duration held = 0;               // of busy: for want of room in the send buffer or in the receiver's window
  Duration rtt = 0;
  Duration least_rtt = 0;
  std::uint32_t connections = 1;  // that carry data
};

class Pacing {
 public:
  // `since`: how long the samples' sums are over. Links that are not among them are forgotten.
  void sample(std::span<const LinkSample> links, Duration since);

  // Bytes a second. 0: as fast as it goes.
  double pace(PeerId peer) const;
  // What this member can take from the peer, to be told to it. 0: not known.
  double offer(PeerId peer) const;
  // How many connections are to carry the link's data; at least as many as a sample ever had too few of. 1: it will do.
  std::uint32_t connections(PeerId peer) const;
  // What all links together carried each way, in bytes a second: the least of both directions. 0: not known. It may be less than
  // the line has, when nothing ever filled it.
  double line() const { return std::min(up_.known, down_.known); }

 private:
  // The most that two samples brought on average, twice running: bytes count as they are in order, so that after a loss they
  // stand still and then come at once. Forgotten when in a while with losses nothing came near it.
  struct Capacity {
    double rate = 0;
    double last = 0;  // sample
    double mean = 0;  // of it and the one before
    double peak = 0;  // since it was last asked whether the rate still holds
    int samples = 0;  // the same
    bool losses = false;
    double known = 0;  // the rate when it last had not risen by much in a while: slow start is no line's rate
    double from = 0;   // what the rate is compared with
    int steady = 0;    // samples since it was more than that
    void see(double now, bool lossy);
    void learn_known();
  };
  // One direction of a link.
  struct Way {
    bool shares = false;  // it carries something, or has not long ceased to
    int idle = 0;         // samples running in which others carried something and it did not
    double share = 1;
  };
  static constexpr double kUnpaced = 4;
  static constexpr double kFirstStep = 0.001;
  struct Link {
    Way out;
    Way in;
    double factor = kUnpaced;
    double step = kFirstStep;  // by which the factor rises next
    double pace = 0;
    double most = 0;  // the least of what both ends can, its share of it
    int search = 0;   // > 0: for so many samples it may go above that; else, negative, for how many it has not
    int rest = 0;     // after so many it does again
    int steady = 0;   // samples until the next step down may be due: what is resent comes late
    int held = 0;     // samples running in which it waited for room
    std::uint32_t connections = 1;
    double rate_before = 0;  // of delivery, when connections were last added
    bool enough = false;     // more of them did not pay
  };

  static void learn_factor(Link& link, const LinkSample& sample, Duration since);
  static void learn_connections(Link& link, const LinkSample& sample, Duration since);
  void divide(std::span<const LinkSample> links, Way Link::* way, std::uint64_t LinkSample::* bytes);

  Capacity up_;
  Capacity down_;
  std::map<PeerId, Link> links_;
};

}  // namespace seaway::topology
