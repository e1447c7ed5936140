#include "support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace seaway::support {

namespace {

[[noreturn]] void fail(const char* what) { throw std::runtime_error(std::string(what) + ": " + std::strerror(errno)); }

std::vector<std::string> environment_with(const Process::Environment& more) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool replaced = std::any_of(more.begin(), more.end(),
                                      [&](const auto& variable) { return text.starts_with(variable.first + "="); });
    if (!replaced) {
      all.push_back(text);
    }
  }
  for (const auto& [name, value] : more) {
    all.push_back(name + "=" + value);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) {
    list.push_back(word.data());
  }
  list.push_back(nullptr);
  return list;
}

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::string free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  const bool ok = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 &&
                  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length) == 0;
  ::close(fd);
  if (!ok) {
    fail("no port");
  }
  return std::to_string(ntohs(at.sin_port));
}

Process::Process(const std::string& program, const std::vector<std::string>& words, const Environment& environment) {
  // Whoever is gone is seen by what it says no more; writing to it must not end the test.
  std::signal(SIGPIPE, SIG_IGN);
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    fail("pipe");
  }
  errors_ = memfd_create("stderr", MFD_CLOEXEC);
  if (errors_ < 0) {
    fail("memfd_create");
  }
  // Made before the fork: the test may have threads, whose locks the child would inherit.
  std::vector<std::string> arguments{program};
  arguments.insert(arguments.end(), words.begin(), words.end());
  std::vector<std::string> variables = environment_with(environment);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(variables);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGPIPE, SIG_DFL);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(errors_, STDERR_FILENO);
    execve(program.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  if (pid_ < 0) {
    fail("fork");
  }
  close(in[0]);
  close(out[1]);
  in_ = in[1];
  out_ = out[0];
}

Process::~Process() {
  if (!reaped_) {
    signal(SIGKILL);
    wait();
  }
  for (const int fd : {in_, out_, errors_}) {
    if (fd >= 0) {
      close(fd);
    }
  }
}

void Process::signal(int number) const {
  if (!reaped_) {
    ::kill(pid_, number);
  }
}

void Process::say(const std::string& line) const {
  const std::string text = line + "\n";
  [[maybe_unused]] const ssize_t written = ::write(in_, text.data(), text.size());
}

std::string Process::errors() const {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = pread(errors_, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (got <= 0) {
      return text;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

int Process::wait() {
  while (!reaped_) {
    reaped_ = waitpid(pid_, &status_, 0) == pid_ || errno != EINTR;
  }
  return status_;
}

void Process::read_some() {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(out_, buffer.data(), buffer.size());
  if (got > 0) {
    output_.append(buffer.data(), static_cast<std::size_t>(got));
  } else if (got == 0 || errno != EINTR) {
    close(out_);
    out_ = -1;
  }
}

void listen(const std::vector<Process*>& processes, double until) {
  std::vector<pollfd> polls;
  polls.reserve(processes.size());
  for (const Process* process : processes) {
    polls.push_back({process->out_, POLLIN, 0});
  }
  const double left = std::clamp(until - seconds_now(), 0.0, 3600.0);
  if (poll(polls.data(), polls.size(), static_cast<int>(std::ceil(left * 1000))) <= 0) {
    return;
  }
  for (std::size_t i = 0; i < processes.size(); ++i) {
    if (polls[i].revents != 0) {
      processes[i]->read_some();
    }
  }
}

std::string status_in_words(int status) {
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace seaway::support
