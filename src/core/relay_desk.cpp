#include "core/relay_desk.h"

#include <algorithm>

namespace seaway::core {

RelayDesk::Answer RelayDesk::ask(ConnId conn, const wire::LinkHello& hello) {
  Answer answer;
  if (const auto other = waiting_.find({hello.to, hello.from, hello.control}); other != waiting_.end()) {
    answer.met = other->second;
    waiting_.erase(other);
    return answer;
  }
  const Wish wish{hello.from, hello.to, hello.control};
  auto oldest = waiting_.find(wish);
  if (oldest == waiting_.end() && waiting_.size() >= most_) {
    oldest = std::min_element(waiting_.begin(), waiting_.end(),
                              [](const auto& a, const auto& b) { return a.second < b.second; });
  }
  if (oldest != waiting_.end()) {
    answer.dropped = oldest->second;
    waiting_.erase(oldest);
  }
  waiting_[wish] = conn;
  return answer;
}

void RelayDesk::gone(ConnId conn) {
  std::erase_if(waiting_, [&](const auto& entry) { return entry.second == conn; });
}

}  // namespace seaway::core
