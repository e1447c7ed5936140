// The size rules of the public structs, in one place.
//
// A struct says how long its caller's header made it. Sizes that some version had are taken, and longer ones, which a newer
// header made. What a caller gives in is copied into a struct of this version's size whose later fields have their
// defaults; a newer caller's bytes beyond it must be 0 (he does not use what this version does not know). What the library
// gives out is written as far as the caller's struct reaches; a newer caller's bytes beyond it become 0.
#pragma once

#include <seaway/master.h>
#include <seaway/seaway.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "capi/statuses.h"

namespace seaway::capi {

// The name of each struct and every size that it had. A version that appends a field appends its sizeof here, and writes
// the older ones as numbers.
template <class T>
struct Shape;
template <>
struct Shape<seaway_error> {
  static constexpr const char* kName = "seaway_error";
  static constexpr std::array kSizes = {sizeof(seaway_error)};
};
template <>
struct Shape<seaway_config> {
  static constexpr const char* kName = "seaway_config";
  static constexpr std::array kSizes = {std::size_t{104}, std::size_t{112}, std::size_t{136}, sizeof(seaway_config)};
};
template <>
struct Shape<seaway_view_info> {
  static constexpr const char* kName = "seaway_view_info";
  static constexpr std::array kSizes = {sizeof(seaway_view_info)};
};
template <>
struct Shape<seaway_member> {
  static constexpr const char* kName = "seaway_member";
  static constexpr std::array kSizes = {std::size_t{560}, sizeof(seaway_member)};
};
template <>
struct Shape<seaway_options> {
  static constexpr const char* kName = "seaway_options";
  static constexpr std::array kSizes = {std::size_t{56}, std::size_t{80}, std::size_t{96}, std::size_t{104},
                                        sizeof(seaway_options)};
};
template <>
struct Shape<seaway_result> {
  static constexpr const char* kName = "seaway_result";
  static constexpr std::array kSizes = {sizeof(seaway_result)};
};
template <>
struct Shape<seaway_sync_options> {
  static constexpr const char* kName = "seaway_sync_options";
  static constexpr std::array kSizes = {std::size_t{16}, sizeof(seaway_sync_options)};
};
template <>
struct Shape<seaway_sync_result> {
  static constexpr const char* kName = "seaway_sync_result";
  static constexpr std::array kSizes = {sizeof(seaway_sync_result)};
};
template <>
struct Shape<seaway_event> {
  static constexpr const char* kName = "seaway_event";
  static constexpr std::array kSizes = {sizeof(seaway_event)};
};
template <>
struct Shape<seaway_master_config> {
  static constexpr const char* kName = "seaway_master_config";
  static constexpr std::array kSizes = {sizeof(seaway_master_config)};
};

// No version will have larger structs; what says so was not filled by an _init function.
inline constexpr std::size_t kLargestStruct = 65536;

template <class T>
bool is_size_of(std::size_t size) noexcept {
  const auto& sizes = Shape<T>::kSizes;
  const bool known = std::find(sizes.begin(), sizes.end(), size) != sizes.end();
  return known || (size > sizeof(T) && size <= kLargestStruct);
}

// "" or what is wrong with the size.
template <class T>
std::string wrong_size(std::size_t size) {
  if (is_size_of<T>(size)) {
    return "";
  }
  return std::string(Shape<T>::kName) + ".struct_size is " + std::to_string(size) +
         ", which no version had: set it to sizeof(" + Shape<T>::kName + ")" + ", as its _init function does";
}

// What a caller gives in: `into` has the defaults and gets what the caller's struct has of it.
template <class T>
Error take(const T* from, T& into) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::size_t size = 0;
  std::memcpy(&size, from, sizeof size);
  if (std::string wrong = wrong_size<T>(size); !wrong.empty()) {
    return invalid(std::move(wrong));
  }
  const auto* const bytes = reinterpret_cast<const std::byte*>(from);
  if (size > sizeof(T) && std::any_of(bytes + sizeof(T), bytes + size, [](std::byte b) { return b != std::byte{0}; })) {
    return invalid(std::string(Shape<T>::kName) + " is of a newer version and uses a field that seaway " +
                   SEAWAY_VERSION_STRING + " does not know");
  }
  std::memcpy(static_cast<void*>(&into), from, std::min(size, sizeof(T)));
  return {};
}

// Status::ok if the caller's struct can be filled. NULL can: it is left out.
template <class T>
Error check_filled(const T* into) {
  T copy{};
  return into == nullptr ? Error{} : take(into, copy);
}

// What the library gives out. `*into` has a size that was checked; it is kept.
template <class T>
void give(T* into, const T& from) {
  std::size_t size = 0;
  std::memcpy(&size, into, sizeof size);
  std::memset(static_cast<void*>(into), 0, size);
  std::memcpy(static_cast<void*>(into), &from, std::min(size, sizeof(T)));
  std::memcpy(static_cast<void*>(into), &size, sizeof size);
}

// The _init functions: `defaults` in a struct of the caller's size.
template <class T>
seaway_status init(T* into, std::size_t size, const T& defaults) noexcept {
  if (into == nullptr || !is_size_of<T>(size)) {
    return SEAWAY_INVALID;
  }
  std::memcpy(static_cast<void*>(into), &size, sizeof size);
  give(into, defaults);
  return SEAWAY_OK;
}

}  // namespace seaway::capi
