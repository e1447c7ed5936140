#include "e2e/worker.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <map>
#include <sstream>
#include <thread>

#include "seaway/seaway.h"
#include "support/data.h"
#include "support/process.h"

namespace seaway::e2e {

namespace {

constexpr double kPatience = 60;            // seconds: longer than anything that is no hang
constexpr unsigned kChildLives_s = 120;     // should the test be gone that ends it
constexpr std::uint64_t kSeed = 0x5ea3a7u;  // of all data
constexpr std::size_t kMostReplicas = 8;    // a base-8 digit each in a float
constexpr int kEventTurn_ms = 50;

class Worker {
 public:
  explicit Worker(const std::vector<std::string>& words);
  ~Worker();
  int run();

 private:
  enum class Became : std::uint8_t { committed, evicted, failed };

  bool join();
  bool obey();
  void fork_children(int count) const;
  bool next_step();
  bool look_at_view();
  Became reduce();
  bool is_right(const std::vector<float>& result, const std::vector<unsigned>& replicas) const;
  bool tell(const seaway_result& result, std::size_t op, double began);
  void tell_log();
  std::string error_text(seaway_op* op) const;

  seaway_config config_;
  seaway_comm* comm_ = nullptr;
  std::vector<float> in_;
  std::vector<std::vector<float>> out_;
  bool in_place_ = false;
  std::string way_in_[4];
  std::map<std::uint64_t, unsigned> replica_of_;
  std::uint64_t step_ = 0;
  std::string unread_;  // of stdin
  std::atomic<bool> over_ = false;
  std::thread log_;
};

Worker::Worker(const std::vector<std::string>& words) {
  const std::uint64_t count = std::stoull(words.at(3)) * (1 << 20) / sizeof(float);
  in_.resize(count);
  out_.assign(std::stoull(words.at(4)), std::vector<float>(count));
  in_place_ = words.at(5) == "1";
  seaway_config_init(&config_, sizeof config_);
  // A join string, an address and three files of an own PKI, or, in plaintext, an address.
  std::istringstream way_in(words.at(0));
  for (std::string& word : way_in_) {
    std::getline(way_in, word, ',');
  }
  config_.plaintext = words.at(0).starts_with("seaway1/") || !way_in_[3].empty() ? 0 : 1;
  if (!way_in_[3].empty()) {
    config_.ca = way_in_[1].c_str();
    config_.cert = way_in_[2].c_str();
    config_.key = way_in_[3].c_str();
  }
  (config_.plaintext == 1 || config_.ca != nullptr ? config_.master : config_.join) = way_in_[0].c_str();
  config_.replica = static_cast<std::uint32_t>(std::stoul(words.at(1)));
  config_.min_world = static_cast<std::uint32_t>(std::stoul(words.at(2)));
  config_.listen = "127.0.0.1:0";
  if (seaway_create(&comm_, &config_) != SEAWAY_OK) {
    std::printf("failed create: %s\n", error_text(nullptr).c_str());
    return;
  }
  log_ = std::thread([this] { tell_log(); });
}

Worker::~Worker() {
  over_ = true;
  if (log_.joinable()) {
    log_.join();
  }
  seaway_destroy(comm_);
}

std::string Worker::error_text(seaway_op* op) const {
  seaway_error error{};
  error.struct_size = sizeof error;
  seaway_error_get(op == nullptr ? comm_ : nullptr, op, &error);
  return std::string(seaway_status_string(error.status)) + ": " + error.text;
}

void Worker::tell_log() {
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
        std::printf("log %.6f %s\n", support::seconds_now(), event.text);
      }
    }
  }
}

// --- Membership -----------------------------------------------------------------------------------------------------

bool Worker::join() {
  if (seaway_join(comm_, kPatience) != SEAWAY_OK) {
    std::printf("failed join: %s\n", error_text(nullptr).c_str());
    return false;
  }
  // Founders have to pass their first update. A newcomer stands at the update that admitted it, as all the others do.
  seaway_view* view = nullptr;
  seaway_view_info info{};
  info.struct_size = sizeof info;
  seaway_view_get(comm_, &view);
  seaway_view_info_get(view, &info);
  seaway_member member{};
  member.struct_size = sizeof member;
  for (std::uint32_t i = 0; seaway_view_member(view, &member, i) == SEAWAY_OK; ++i) {
    if (member.peer == info.self) {
      std::printf("joined %.6f %llu %s %llu %u\n", support::seconds_now(), static_cast<unsigned long long>(info.self),
                  member.address, static_cast<unsigned long long>(info.epoch.term), info.epoch.number);
    }
  }
  seaway_view_free(view);
  step_ = info.update_count;
  return step_ == 0 ? next_step() : look_at_view();
}

bool Worker::next_step() {
  const seaway_status status = seaway_update(comm_, nullptr, kPatience);
  if (status == SEAWAY_EVICTED || status == SEAWAY_NOT_MEMBER) {
    std::printf("evicted %.6f %s\n", support::seconds_now(), error_text(nullptr).c_str());
    return join();
  }
  if (status != SEAWAY_OK) {
    std::printf("failed update: %s\n", error_text(nullptr).c_str());
    return false;
  }
  return look_at_view();
}

// Who the contributors of this step may be, and which step it is.
bool Worker::look_at_view() {
  seaway_view* view = nullptr;
  if (seaway_view_get(comm_, &view) != SEAWAY_OK) {
    return true;  // evicted just now: the next call says so
  }
  seaway_view_info info{};
  info.struct_size = sizeof info;
  seaway_view_info_get(view, &info);
  step_ = info.update_count;
  seaway_member member{};
  member.struct_size = sizeof member;
  for (std::uint32_t i = 0; seaway_view_member(view, &member, i) == SEAWAY_OK; ++i) {
    replica_of_[member.peer] = member.replica;
  }
  seaway_view_free(view);
  return true;
}

// --- Reductions -----------------------------------------------------------------------------------------------------

bool Worker::is_right(const std::vector<float>& result, const std::vector<unsigned>& replicas) const {
  // Whole numbers below 2^24: any order of additions gives the same bits.
  float all = 0;
  for (const unsigned replica : replicas) {
    all += static_cast<float>(1u << (3 * replica));
  }
  for (std::uint64_t i = 0; i < result.size(); ++i) {
    const float should = support::is_one(kSeed + step_, i) ? all : 0.0F;
    if (std::bit_cast<std::uint32_t>(result[i]) != std::bit_cast<std::uint32_t>(should)) {
      std::printf("wrong step %llu element %llu: in base 8, replica 0 last, it is %llo and should be %llo\n",
                  static_cast<unsigned long long>(step_), static_cast<unsigned long long>(i),
                  static_cast<unsigned long long>(result[i]), static_cast<unsigned long long>(should));
      return false;
    }
  }
  return true;
}

bool Worker::tell(const seaway_result& result, std::size_t op, double began) {
  std::vector<unsigned> replicas;
  std::string names;
  for (std::size_t i = 0; i < result.contributor_count; ++i) {
    const auto replica = replica_of_.find(result.contributors[i].peer);
    if (replica == replica_of_.end()) {
      std::printf("wrong step %llu: a contributor that was never a member\n", static_cast<unsigned long long>(step_));
      return false;
    }
    replicas.push_back(replica->second);
    names += std::to_string(replica->second);
  }
  if (!is_right(out_[op], replicas)) {
    return false;
  }
  std::printf("op %.6f %llu %zu %016llx %s %.6f %.6f %u %zu %llu %u\n", support::seconds_now(),
              static_cast<unsigned long long>(step_), op + 1, static_cast<unsigned long long>(result.hash),
              names.c_str(), began, result.seconds, result.attempts, result.lost_count,
              static_cast<unsigned long long>(result.epoch.term), result.epoch.number);
  return true;
}

Worker::Became Worker::reduce() {
  for (std::uint64_t i = 0; i < in_.size(); ++i) {
    in_[i] = support::digit_of(kSeed + step_, config_.replica, i);
  }
  std::vector<seaway_op*> ops(out_.size());
  std::vector<double> began;
  Became became = Became::committed;
  std::string why;
  const auto note = [&](seaway_status status, seaway_op* op) {
    const bool gone = status == SEAWAY_EVICTED || status == SEAWAY_NOT_MEMBER;
    if (status != SEAWAY_OK && (became == Became::committed || !gone)) {
      became = gone ? Became::evicted : Became::failed;
      why = std::string(seaway_status_string(status)) + "; " + error_text(op);
    }
  };
  for (std::size_t i = 0; i < ops.size(); ++i) {
    seaway_options options;
    seaway_options_init(&options, sizeof options);
    options.tag = i + 1;
    seaway_buffer in{in_.data(), in_.size(), SEAWAY_F32, SEAWAY_HOST};
    seaway_buffer out{out_[i].data(), out_[i].size(), SEAWAY_F32, SEAWAY_HOST};
    if (in_place_) {
      std::copy(in_.begin(), in_.end(), out_[i].begin());
    }
    note(in_place_ ? seaway_all_reduce_start(comm_, &ops[i], nullptr, &out, 1, SEAWAY_SUM, &options)
                   : seaway_all_reduce_start(comm_, &ops[i], &out, &in, 1, SEAWAY_SUM, &options),
         nullptr);
    began.push_back(support::seconds_now());
  }
  std::printf("start %.6f %llu\n", support::seconds_now(), static_cast<unsigned long long>(step_));
  if (std::find(ops.begin(), ops.end(), nullptr) == ops.end() &&
      seaway_wait(ops.data(), ops.size(), SEAWAY_ALL, kPatience) == SEAWAY_PENDING) {
    became = Became::failed;
    why = "an op hangs: " + error_text(ops.front());
  }
  std::printf("end %.6f %llu\n", support::seconds_now(), static_cast<unsigned long long>(step_));
  for (std::size_t i = 0; i < ops.size() && ops[i] != nullptr && became != Became::failed; ++i) {
    std::vector<seaway_contributor> contributors(kMostReplicas);
    seaway_result result;
    seaway_result_init(&result, sizeof result);
    result.contributors = contributors.data();
    result.contributor_capacity = contributors.size();
    const seaway_status status = seaway_test(ops[i], &result);
    note(status, ops[i]);
    if (status == SEAWAY_OK && !tell(result, i, began[i])) {
      return Became::failed;
    }
  }
  for (seaway_op* op : ops) {
    seaway_free(op);
  }
  if (became == Became::evicted) {
    std::printf("evicted %.6f %s\n", support::seconds_now(), why.c_str());
  } else if (became == Became::failed) {
    std::printf("failed step %llu: %s\n", static_cast<unsigned long long>(step_), why.c_str());
  }
  return became;
}

// --- Commands -------------------------------------------------------------------------------------------------------

// A socket that the library knows nothing of.
void hold(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    std::printf("failed hold\n");
  }
}

void Worker::fork_children(int count) const {
  std::string pids;
  for (int i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      // The test sees the worker's end by its stdout.
      ::close(STDIN_FILENO);
      ::close(STDOUT_FILENO);
      ::alarm(kChildLives_s);
      for (;;) {
        ::pause();
      }
    }
    pids += " " + std::to_string(child);
  }
  std::printf("forked%s\n", pids.c_str());
}

// What stands on stdin. False: leave.
bool Worker::obey() {
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
    std::istringstream line(unread_.substr(0, end));
    unread_.erase(0, end + 1);
    std::string command;
    int number = 0;
    line >> command >> number;
    if (command == "leave") {
      return false;
    }
    if (command == "hold") {
      hold(static_cast<std::uint16_t>(number));
    } else if (command == "fork") {
      fork_children(number);
    }
  }
  return true;
}

int Worker::run() {
  if (!log_.joinable() || !join()) {
    return 1;
  }
  while (obey()) {
    const Became became = reduce();
    const bool goes_on = became == Became::committed ? next_step() : became == Became::evicted && join();
    if (!goes_on) {
      return 1;
    }
  }
  if (seaway_leave(comm_, kPatience) != SEAWAY_OK) {
    std::printf("failed leave: %s\n", error_text(nullptr).c_str());
    return 1;
  }
  std::printf("left\n");
  return 0;
}

}  // namespace

int run_worker(const std::vector<std::string>& words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Worker worker(words);
  return worker.run();
}

}  // namespace seaway::e2e
