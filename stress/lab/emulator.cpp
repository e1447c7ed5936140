#include "lab/emulator.h"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace seaway::lab {

namespace {

// virtio's header and the longest IP packet.
constexpr std::size_t kMostBytes = 10 + 65535;
// From one site before the others have their turn.
constexpr unsigned kReads = 16;
constexpr Duration kLate = kMillisecond;
// Longest sleep: how soon `stop` is seen.
constexpr Duration kLongestSleep = 50 * kMillisecond;

Time clock_now() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// A packet that leaves late was delayed by the machine and not by the network. The scheduler may refuse: then lateness is
// reported and nothing else.
void ask_for_priority() {
  prctl(PR_SET_TIMERSLACK, 1);
  sched_param priority{};
  priority.sched_priority = 1;
  pthread_setschedparam(pthread_self(), SCHED_RR, &priority);
}

double cpu_seconds_of_thread() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace

Emulator::Emulator(Network& network, const Ground& ground)
    : network_(&network), ground_(&ground), origin_(clock_now()), buffer_(kMostBytes), thread_([this] { run(); }) {}

Emulator::~Emulator() { stop(); }

Time Emulator::now() const { return clock_now() - origin_; }

std::string Emulator::apply(const Statement& statement) {
  const std::scoped_lock lock(mutex_);
  return network_->apply(now(), statement);
}

void Emulator::stop() {
  stopping_ = true;
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Emulator::run() {
  ask_for_priority();
  std::vector<pollfd> polls;
  for (unsigned site = 0; site < network_->sites(); ++site) {
    polls.push_back({ground_->tun(site), POLLIN, 0});
  }
  while (!stopping_) {
    Duration sleep = 0;
    {
      const std::scoped_lock lock(mutex_);
      deliver();
      for (unsigned site = 0; site < polls.size(); ++site) {
        if (polls[site].revents != 0) {
          read(site);
        }
      }
      sleep = std::clamp<Duration>(network_->deadline() - now(), 0, kLongestSleep);
    }
    const timespec timeout{0, sleep};
    ppoll(polls.data(), polls.size(), &timeout, nullptr);
  }
  figures_.cpu_seconds = cpu_seconds_of_thread();
  figures_.seconds = static_cast<double>(now()) / kSecond;
}

void Emulator::deliver() {
  Time time = now();
  while (const auto delivery = network_->next(time)) {
    const Packet::Part part = delivery->piece.packet->part(delivery->piece.first, delivery->piece.count);
    const iovec pieces[] = {
        {const_cast<std::byte*>(part.head.data()), part.head_size},
        {const_cast<std::byte*>(part.body.data()), part.body.size()},
    };
    if (::writev(ground_->tun(delivery->site), pieces, 2) < 0) {
      ++figures_.refused;
    }
    const Duration late = time - delivery->due;
    ++figures_.deliveries;
    figures_.late += late > kLate ? 1 : 0;
    figures_.latest = std::max(figures_.latest, late);
    time = now();
  }
}

void Emulator::read(unsigned site) {
  for (unsigned i = 0; i < kReads; ++i) {
    const ssize_t got = ::read(ground_->tun(site), buffer_.data(), buffer_.size());
    if (got <= 0) {
      return;
    }
    if (auto packet = Packet::parse(std::span(buffer_).first(static_cast<std::size_t>(got)))) {
      network_->send(now(), site, std::move(packet));
    }
  }
}

}  // namespace seaway::lab
