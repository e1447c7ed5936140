#include "e2e/cluster.h"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace seaway::e2e {

namespace {

constexpr double kReady = 30;  // seconds to start, to join, to leave: generous, for machines that do other things too
constexpr double kTurn = 0.1;
constexpr std::size_t kTail = 800;

std::string tail(const std::string& text) {
  return text.size() <= kTail ? text : "..." + text.substr(text.size() - kTail);
}

std::string rest_of(std::istringstream& line) {
  std::string text;
  std::getline(line >> std::ws, text);
  return text;
}

}  // namespace

// --- Worker ---------------------------------------------------------------------------------------------------------

void Worker::understand() {
  const std::string& all = process_->output();
  for (std::size_t end = all.find('\n', understood_); end != std::string::npos; end = all.find('\n', understood_)) {
    understand(all.substr(understood_, end - understood_));
    understood_ = end + 1;
  }
}

void Worker::understand(const std::string& text) {
  std::istringstream line(text);
  std::string kind;
  line >> kind;
  if (kind == "op") {
    Op op;
    line >> op.time >> op.step >> op.tag >> op.hash >> op.contributors >> op.began >> op.seconds >> op.attempts >>
        op.lost >> op.epoch.term >> op.epoch.number;
    std::sort(op.contributors.begin(), op.contributors.end());
    ops.push_back(op);
  } else if (kind == "joined") {
    Life life;
    line >> life.time >> life.peer >> life.address >> life.epoch.term >> life.epoch.number;
    lives.push_back(life);
  } else if (kind == "start" || kind == "end" || kind == "evicted" || kind == "log") {
    Event event;
    line >> event.time;
    event.text = rest_of(line);
    (kind == "start" ? starts : kind == "end" ? ends : kind == "log" ? log : evictions).push_back(event);
  } else if (kind == "forked") {
    for (pid_t pid = 0; line >> pid;) {
      children.push_back(pid);
    }
  } else if (kind == "left") {
    has_left = true;
  } else {
    problem += text + "\n";
  }
}

// --- Cluster --------------------------------------------------------------------------------------------------------

Cluster::Cluster(unsigned world, Load load) : load_(load), world_(world), address_("127.0.0.1:0") {
  start_master();
  for (unsigned replica = 0; replica < world; ++replica) {
    add_worker(replica);
  }
  wait_for("everyone to join", kReady, [&] {
    return std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->lives.size() == 1; });
  });
}

void Cluster::start_master() {
  std::vector<std::string> words{"master", "--listen", address_};
  if (load_.encrypted) {
    words.insert(words.end(), {"--certificate-hours", std::to_string(load_.certificate_s / 3600)});
    if (load_.pki != nullptr) {
      const auto files = load_.pki->certify("master", "IP:127.0.0.1");
      words.insert(words.end(), {"--ca", files.authorities, "--cert", files.certificate, "--key", files.key});
    }
  } else {
    words.emplace_back("--plaintext");
  }
  if (!load_.state.empty()) {
    words.insert(words.end(), {"--state", load_.state});
  }
  master_ = std::make_unique<Process>(SEAWAY_PROGRAM, words,
                                      Process::Environment{{"SEAWAY_TIME_SCALE", std::to_string(load_.time_scale)}});
  master_may_end_ = false;
  const std::string mark = "listening on ";
  wait_for("the master to listen", kReady, [&] {
    return std::count(master_->output().begin(), master_->output().end(), '\n') >= 2 || !master_->is_open();
  });
  if (!master_->output().starts_with(mark)) {
    fail("the master says: " + master_->output());
  }
  address_ = master_->output().substr(mark.size(), master_->output().find('\n') - mark.size());
  const std::string join = "join string: ";
  if (const std::size_t at = master_->output().find(join); at != std::string::npos) {
    join_ = master_->output().substr(at + join.size(), master_->output().find('\n', at) - at - join.size());
  }
}

void Cluster::kill_master() {
  master_may_end_ = true;
  master_->signal(SIGKILL);
  master_->wait();
}

Worker& Cluster::add_worker(unsigned replica) {
  const std::string name = "peer" + std::to_string(replica);
  const std::vector<std::string> words{
      "--worker",
      load_.pki != nullptr ? way_in(load_.pki->certify(name, "DNS:" + name)) : way_in(),
      std::to_string(replica),
      std::to_string(world_),
      std::to_string(load_.mib),
      std::to_string(load_.ops),
      load_.in_place ? "1" : "0"};
  workers_.push_back(std::make_unique<Worker>(replica, std::make_unique<Process>("/proc/self/exe", words)));
  compared_.push_back(0);
  return *workers_.back();
}

void Cluster::kill_worker(Worker& worker) {
  worker.may_end = true;
  worker.process().signal(SIGKILL);
}

void Cluster::listen_once(double until) {
  std::vector<Process*> all{master_.get()};
  for (const auto& worker : workers_) {
    all.push_back(&worker->process());
  }
  std::erase_if(all, [](const Process* process) { return !process->is_open(); });
  support::listen(all, until);
  for (const auto& worker : workers_) {
    worker->understand();
  }
  check();
}

void Cluster::check() {
  if (!master_->is_open() && !master_may_end_) {
    fail("the master ended");
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = *workers_[i];
    const std::string name = "worker " + std::to_string(worker.replica());
    if (!worker.problem.empty() && !worker.may_fail) {
      fail(name + " says: " + worker.problem);
    }
    if (!worker.process().is_open() && !worker.may_end) {
      fail(name + " ended: " + support::status_in_words(worker.process().wait()));
    }
    for (; compared_[i] < worker.ops.size(); ++compared_[i]) {
      const Op& op = worker.ops[compared_[i]];
      const auto [first, is_new] = first_.emplace(std::pair(op.step, op.tag), op);
      if (!is_new && (first->second.hash != op.hash || first->second.contributors != op.contributors)) {
        fail("op " + std::to_string(op.tag) + " of step " + std::to_string(op.step) + " has two results: " +
             first->second.hash + " over " + first->second.contributors + ", " + op.hash + " over " + op.contributors);
      }
    }
  }
}

double Cluster::wait_for(const std::string& what, double limit, const std::function<bool()>& condition) {
  const double began = seconds_now();
  while (!condition()) {
    const double now = seconds_now();
    if (now > began + limit) {
      fail("waited " + std::to_string(static_cast<int>(limit)) + " s for " + what);
    }
    listen_once(std::min(began + limit, now + kTurn));
  }
  return seconds_now() - began;
}

double Cluster::wait_for_ops(const std::vector<Worker*>& workers, std::size_t more, double limit) {
  std::vector<std::size_t> wanted;
  for (const Worker* worker : workers) {
    wanted.push_back(worker->ops.size() + more);
  }
  return wait_for(std::to_string(more) + " ops more", limit, [&] {
    for (std::size_t i = 0; i < workers.size(); ++i) {
      if (workers[i]->ops.size() < wanted[i]) {
        return false;
      }
    }
    return true;
  });
}

void Cluster::listen_for(double seconds) {
  const double until = seconds_now() + seconds;
  while (seconds_now() < until) {
    listen_once(until);
  }
}

void Cluster::finish() {
  std::vector<Worker*> asked;
  for (const auto& worker : workers_) {
    if (!worker->may_end) {
      worker->may_end = true;
      worker->process().say("leave");
      asked.push_back(worker.get());
    }
  }
  wait_for("everyone to leave", kReady, [&] {
    return std::none_of(asked.begin(), asked.end(), [](const Worker* worker) { return worker->process().is_open(); });
  });
  for (Worker* worker : asked) {
    const int status = worker->process().wait();
    if (status != 0 || !worker->has_left) {
      fail("worker " + std::to_string(worker->replica()) + " did not leave: " + support::status_in_words(status));
    }
  }
  master_may_end_ = true;
  master_->signal(SIGTERM);
  wait_for("the master to end", kReady, [&] { return !master_->is_open(); });
  if (const int status = master_->wait(); status != 0) {
    fail("the master ended with " + support::status_in_words(status));
  }
}

void Cluster::fail(const std::string& why) {
  std::string text = why + "\n--- master, stderr: its epochs, and the last that it said\n";
  std::istringstream said(master_->errors());
  for (std::string line; std::getline(said, line);) {
    text += line.find(" epoch ") != std::string::npos ? line + "\n" : "";
  }
  text += tail(master_->errors());
  for (const auto& worker : workers_) {
    text += "--- worker " + std::to_string(worker->replica()) + ", stdout\n" + tail(worker->process().output()) +
            "--- worker " + std::to_string(worker->replica()) + ", stderr\n" + tail(worker->process().errors());
  }
  FAIL(text);
  throw std::runtime_error(why);  // FAIL has thrown
}

// --- /proc ----------------------------------------------------------------------------------------------------------

double resident_mib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) {
      return std::stod(line.substr(6)) / 1024;
    }
  }
  return 0;
}

std::vector<std::string> descriptors(pid_t pid) {
  std::vector<std::string> list;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone)) {
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone) {
      list.push_back(target.string());
    }
  }
  return list;
}

}  // namespace seaway::e2e
