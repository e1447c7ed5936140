#include "lab/programs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace seaway::lab {

namespace {

constexpr int kNotFound = 127;

std::string status_in_words(int status) {
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit code " + std::to_string(WEXITSTATUS(status));
}

// What is made before the fork: we have another thread, whose locks the child would inherit.
struct Prepared {
  std::vector<std::string> words;
  std::vector<std::string> variables;
  std::vector<char*> argv;
  std::vector<char*> envp;

  Prepared(const std::vector<std::string>& command, const Variables& more) : words(command) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry;
      if (std::none_of(more.begin(), more.end(), [&](const auto& one) { return text.starts_with(one.first + "="); })) {
        variables.push_back(text);
      }
    }
    for (const auto& [name, value] : more) {
      variables.push_back(name + "=" + value);
    }
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    for (std::string& variable : variables) {
      envp.push_back(variable.data());
    }
    envp.push_back(nullptr);
  }
};

// out < 0: the terminal stays the program's.
pid_t spawn(const Ground& ground, unsigned site, const Prepared& prepared, int out, bool errors_too) {
  const pid_t pid = fork();
  if (pid < 0) {
    throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
  }
  if (pid > 0) {
    if (out >= 0) {
      setpgid(pid, pid);  // whoever of the two comes first
    }
    return pid;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  if (out >= 0) {
    setpgid(0, 0);  // so that its children can be ended with it
    dup2(out, STDOUT_FILENO);
    if (errors_too) {
      dup2(out, STDERR_FILENO);
    }
    const int nothing = ::open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
  }
  if (ground.enter(site)) {
    execvpe(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  }
  const char* problem = std::strerror(errno);
  for (const char* text : {static_cast<const char*>(prepared.argv[0]), ": ", problem, "\n"}) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
  }
  _exit(kNotFound);
}

struct Pipe {
  int out = -1;
  int in = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
    }
    out = ends[0];
    in = ends[1];
  }
};

}  // namespace

Programs::~Programs() {
  signal(SIGKILL);
  for (Program& program : programs_) {
    if (!program.ended) {
      waitpid(program.pid, nullptr, 0);
    }
    if (program.out >= 0) {
      close(program.out);
    }
  }
}

void Programs::start(unsigned site, const std::string& name, const std::vector<std::string>& words,
                     const Variables& variables, bool direct) {
  const Prepared prepared(words, variables);
  Program program;
  program.name = name;
  program.direct = direct;
  if (direct) {
    program.pid = spawn(*ground_, site, prepared, -1, false);
  } else {
    const Pipe pipe;
    program.pid = spawn(*ground_, site, prepared, pipe.in, true);
    program.out = pipe.out;
    fcntl(pipe.out, F_SETFL, O_NONBLOCK);
    close(pipe.in);
  }
  programs_.push_back(std::move(program));
}

bool Programs::is_any_left() const {
  return std::any_of(programs_.begin(), programs_.end(), [](const Program& program) { return !program.ended; });
}

void Programs::signal(int number) const {
  for (const Program& program : programs_) {
    if (!program.ended) {
      ::kill(program.direct ? program.pid : -program.pid, number);
    }
  }
}

bool Programs::attend(int other, int timeout_ms) {
  std::vector<pollfd> polls{{other, POLLIN, 0}};
  for (const Program& program : programs_) {
    polls.push_back({program.out, POLLIN, 0});
  }
  const int ready = poll(polls.data(), polls.size(), timeout_ms);
  for (std::size_t i = 0; ready > 0 && i < programs_.size(); ++i) {
    if (polls[i + 1].revents != 0) {
      hear(programs_[i]);
    }
  }
  reap();
  return ready > 0 && polls[0].revents != 0;
}

// False when there is nothing more now.
bool Programs::hear(Program& program) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(program.out, buffer.data(), buffer.size());
  if (got < 0) {
    return errno == EINTR;
  }
  program.line.append(buffer.data(), static_cast<std::size_t>(got));
  if (got == 0) {
    close(program.out);
    program.out = -1;
    program.line += program.line.empty() ? "" : "\n";
  }
  for (std::size_t end = program.line.find('\n'); end != std::string::npos; end = program.line.find('\n')) {
    std::printf("%s| %s\n", program.name.c_str(), program.line.substr(0, end).c_str());
    program.line.erase(0, end + 1);
  }
  std::fflush(stdout);
  return got > 0;
}

// A program has ended when it is dead and all that it said was heard; what it has left behind ends with it.
void Programs::reap() {
  for (Program& program : programs_) {
    int status = 0;
    if (program.ended || waitpid(program.pid, &status, WNOHANG) != program.pid) {
      continue;
    }
    if (!program.direct) {
      ::kill(-program.pid, SIGKILL);
    }
    while (program.out >= 0 && hear(program)) {
    }
    program.ended = true;
    if (status != 0) {
      failures_.push_back(program.name + ": " + status_in_words(status));
    }
  }
}

Helper::Helper(const Ground& ground, unsigned site, const std::vector<std::string>& words) {
  const Prepared prepared(words, {});
  const Pipe pipe;
  pid_ = spawn(ground, site, prepared, pipe.in, false);
  out_ = pipe.out;
  close(pipe.in);
}

Helper::~Helper() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_);
}

bool Helper::until(const std::string& words) {
  std::array<char, 4096> buffer;
  while (said_.find(words) == std::string::npos) {
    const ssize_t got = ::read(out_, buffer.data(), buffer.size());
    if (got == 0 || (got < 0 && errno != EINTR)) {
      return false;
    }
    said_.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  return true;
}

bool Helper::finish(std::string& said) {
  std::array<char, 4096> buffer;
  for (ssize_t got = 1; got > 0;) {
    got = ::read(out_, buffer.data(), buffer.size());
    said_.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  said = said_;
  return status == 0;
}

}  // namespace seaway::lab
