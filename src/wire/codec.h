// Bytes on the wire, little-endian, every length checked before memory is taken.
//
// A message lists its fields once, in `template <class Archive> void fields(Archive& archive, Message& message)`;
// `Writer` and `Reader` are the two archives, so that encoding and decoding cannot drift apart.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace seaway::wire {

static_assert(std::endian::native == std::endian::little, "seaway runs on little-endian machines");

template <class T>
concept Number = std::is_arithmetic_v<T> && !std::same_as<T, bool>;

template <class T>
concept PinnedEnum = std::is_enum_v<T>;

class Writer {
 public:
  static constexpr bool kReading = false;

  Writer() { bytes_.reserve(64); }  // most messages between peers: one piece of memory instead of several

  template <Number T>
  void operator()(const T& number) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&number);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof number);
  }
  void operator()(const bool& flag) { (*this)(static_cast<std::uint8_t>(flag)); }

  template <PinnedEnum T>
  void operator()(const T& value, [[maybe_unused]] T last) {
    (*this)(static_cast<std::underlying_type_t<T>>(value));
  }
  void operator()(const std::string& text, [[maybe_unused]] std::uint32_t most) {
    (*this)(static_cast<std::uint32_t>(text.size()));
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), bytes, bytes + text.size());
  }
  void operator()(const KeyHash& hash) {
    for (const std::uint8_t byte : hash) {
      (*this)(byte);
    }
  }
  template <class T>
  void operator()(const std::vector<T>& list, [[maybe_unused]] std::uint32_t most) {
    (*this)(static_cast<std::uint32_t>(list.size()));
    for (const T& item : list) {
      element(item);
    }
  }
  template <class T>
  void operator()(const std::optional<T>& maybe) {
    (*this)(maybe.has_value());
    if (maybe) {
      element(*maybe);
    }
  }
  // One byte says which: the alternative's place. New ones go to the end.
  template <class... T>
  void operator()(const std::variant<T...>& one_of) {
    (*this)(static_cast<std::uint8_t>(one_of.index()));
    std::visit([this](const auto& message) { (*this)(message); }, one_of);
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(const T& message) {
    fields(*this, const_cast<T&>(message));  // `fields` takes what both archives can take; a Writer only reads it
  }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  template <class T>
  void element(const T& item) {
    if constexpr (std::same_as<T, std::string>) {
      (*this)(item, 0);
    } else {
      (*this)(item);
    }
  }

  std::vector<std::byte> bytes_;
};

// Reads what a Writer wrote. After anything that does not fit, `ok()` is false for good and all later reads give zeros.
class Reader {
 public:
  static constexpr bool kReading = true;

  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <Number T>
  void operator()(T& number) {
    if (!ok_ || bytes_.size() < sizeof number) {
      ok_ = false;
      number = 0;
      return;
    }
    std::memcpy(&number, bytes_.data(), sizeof number);
    bytes_ = bytes_.subspan(sizeof number);
  }
  void operator()(bool& flag) {
    std::uint8_t number = 0;
    (*this)(number);
    ok_ = ok_ && number <= 1;
    flag = number == 1;
  }
  // Enumerators are numbered from 1 to `last`.
  template <PinnedEnum T>
  void operator()(T& value, T last) {
    std::underlying_type_t<T> number = 0;
    (*this)(number);
    ok_ = ok_ && number >= 1 && number <= static_cast<std::underlying_type_t<T>>(last);
    value = ok_ ? static_cast<T>(number) : last;
  }
  void operator()(std::string& text, std::uint32_t most) {
    const std::uint32_t size = length(most);
    text.assign(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
  }
  void operator()(KeyHash& hash) {
    for (std::uint8_t& byte : hash) {
      (*this)(byte);
    }
  }
  template <class T>
  void operator()(std::vector<T>& list, std::uint32_t most) {
    // No element takes less than a byte, so that a promised length never takes more memory than came.
    const std::uint32_t size = length(most);
    list.clear();
    for (std::uint32_t i = 0; i < size && ok_; ++i) {
      list.emplace_back();
      element(list.back());
    }
  }
  template <class T>
  void operator()(std::optional<T>& maybe) {
    bool present = false;
    (*this)(present);
    maybe.reset();
    if (present && ok_) {
      element(maybe.emplace());
    }
  }
  template <class... T>
  void operator()(std::variant<T...>& one_of) {
    std::uint8_t index = 0;
    (*this)(index);
    ok_ = ok_ && index < sizeof...(T);
    if (ok_) {
      read_alternative(one_of, index, std::index_sequence_for<T...>());
    }
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(T& message) {
    fields(*this, message);
  }

  bool ok() const { return ok_; }
  // All of it was read and all of it made sense.
  bool finished() const { return ok_ && bytes_.empty(); }

 private:
  static constexpr std::uint32_t kMaxElementText = 256;  // a string inside a list: an address

  template <class Variant, std::size_t... I>
  void read_alternative(Variant& one_of, std::size_t index, std::index_sequence<I...>) {
    static_cast<void>(((index == I ? ((*this)(one_of.template emplace<I>()), true) : false) || ...));
  }
  std::uint32_t length(std::uint32_t most) {
    std::uint32_t size = 0;
    (*this)(size);
    if (size > most || size > bytes_.size()) {
      ok_ = false;
      return 0;
    }
    return size;
  }
  template <class T>
  void element(T& item) {
    if constexpr (std::same_as<T, std::string>) {
      (*this)(item, kMaxElementText);
    } else {
      (*this)(item);
    }
  }

  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

template <class Archive>
void fields(Archive& archive, Uuid& uuid) {
  archive(uuid.high);
  archive(uuid.low);
}
template <class Archive>
void fields(Archive& archive, Epoch& epoch) {
  archive(epoch.term);
  archive(epoch.number);
}
template <class Archive>
void fields(Archive& archive, OpKey& op) {
  archive(op.lane);
  archive(op.generation);
  archive(op.tag);
  archive(op.seq);
  archive(op.source);
  archive(op.target);
}
template <class Archive>
void fields(Archive& archive, Value& value) {
  archive(value.attempt);
  archive(value.contributors);
  archive(value.bits);
}

// {u32 length, body}: how a message travels to or from the master.
template <class Message>
std::vector<std::byte> framed(const Message& message) {
  Writer body;
  body(message);
  const std::vector<std::byte> bytes = body.take();
  Writer whole;
  whole(static_cast<std::uint32_t>(bytes.size()));
  std::vector<std::byte> out = whole.take();
  out.insert(out.end(), bytes.begin(), bytes.end());
  return out;
}

// `body` is what follows the length. nullopt when it is not exactly one message.
template <class Message>
std::optional<Message> unframed(std::span<const std::byte> body) {
  Reader reader(body);
  std::optional<Message> message(std::in_place);
  reader(*message);
  return reader.finished() ? std::move(message) : std::nullopt;
}

}  // namespace seaway::wire
