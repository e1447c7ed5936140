#include "chaos/training.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "chaos/trainer.h"
#include "support/process.h"

namespace seaway::chaos {

namespace {

using support::seconds_now;
using support::sleep_for;

constexpr int kEventTurn_ms = 20;
constexpr double kJoinAgain = 0.2;      // seconds
constexpr std::uint64_t kThinkMs = 20;  // at most, between two steps: what a trainer computes

}  // namespace

Training::~Training() {
  over_ = true;
  if (events_.joinable()) {
    events_.join();
  }
  seaway_destroy(comm_);
}

std::string Training::error_text(seaway_op* op) const {
  seaway_error error{};
  error.struct_size = sizeof error;
  seaway_error_get(op == nullptr ? comm_ : nullptr, op, &error);
  return std::string(seaway_status_string(error.status)) + ": " + error.text;
}

void Training::tell_events() {
  int fd = -1;
  if (seaway_event_fd(comm_, &fd) != SEAWAY_OK) {
    return;
  }
  while (!over_) {
    pollfd wait{fd, POLLIN, 0};
    poll(&wait, 1, kEventTurn_ms);
    seaway_event event{};
    event.struct_size = sizeof event;
    while (seaway_next_event(comm_, &event) == SEAWAY_OK && event.kind != SEAWAY_EVENT_NONE) {
      if (event.kind == SEAWAY_EVENT_LOG) {
        std::printf("log %.6f %s\n", seconds_now(), event.text);
      } else if (event.kind == SEAWAY_EVENT_EPOCH_CHANGED) {
        std::printf("epoch %.6f %llu %u\n", seconds_now(), print_of(event.epoch.term), event.epoch.number);
      }
    }
  }
}

// --- Membership -----------------------------------------------------------------------------------------------------

bool Training::create() {
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  const std::string name = "r" + std::to_string(arguments_.replica);
  config.listen = arguments_.listen.c_str();
  config.name = name.c_str();
  const std::string site =
      arguments_.sites == 0 ? "" : std::string("s").append(std::to_string(arguments_.replica % arguments_.sites));
  config.site = site.c_str();
  config.replica = arguments_.replica;
  config.min_world = arguments_.world;
  if (!arguments_.master.empty()) {
    config.master = arguments_.master.c_str();
    config.plaintext = 1;
  }
  if (arguments_.identity != 0) {
    config.uuid[0] = arguments_.identity;
    config.uuid[1] = arguments_.replica + 1;
  }
  if (seaway_create(&comm_, &config) != SEAWAY_OK) {
    std::printf("failed create: %s\n", error_text(nullptr).c_str());
    return false;
  }
  events_ = std::thread([this] { tell_events(); });
  return true;
}

bool Training::join() {
  const double give_up = seconds_now() + arguments_.patience;
  for (;;) {
    const seaway_status status = seaway_join(comm_, std::max(give_up - seconds_now(), 0.0));
    if (status == SEAWAY_OK) {
      say_joined();
      return true;
    }
    // A link may be down for as long as newcomers have; a master may be away for longer than a peer dials. Its earlier life
    // keeps nobody out.
    const std::string why = error_text(nullptr);
    const bool passes =
        (status == SEAWAY_JOIN_REFUSED && why.find("is taken by") == std::string::npos) || status == SEAWAY_NO_MASTER;
    if (!passes || seconds_now() > give_up) {
      std::printf("%s join: %s\n", status == SEAWAY_PENDING ? "hangs" : "failed", why.c_str());
      return false;
    }
    std::printf("refused %.6f %s\n", seconds_now(), why.c_str());
    sleep_for(kJoinAgain);
  }
}

void Training::say_joined() {
  seaway_view* view = nullptr;
  if (seaway_view_get(comm_, &view) != SEAWAY_OK) {
    return;  // evicted just now: the next call says so
  }
  look_at(view);
  seaway_view_info info{};
  info.struct_size = sizeof info;
  seaway_view_info_get(view, &info);
  seaway_member member{};
  member.struct_size = sizeof member;
  for (std::uint32_t i = 0; seaway_view_member(view, &member, i) == SEAWAY_OK; ++i) {
    if (member.peer == info.self) {
      std::printf("joined %.6f %llu %s %llu\n", seconds_now(), print_of(info.self), member.address,
                  print_of(info.update_count));
      std::printf("epoch %.6f %llu %u\n", seconds_now(), print_of(info.epoch.term), info.epoch.number);
    }
  }
  seaway_view_free(view);
}

// Who the contributors may be, and which step it is.
void Training::look_at(const seaway_view* view) {
  seaway_view_info info{};
  info.struct_size = sizeof info;
  seaway_view_info_get(view, &info);
  step_ = info.update_count;
  seaway_member member{};
  member.struct_size = sizeof member;
  for (std::uint32_t i = 0; seaway_view_member(view, &member, i) == SEAWAY_OK; ++i) {
    replica_of_[member.peer] = member.replica;
  }
}

bool Training::evicted(seaway_op* op) {
  std::printf("evicted %.6f %s\n", seconds_now(), error_text(op).c_str());
  return join();
}

// A newcomer's first update is the one that admitted it, so the same loop serves founders and newcomers.
bool Training::update() {
  for (;;) {
    seaway_view* view = nullptr;
    const seaway_status status = seaway_update(comm_, &view, arguments_.patience);
    if (status == SEAWAY_OK) {
      look_at(view);
      seaway_view_free(view);
      return true;
    }
    if (status != SEAWAY_EVICTED && status != SEAWAY_NOT_MEMBER) {
      std::printf("%s update: %s\n", status == SEAWAY_PENDING ? "hangs" : "failed", error_text(nullptr).c_str());
      return false;
    }
    if (!evicted(nullptr)) {
      return false;
    }
  }
}

// --- Orders ---------------------------------------------------------------------------------------------------------

// What stands on stdin. False: leave.
bool Training::obey() {
  pollfd wait{STDIN_FILENO, POLLIN, 0};
  while (poll(&wait, 1, 0) > 0) {
    char buffer[256];
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got <= 0) {
      return false;
    }
    unread_.append(buffer, static_cast<std::size_t>(got));
  }
  for (std::size_t end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n')) {
    const std::string order = unread_.substr(0, end);
    unread_.erase(0, end + 1);
    if (order == "leave") {
      return false;
    }
    if (order == "clock") {
      const auto wall = std::chrono::system_clock::now().time_since_epoch();
      std::printf("clock %.6f %.6f\n", seconds_now(), std::chrono::duration<double>(wall).count());
    } else {
      order_ = order;
    }
  }
  return true;
}

int Training::run() {
  if (!create() || !join()) {
    return 1;
  }
  while (obey()) {
    if (!update() || !step()) {
      return 1;
    }
    sleep_for(static_cast<double>(random_.below(arguments_.bytes > 0 ? 1 : kThinkMs)) / 1000);
  }
  const seaway_status status = seaway_leave(comm_, arguments_.patience);
  if (status != SEAWAY_OK && status != SEAWAY_EVICTED) {
    std::printf("%s leave: %s\n", status == SEAWAY_PENDING ? "hangs" : "failed", error_text(nullptr).c_str());
    return 1;
  }
  std::printf("left\n");
  return 0;
}

// --- Its words ------------------------------------------------------------------------------------------------------

std::vector<std::string> TrainerArguments::words() const {
  return {"--trainer",
          master,
          listen,
          std::to_string(replica),
          std::to_string(world),
          std::to_string(sites),
          std::to_string(seed),
          std::to_string(bytes),
          std::to_string(patience),
          std::to_string(identity)};
}

TrainerArguments TrainerArguments::from(const std::vector<std::string>& words) {
  return {.master = words.at(1),
          .listen = words.at(2),
          .replica = static_cast<unsigned>(std::stoul(words.at(3))),
          .world = static_cast<unsigned>(std::stoul(words.at(4))),
          .sites = static_cast<unsigned>(std::stoul(words.at(5))),
          .seed = std::stoull(words.at(6)),
          .bytes = std::stoull(words.at(7)),
          .patience = std::stod(words.at(8)),
          .identity = std::stoull(words.at(9))};
}

int run_trainer(const TrainerArguments& arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Training training(arguments);
  return training.run();
}

}  // namespace seaway::chaos
