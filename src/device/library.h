// The library of the devices, opened at most once in a process.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "device/table.h"

namespace seaway::device {

// Null where there is none: then `why` says what was looked for, and what was in the way. Any thread.
const SeawayDeviceTable* table(std::string& why);

// "" for 0, else what failed and how.
std::string problem(const SeawayDeviceTable& table, const char* what, int error);

inline constexpr int kHost = -1;

// On which device memory lies.
std::string device_of(const SeawayDeviceTable& table, const void* memory, int& device);

// A point of one of the caller's streams. Made by the thread that starts an op, followed by the one that runs it.
class Mark {
 public:
  Mark(const SeawayDeviceTable& table, void* mark) : table_(&table), mark_(mark) {}
  ~Mark() { table_->forget(mark_); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  void* get() const { return mark_; }
  // "" or what is wrong; then it has passed, as nothing is to be waited for.
  std::string passed(bool& is_passed) const;

 private:
  const SeawayDeviceTable* table_;
  void* mark_;
};

// Pinned memory of the host's, or memory of a device; null if there is none left.
void* allocate(std::size_t bytes, int device = kHost);
void deallocate(void* memory, int device = kHost);

}  // namespace seaway::device
