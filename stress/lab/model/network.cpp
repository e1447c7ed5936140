#include "lab/model/network.h"

#include <algorithm>

namespace seaway::lab {

void Network::put(Time at, Stage stage, unsigned from, unsigned to, Piece piece) {
  under_way_.push({at, order_++, stage, from, to, std::move(piece)});
}

void Network::send(Time now, unsigned from, std::shared_ptr<const Packet> packet) {
  const std::uint32_t to = packet->destination() - address(0);
  if (to < sites() && to != from) {
    pass(sites_[from].up, from, to, whole(std::move(packet), now),
         crosses_trunk(from, to) ? std::optional(Stage::trunk_out) : std::nullopt);
  }
}

// Through a link, and each piece that comes out to its next stage: `then`, or across to the other site.
void Network::pass(Link& link, unsigned from, unsigned to, const Piece& piece, std::optional<Stage> then) {
  passed_.clear();
  link.pass(piece, passed_);
  for (Piece& passed : passed_) {
    if (!then) {
      cross(from, to, passed);
    } else if (*then == Stage::there) {
      Time& last = way(from, to).last_delivery;
      last = std::max(last, passed.end);
      put(last, Stage::there, from, to, std::move(passed));
    } else {
      put(passed.begin, *then, from, to, std::move(passed));
    }
  }
}

void Network::cross(unsigned from, unsigned to, const Piece& piece) {
  Pair& there = way(from, to);
  if (there.cut) {
    there.taken_by_cut += piece.count;
    return;
  }
  const Stage then = crosses_trunk(to, from) ? Stage::trunk_in : Stage::down;
  const Duration distance = piece.count > 1 ? (piece.end - piece.begin) / (piece.count - 1) : 0;
  unsigned first = 0;
  while (first < piece.count) {
    const auto kept = static_cast<unsigned>(std::min<std::uint64_t>(piece.count - first, there.until_loss));
    if (kept > 0) {
      const bool is_last = first + kept == piece.count;
      const Time last = is_last ? piece.end : piece.begin + (first + kept - 1) * distance;
      const Time begin = std::max(piece.begin + first * distance + there.delay, there.last_crossing);
      const Time end = std::max(last + there.delay, there.last_crossing);
      there.last_crossing = end;
      put(begin, then, from, to, {piece.packet, piece.first + first, kept, begin, end});
      there.until_loss -= there.until_loss == UINT64_MAX ? 0 : kept;
    }
    first += kept;
    if (first < piece.count) {
      ++there.lost;
      ++first;
      there.draw_loss();
    }
  }
}

std::optional<Network::Delivery> Network::next(Time now) {
  while (!under_way_.empty() && under_way_.top().at <= now) {
    const UnderWay top = under_way_.top();
    under_way_.pop();
    Pair& there = way(top.from, top.to);
    switch (top.stage) {
      case Stage::trunk_out:
        pass(trunks_[*sites_[top.from].trunk].out, top.from, top.to, top.piece, std::nullopt);
        break;
      case Stage::trunk_in:
        pass(trunks_[*sites_[top.to].trunk].in, top.from, top.to, top.piece, Stage::down);
        break;
      case Stage::down:
        pass(sites_[top.to].down, top.from, top.to, top.piece, Stage::there);
        break;
      case Stage::there:
        if (there.cut) {
          there.taken_by_cut += top.piece.count;
          break;
        }
        for (unsigned i = 0; i < top.piece.count; ++i) {
          there.bytes += top.piece.packet->segment_bytes(top.piece.first + i);
        }
        there.segments += top.piece.count;
        return Delivery{top.to, top.at, top.piece};
    }
  }
  return std::nullopt;
}

}  // namespace seaway::lab
