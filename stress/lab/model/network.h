// The emulated network: sites, what joins them, and the packets under way. It knows no clock and no device: packets and the
// time are given to it, and it says which packets arrive where, and when to ask again.
//
//   source's uplink -> trunk, if the source has one that the destination has not -> the pair's cut, loss and delay
//     -> the destination's trunk, likewise -> the destination's downlink -> there
//
// Packets of one pair never overtake one another. A cut takes those under way too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "lab/model/link.h"
#include "lab/model/packet.h"
#include "lab/model/statement.h"

namespace seaway::lab {

// One direction between two sites.
struct Pair {
  Duration delay = 0;
  double loss = 0;
  bool cut = false;
  Random random{0};
  std::uint64_t until_loss = UINT64_MAX;  // segments that pass before the next is lost
  Time last_crossing = 0;
  Time last_delivery = 0;
  void draw_loss();

  std::uint64_t bytes = 0;         // delivered
  std::uint64_t segments = 0;      // delivered
  std::uint64_t lost = 0;          // segments
  std::uint64_t taken_by_cut = 0;  // segments
};

class Network {
 public:
  static constexpr unsigned kMostSites = 64;

  explicit Network(std::uint64_t seed) : random_(seed) {}

  // "" or what is wrong with it; then nothing has changed. Sites and trunks are made until `start`.
  std::string apply(Time now, const Statement& statement);
  void start() { started_ = true; }

  unsigned sites() const { return static_cast<unsigned>(sites_.size()); }
  const std::string& name(unsigned site) const { return sites_[site].name; }
  std::optional<unsigned> find(const std::string& name) const;
  static std::uint32_t address(unsigned site) { return (10U << 24) + (78U << 16) + site + 1; }  // 10.78.0.1 and on

  // A packet that a site sends. To nobody here: gone.
  void send(Time now, unsigned from, std::shared_ptr<const Packet> packet);
  // The next piece that is there by `now`; nothing when there is none.
  struct Delivery {
    unsigned site = 0;
    Time due = 0;
    Piece piece;
  };
  std::optional<Delivery> next(Time now);
  // When `next` has something to do; kNever when nothing is under way.
  Time deadline() const { return under_way_.empty() ? kNever : under_way_.top().at; }

  // --- To be reported
  struct NamedLink {
    std::string name;  // "up a", "trunk east out"
    const Link* link;
  };
  std::vector<NamedLink> links() const;
  const Pair& pair(unsigned from, unsigned to) const { return pairs_[from * kMostSites + to]; }

 private:
  struct Site {
    std::string name;
    Link up;
    Link down;
    std::optional<unsigned> trunk;
  };
  struct Trunk {
    std::string name;
    Link out;
    Link in;
  };
  enum class Stage : std::uint8_t { trunk_out, trunk_in, down, there };
  struct UnderWay {
    Time at;
    std::uint64_t order;  // of two at the same time the one that came first
    Stage stage;
    unsigned from;
    unsigned to;
    Piece piece;
    bool operator<(const UnderWay& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  std::string apply_one(Time now, const SiteStatement& statement);
  std::string apply_one(Time now, const TrunkStatement& statement);
  std::string apply_one(Time now, const PathStatement& statement);
  std::string apply_one(Time now, const CutStatement& statement);
  std::string for_each_pair(const Pairs& pairs, const std::function<void(Pair&)>& change);

  Pair& way(unsigned from, unsigned to) { return pairs_[from * kMostSites + to]; }
  bool crosses_trunk(unsigned of, unsigned other) const {
    return sites_[of].trunk.has_value() && sites_[of].trunk != sites_[other].trunk;
  }
  void put(Time at, Stage stage, unsigned from, unsigned to, Piece piece);
  void pass(Link& link, unsigned from, unsigned to, const Piece& piece, std::optional<Stage> then);
  void cross(unsigned from, unsigned to, const Piece& piece);

  std::vector<Site> sites_;
  std::vector<Trunk> trunks_;
  std::vector<Pair> pairs_ = std::vector<Pair>(std::size_t{kMostSites} * kMostSites);
  std::priority_queue<UnderWay> under_way_;
  std::uint64_t order_ = 0;
  std::vector<Piece> passed_;  // of one link, for a moment
  Random random_;
  bool started_ = false;
};

}  // namespace seaway::lab
