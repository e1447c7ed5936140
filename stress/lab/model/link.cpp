#include "lab/model/link.h"

#include <algorithm>
#include <cmath>

namespace seaway::lab {

namespace {

constexpr double kBitsPerByte = 8;

}  // namespace

Duration Link::time_of(std::uint64_t bytes) const {
  return std::llround(static_cast<double>(bytes) * kBitsPerByte * kSecond / static_cast<double>(rate_));
}

std::uint64_t Link::backlog(Time at) const {
  if (rate_ == 0 || busy_until_ <= at) {
    return 0;
  }
  return static_cast<std::uint64_t>(
      std::llround(static_cast<double>(busy_until_ - at) * static_cast<double>(rate_) / (kBitsPerByte * kSecond)));
}

void Link::set(Time now, std::uint64_t rate, std::uint64_t queue) {
  const std::uint64_t waiting = backlog(now);
  rate_ = rate;
  asked_queue_ = queue;
  const double usual = static_cast<double>(rate) * kUsualQueue / (kBitsPerByte * kSecond);
  queue_ = std::max(queue == 0 ? static_cast<std::uint64_t>(usual) : queue, kLeastQueue);
  busy_until_ = rate_ == 0 ? now : now + time_of(waiting);
}

void Link::pass(const Piece& piece, std::vector<Piece>& out) {
  const Duration distance = piece.count > 1 ? (piece.end - piece.begin) / (piece.count - 1) : 0;
  busy_until_ = std::max(busy_until_, piece.begin);
  bool goes_on = false;  // the last piece of `out`
  for (unsigned i = 0; i < piece.count; ++i) {
    const std::uint64_t bytes = piece.packet->segment_bytes(piece.first + i);
    const Time comes = i + 1 == piece.count ? piece.end : piece.begin + i * distance;
    Time leaves = comes;
    if (rate_ > 0) {
      const std::uint64_t waiting = backlog(comes) + bytes;
      if (waiting > queue_) {
        ++counts_.dropped;
        goes_on = false;
        continue;
      }
      counts_.longest_queue = std::max(counts_.longest_queue, waiting);
      busy_until_ += time_of(bytes);
      leaves = std::max(busy_until_, comes + time_of(bytes));
    }
    counts_.bytes += bytes;
    ++counts_.segments;
    if (goes_on && leaves - out.back().begin <= kLongestPiece) {
      ++out.back().count;
      out.back().end = leaves;
    } else {
      out.push_back({piece.packet, piece.first + i, 1, leaves, leaves});
      goes_on = true;
    }
  }
}

}  // namespace seaway::lab
