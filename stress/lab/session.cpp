#include "lab/session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace seaway::lab {

namespace {

// How soon an end or a signal is seen.
constexpr int kAttendMs = 50;

volatile std::sig_atomic_t signal_count = 0;
void count_signal(int /*number*/) { signal_count = signal_count + 1; }
void let_pass(int /*number*/) {}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string join(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& item : list) {
    text += (text.empty() ? "" : ",") + item;
  }
  return text;
}

}  // namespace

Session::Session(const Options& options, const Scenario& scenario, const Network& network, const Ground& ground,
                 Emulator& emulator)
    : options_(&options),
      scenario_(&scenario),
      network_(&network),
      ground_(&ground),
      emulator_(&emulator),
      programs_(ground) {}

Session::~Session() {
  if (control_ >= 0) {
    ::close(control_);
    ::unlink(options_->control.c_str());
  }
}

std::string Session::open_control() {
  const std::string& path = options_->control;
  if (path.empty()) {
    return "";
  }
  // Opened for writing too: so it never ends when a writer goes.
  if (::mkfifo(path.c_str(), 0600) != 0 || (control_ = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0) {
    return path + ": " + std::strerror(errno);
  }
  return "";
}

Variables Session::variables_of(unsigned site) const {
  std::vector<std::string> names;
  std::vector<std::string> addresses;
  std::vector<std::string> peers;
  std::vector<std::string> spaces;
  for (unsigned i = 0; i < network_->sites(); ++i) {
    names.push_back(network_->name(i));
    addresses.push_back(Ground::address(i));
    spaces.push_back(ground_->space(i));
    if (i != site) {
      peers.push_back(Ground::address(i));
    }
  }
  Variables variables{{"LAB_SITE", network_->name(site)},  {"LAB_ADDRESS", Ground::address(site)},
                      {"LAB_INDEX", std::to_string(site)}, {"LAB_SITES", join(names)},
                      {"LAB_ADDRESSES", join(addresses)},  {"LAB_PEERS", join(peers)},
                      {"LAB_SPACES", join(spaces)}};
  if (!options_->control.empty()) {
    variables.emplace_back("LAB_CONTROL", options_->control);
  }
  return variables;
}

void Session::start_commands() {
  if (!options_->at.empty()) {
    const unsigned site = *network_->find(options_->at);
    const char* shell = std::getenv("SHELL");
    const std::vector<std::string> words =
        options_->shell ? std::vector<std::string>{shell == nullptr ? "/bin/sh" : shell} : options_->command;
    programs_.start(site, options_->at, words, variables_of(site), true);
    return;
  }
  for (unsigned site = 0; site < network_->sites(); ++site) {
    const bool other = site == 0 && !options_->first.empty();
    const std::vector<std::string> words =
        other ? std::vector<std::string>{"/bin/sh", "-c", options_->first} : options_->command;
    programs_.start(site, network_->name(site), words, variables_of(site), false);
  }
}

int Session::run() {
  struct sigaction action{};
  action.sa_handler = count_signal;
  sigaction(SIGTERM, &action, nullptr);
  // A program that has our terminal hears of an interrupt by itself: a shell goes on.
  action.sa_handler = options_->at.empty() ? count_signal : let_pass;
  sigaction(SIGINT, &action, nullptr);
  began_ = seconds_now();
  start_commands();
  while (programs_.is_any_left()) {
    apply_due_events();
    if (programs_.attend(control_, next_event_ms())) {
      read_control();
    }
    if (static_cast<unsigned>(signal_count) != signals_) {
      signal_arrived();
    }
  }
  for (const std::string& failure : programs_.failures()) {
    std::fprintf(stderr, "seaway_lab: %s\n", failure.c_str());
  }
  return programs_.failures().empty() ? 0 : 1;
}

// The first asks the programs to end, the second ends them.
void Session::signal_arrived() {
  signals_ = static_cast<unsigned>(signal_count);
  programs_.signal(signals_ > 1 ? SIGKILL : SIGTERM);
}

int Session::next_event_ms() const {
  if (next_event_ == scenario_->events.size()) {
    return kAttendMs;
  }
  const double at = began_ + static_cast<double>(scenario_->events[next_event_].at) / kSecond;
  return static_cast<int>(std::clamp((at - seconds_now()) * 1000 + 1, 0.0, static_cast<double>(kAttendMs)));
}

void Session::apply_due_events() {
  const auto now = static_cast<Duration>((seconds_now() - began_) * kSecond);
  while (next_event_ < scenario_->events.size() && scenario_->events[next_event_].at <= now) {
    const Scenario::Event& event = scenario_->events[next_event_++];
    emulator_->apply(event.statement);
    std::fprintf(stderr, "seaway_lab: %s\n", event.text.c_str());
  }
}

void Session::read_control() {
  std::array<char, 4096> buffer;
  const ssize_t got = ::read(control_, buffer.data(), buffer.size());
  control_line_.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  for (std::size_t end = control_line_.find('\n'); end != std::string::npos; end = control_line_.find('\n')) {
    const std::string text = control_line_.substr(0, end);
    control_line_.erase(0, end + 1);
    Line line;
    std::string problem;
    if (parse_line(text, line, problem) && line.at) {
      problem = "a statement takes effect at once; \"at\" is for scenario files";
    }
    if (problem.empty() && line.statement) {
      problem = emulator_->apply(*line.statement);
    }
    std::fprintf(stderr, "seaway_lab: %s%s%s\n", text.c_str(), problem.empty() ? "" : ": ", problem.c_str());
  }
}

}  // namespace seaway::lab
