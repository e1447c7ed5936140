// For programs that run inside the lab, and want to know where they are, or to start others in other sites.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace seaway::lab {

struct Inside {
  std::vector<std::string> addresses;  // of all sites, in the scenario's order; empty: outside of any lab
  std::vector<std::string> spaces;     // the paths of their network namespaces
};

inline std::vector<std::string> split_list(const char* text) {
  std::vector<std::string> list;
  std::istringstream stream(text == nullptr ? "" : text);
  for (std::string item; std::getline(stream, item, ',');) {
    list.push_back(item);
  }
  return list;
}

inline Inside inside() { return {split_list(std::getenv("LAB_ADDRESSES")), split_list(std::getenv("LAB_SPACES"))}; }

// Moves the calling thread, and what it starts from then on, to the site with this namespace.
inline bool enter_space(const std::string& path) {
  const int space = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool entered = space >= 0 && ::setns(space, CLONE_NEWNET) == 0;
  if (space >= 0) {
    ::close(space);
  }
  return entered;
}

}  // namespace seaway::lab
