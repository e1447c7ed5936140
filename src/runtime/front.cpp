#include "runtime/front.h"

#include <unistd.h>

#include <algorithm>

namespace seaway::runtime {

namespace {
constexpr std::size_t kMostEvents = 1024;
}

// Beyond the limit the oldest log lines go first, then the oldest.
void Front::add_event(Event event) {
  if (events.size() >= kMostEvents) {
    const auto log =
        std::find_if(events.begin(), events.end(), [](const Event& e) { return e.kind == Event::Kind::log; });
    events.erase(log != events.end() ? log : events.begin());
  }
  events.push_back(std::move(event));
  signal_events();
}

void Front::signal_events() const {
  if (event_fd && !events.empty()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event_fd.get(), &one, sizeof one);
  }
}

Event Front::take_event() {
  Event event;
  if (!events.empty()) {
    event = std::move(events.front());
    events.pop_front();
  }
  if (event_fd && events.empty()) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(event_fd.get(), &count, sizeof count);
  }
  return event;
}

}  // namespace seaway::runtime
