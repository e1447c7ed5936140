// The hello of links on the wire: {u32 length, LinkHello}, always of the same length.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "net/stream.h"
#include "wire/frame.h"

namespace seaway::runtime {

inline std::vector<std::byte> encode_hello(const wire::LinkHello& hello) {
  const std::vector<std::byte> body = wire::encode_payload(hello);
  const auto length = static_cast<std::uint32_t>(body.size());
  std::vector<std::byte> bytes(sizeof length);
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

// False: it did not leave. It is less than any socket's first buffer.
inline bool say_hello(net::Stream& stream, const wire::LinkHello& hello) {
  std::vector<std::byte> bytes = encode_hello(hello);
  iovec piece{bytes.data(), bytes.size()};
  return stream.send({&piece, 1}).bytes == bytes.size();
}

inline std::size_t encoded_hello_bytes() { return encode_hello({}).size(); }

inline std::optional<wire::LinkHello> decode_hello(std::span<const std::byte> body) {
  return wire::decode_payload<wire::LinkHello>(body);
}

}  // namespace seaway::runtime
