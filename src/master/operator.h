// What the commands of an operator share: which master, and the admin token.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/join_string.h"
#include "wire/enrolment.h"

namespace seaway {

inline constexpr const char* kOperatorHelp =
    R"(  --state DIR          the folder of the master, on its machine: DIR/admin has what this needs
  --admin STRING|@FILE the same from elsewhere: the contents of that file, or a string of `seaway token new --admin-rights`.
                       Default: SEAWAY_ADMIN from the environment
)";

class Operator {
 public:
  // Takes --state and --admin if words[at] is one of them, and moves `at` to the last word that it took.
  bool takes(const std::vector<std::string>& words, std::size_t& at);
  bool is_given() const;  // by an option or by the environment
  // The exit code; what the master answered is on stdout, what went wrong on stderr. `command`: "seaway token".
  int ask(const char* command, const wire::Command& what) const;

 private:
  std::string given_;
};

}  // namespace seaway
