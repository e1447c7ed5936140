// The programs that a lab runs in its sites: started, heard, ended.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "lab/ground.h"

namespace seaway::lab {

using Variables = std::vector<std::pair<std::string, std::string>>;

class Programs {
 public:
  explicit Programs(const Ground& ground) : ground_(&ground) {}
  ~Programs();  // kills what still runs
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  // Runs it in a site. What it says goes to our stdout, each line behind `name`; with `direct` it has our terminal instead.
  // What it finds by its name in PATH is found there too. Throws when there are no more processes or pipes.
  void start(unsigned site, const std::string& name, const std::vector<std::string>& words, const Variables& variables,
             bool direct);

  bool is_any_left() const;
  // Waits for output or an end, or for `other` to be readable, at most so long. True when `other` is.
  bool attend(int other, int timeout_ms);
  void signal(int number) const;
  // Of all that have ended so: "b: exit code 1".
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  struct Program {
    std::string name;
    pid_t pid = -1;
    int out = -1;
    bool direct = false;
    bool ended = false;
    std::string line;  // that is not complete
  };
  static bool hear(Program& program);
  void reap();

  const Ground* ground_;
  std::vector<Program> programs_;
  std::vector<std::string> failures_;
};

// Runs one in a site, and returns what it said on stdout; `until` returns once that was said and lets it run on.
class Helper {
 public:
  Helper(const Ground& ground, unsigned site, const std::vector<std::string>& words);
  ~Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  bool until(const std::string& words);
  // True when it ended well; what it said.
  bool finish(std::string& said);

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::string said_;
};

}  // namespace seaway::lab
