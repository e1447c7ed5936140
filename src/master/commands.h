// The commands of `seaway`. Each takes the words after its name and returns the exit code.
#pragma once

#include <string>
#include <vector>

namespace seaway {

inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kNoMaster = 3;
inline constexpr int kBug = 70;

inline constexpr const char* kDefaultAddress = "127.0.0.1:7117";

int run_master(const std::vector<std::string>& words);
int run_status(const std::vector<std::string>& words);
int run_token(const std::vector<std::string>& words);
int run_evict(const std::vector<std::string>& words);
int run_version(const std::vector<std::string>& words);

}  // namespace seaway
