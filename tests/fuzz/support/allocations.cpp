#include "fuzz/support/allocations.h"

#include <cstdlib>
#include <new>

namespace seaway::fuzz {
namespace {

struct Counts {
  bool watched = false;
  std::size_t bytes = 0;
  std::uint64_t allocations = 0;
  std::uint64_t fail_at = 0;
};
thread_local Counts counts;

bool may_allocate(std::size_t size) {
  if (!counts.watched) {
    return true;
  }
  counts.bytes += size;
  return ++counts.allocations != counts.fail_at;
}

void* try_to_allocate(std::size_t size) { return may_allocate(size) ? std::malloc(size == 0 ? 1 : size) : nullptr; }

void* allocate(std::size_t size) {
  void* memory = try_to_allocate(size);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

Watch::Watch(std::uint64_t fail_at) { counts = {true, 0, 0, fail_at}; }
Watch::~Watch() { counts = {}; }
std::size_t Watch::bytes() const { return counts.bytes; }
bool Watch::has_failed() const { return counts.fail_at != 0 && counts.allocations >= counts.fail_at; }

}  // namespace seaway::fuzz

void* operator new(std::size_t size) { return seaway::fuzz::allocate(size); }
void* operator new[](std::size_t size) { return seaway::fuzz::allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return seaway::fuzz::try_to_allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return seaway::fuzz::try_to_allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
