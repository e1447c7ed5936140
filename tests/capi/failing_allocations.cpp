#include "failing_allocations.h"

#include <cstdlib>
#include <new>

namespace {

thread_local int left = 0;  // allocations until the one that fails

}  // namespace

void fail_allocation(int at) { left = at; }

void* operator new(std::size_t size) {
  void* const memory = left > 0 && --left == 0 ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
