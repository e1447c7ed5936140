// Whether the first bytes of a connection are TLS's. What they are otherwise is mostly this protocol in plaintext: an end that
// was started with another option than the rest, and shall be told so in words.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace seaway::net {

class TlsFirstBytes {
 public:
  void add(std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size() && have_ < first_.size(); ++i) {
      first_[have_++] = static_cast<std::uint8_t>(bytes[i]);
    }
  }

  // A record of TLS begins with its kind, here of a handshake or an alert, and a version 3.x. A plaintext opening begins with
  // its length, which may look the same, and its magic.
  bool may_be_tls() const {
    constexpr std::uint8_t kAlert = 21;
    constexpr std::uint8_t kHandshake = 22;
    return (have_ < 1 || first_[0] == kAlert || first_[0] == kHandshake) && (have_ < 2 || first_[1] == 3) &&
           (have_ < first_.size() || !std::equal(kMagic.begin(), kMagic.end(), first_.begin() + kLength));
  }

 private:
  static constexpr std::size_t kLength = 4;
  static constexpr std::array<std::uint8_t, 8> kMagic = {0, 's', 'e', 'a', 'w', 'a', 'y', '1'};

  std::array<std::uint8_t, kLength + kMagic.size()> first_{};
  std::size_t have_ = 0;
};

}  // namespace seaway::net
