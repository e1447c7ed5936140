// Processes that a test starts: what they say, and how they end. None outlives the test.
//
// stdout and stdin are pipes, read and written by the test. stderr goes to memory, so that a process which says much there
// and is not listened to never waits for the test.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace seaway::support {

// Of the clock that all processes of a machine share.
double seconds_now();
void sleep_for(double seconds);

// A port of 127.0.0.1 that nobody listens on now: for a server that is to come back where it was.
std::string free_port();

class Process {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  // Runs `program` with `words`, in the test's environment and these variables. Throws when it cannot be started.
  Process(const std::string& program, const std::vector<std::string>& words, const Environment& environment = {});
  ~Process();  // killed, unless it has ended
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  void say(const std::string& line) const;  // to its stdin
  bool is_open() const { return out_ >= 0; }
  const std::string& output() const { return output_; }
  std::string take_output() { return std::exchange(output_, {}); }  // what came since: for a test that runs for hours
  std::string errors() const;
  // Waits for its end, and returns the wait status.
  int wait();

 private:
  friend void listen(const std::vector<Process*>& processes, double until);
  void read_some();

  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;  // -1: closed at the other end, which is how a process is seen to end
  int errors_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  std::string output_;
};

// Waits until one of them says something or closes its stdout, at the latest until `until` (of seconds_now).
void listen(const std::vector<Process*>& processes, double until);

// "exit code 1", "signal 9".
std::string status_in_words(int status);

}  // namespace seaway::support
