// The fuzzer's bytes as a sequence of small choices, read from the front, so that a change at the end of an input leaves
// what it did before alone. When they are used up everything reads as zero: a driver stops at `empty()`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace seaway::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(std::as_bytes(std::span(data, size))) {}

  bool empty() const { return bytes_.empty(); }

  template <class T>
  T number() {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    const std::size_t size = std::min(sizeof value, bytes_.size());
    std::memcpy(&value, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return value;
  }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  // A number below `bound`, which is at most 256.
  std::uint32_t below(std::uint32_t bound) { return byte() % bound; }
  bool one_in(std::uint32_t n) { return below(n) == n - 1; }  // no, once the bytes are used up

  template <class List>
  auto& one_of(List& list) {
    return list[below(static_cast<std::uint32_t>(std::min<std::size_t>(list.size(), 256)))];
  }

  std::span<const std::byte> bytes(std::size_t most) {
    const auto taken = bytes_.first(std::min(most, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> rest() { return bytes(bytes_.size()); }
  std::string text(std::size_t most) {
    const auto taken = bytes(most);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

 private:
  std::span<const std::byte> bytes_;
};

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace seaway::fuzz
