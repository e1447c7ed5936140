#include "runtime/join_string.h"

#include <charconv>
#include <fstream>
#include <iterator>

#include "base/hex.h"
#include "base/limits.h"
#include "net/address.h"

namespace seaway::runtime {

namespace {

constexpr std::size_t kTokenDigits = 48;
constexpr std::size_t kPinDigits = 64;
constexpr std::size_t kNumberDigits = 16;
constexpr const char* kForm = "seaway1/HOST:PORT/TOKEN/PIN";

template <class T>
bool read_hex(const std::string& text, std::size_t at, std::size_t digits, T& number) {
  const char* end = text.data() + at + digits;
  const auto result = std::from_chars(text.data() + at, end, number, 16);
  return result.ec == std::errc() && result.ptr == end;
}

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string trimmed(const std::string& text) {
  const std::size_t from = text.find_first_not_of(" \t\r\n");
  return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

}  // namespace

std::optional<std::string> join_text(const std::string& given, std::string& problem) {
  constexpr std::size_t kMost = 4096;
  std::string text = trimmed(given);
  if (!text.starts_with("@")) {
    return text;
  }
  const std::string path = text.substr(1);
  std::ifstream file(path, std::ios::binary);
  std::string contents((std::istreambuf_iterator<char>(file)), {});
  if (!file.is_open() || contents.empty() || contents.size() > kMost) {
    // A join string itself may stand behind the @.
    problem = path.find("seaway1/") != std::string::npos
                  ? "a join string stands behind an @, which is for a file's name"
              : !file.is_open()  ? path + " cannot be read"
              : contents.empty() ? path + " is empty"
                                 : path + " is too long for a join string";
    return std::nullopt;
  }
  return trimmed(contents);
}

std::string to_hex(const KeyHash& hash) {
  std::string text;
  for (const std::uint8_t byte : hash) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string to_string(const JoinString& join) {
  std::string text = "seaway1/";
  for (std::size_t i = 0; i < join.addresses.size(); ++i) {
    text += (i == 0 ? "" : ",") + join.addresses[i];
  }
  return text + "/" + hex(join.token) + hex(join.secret) + "/" + to_hex(join.pin);
}

std::optional<JoinString> parse_join_string(const std::string& given, std::string& problem) {
  const std::string text = trimmed(given);
  const std::vector<std::string> parts = split(text, '/');
  if (parts.front() != "seaway1") {
    problem = "it does not begin with \"seaway1/\": a join string is " + std::string(kForm) +
              ", as `seaway master` prints it";
    return std::nullopt;
  }
  if (parts.size() != 4) {
    problem =
        "it has " + std::to_string(parts.size()) + " parts between slashes, not 4 (" + kForm + "): was it cut off?";
    return std::nullopt;
  }
  JoinString join;
  join.addresses = split(parts[1], ',');
  if (join.addresses.size() > kMaxAddresses) {
    problem = "it names more than 8 addresses";
    return std::nullopt;
  }
  for (std::size_t i = 0; i < join.addresses.size(); ++i) {
    const auto parsed = net::parse_host_port(join.addresses[i], problem);
    if (!parsed || parsed->host.empty() || parsed->port == 0) {
      // Not in its words: where a slash is missing, the token stands in it.
      problem = "what it has as address " + std::to_string(i + 1) + " is no HOST:PORT";
      return std::nullopt;
    }
  }
  if (parts[2].size() != kTokenDigits || !read_hex(parts[2], 0, kNumberDigits, join.token) ||
      !read_hex(parts[2], kNumberDigits, kNumberDigits, join.secret.high) ||
      !read_hex(parts[2], 2 * kNumberDigits, kNumberDigits, join.secret.low)) {
    problem = "its token is not " + std::to_string(kTokenDigits) + " hex digits but " +
              std::to_string(parts[2].size()) + " characters";
    return std::nullopt;
  }
  bool is_pin = parts[3].size() == kPinDigits;
  for (std::size_t i = 0; is_pin && i < join.pin.size(); ++i) {
    is_pin = read_hex(parts[3], 2 * i, 2, join.pin[i]);
  }
  if (!is_pin) {
    problem = "its pin is not " + std::to_string(kPinDigits) + " hex digits but " + std::to_string(parts[3].size()) +
              " characters: was it cut off?";
    return std::nullopt;
  }
  return join;
}

}  // namespace seaway::runtime
