// Chunks waiting for their turn, first in, first out. Takes no memory while it has none, which is most of the time for most
// of the few queues that each op has: a std::deque takes two pieces of it from the start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace seaway::collective {

class ChunkQueue {
 public:
  bool empty() const { return next_ == chunks_.size(); }
  std::uint32_t front() const { return chunks_[next_]; }
  void push_back(std::uint32_t chunk) { chunks_.push_back(chunk); }
  void append(const std::vector<std::uint32_t>& chunks) { chunks_.insert(chunks_.end(), chunks.begin(), chunks.end()); }
  void pop_front() {
    if (++next_ == chunks_.size()) {
      clear();
    }
  }
  const std::uint32_t* begin() const { return chunks_.data() + next_; }
  const std::uint32_t* end() const { return chunks_.data() + chunks_.size(); }
  void clear() {
    chunks_.clear();
    next_ = 0;
  }
  template <class Predicate>
  void remove_if(Predicate&& predicate) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ = 0;
    std::erase_if(chunks_, predicate);
  }

 private:
  std::vector<std::uint32_t> chunks_;
  std::size_t next_ = 0;  // what stands before it has gone
};

}  // namespace seaway::collective
