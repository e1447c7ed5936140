// Changes a message in ways that still decode and that no healthy sender would say.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fuzz/support/input.h"
#include "wire/messages.h"

namespace seaway::fuzz {

// Some of its bytes are others, as long as it is still a message.
template <class Message>
Message damaged(const Message& message, std::optional<Message> (*decode)(std::span<const std::byte>), Input& input) {
  const std::vector<std::byte> encoded = wire::encode(message);
  std::vector<std::byte> body(encoded.begin() + wire::kControlHeaderBytes, encoded.end());
  for (std::uint32_t left = 1 + input.below(4); left > 0; --left) {
    body[input.number<std::uint16_t>() % body.size()] = static_cast<std::byte>(input.byte());
  }
  auto other = decode(body);
  return other ? std::move(*other) : message;
}

// One thing about the epoch contradicts another.
inline void distort(wire::EpochMessage& m, Input& input) {
  const std::uint8_t how = input.byte();
  const auto draw = [&](auto& list) -> auto& { return list[input.byte() % list.size()]; };
  switch (how % 16) {
    case 0:
      m.term = input.number<std::uint64_t>();
      break;
    case 1:
      m.epoch.number += static_cast<std::uint32_t>(input.number<std::int8_t>());
      break;
    case 2:
      m.cut.number += static_cast<std::uint32_t>(input.number<std::int8_t>());
      break;
    case 3:
      m.epoch.term = m.term - input.below(2);
      break;
    case 4:
      m.bases.clear();
      break;
    case 5:
      m.joins.push_back({input.below(8), input.byte(), {}});
      break;
    case 6:
      m.decisions.push_back({{0, input.below(4), input.below(2), input.below(4)},
                             static_cast<wire::Verdict>(1 + input.below(3)),
                             "a lie"});
      break;
    case 7:
      m.ladder_percent = input.byte() % 4u * 60'000;
      break;
    default:
      if (m.roster.empty() || m.bases.empty()) {
        break;
      }
      switch (how % 16) {
        case 8:
          m.roster.push_back(draw(m.roster));
          break;
        case 9:
          std::swap(draw(m.roster), draw(m.roster));
          break;
        case 10:
          draw(m.roster).generation = input.below(6);
          break;
        case 11:
          draw(m.roster).replica = input.below(4);
          break;
        case 12:
          draw(m.roster).lane = static_cast<std::uint16_t>(input.one_in(4) ? UINT16_MAX : input.below(3));
          break;
        case 13:
          draw(m.roster).id = input.below(32);
          break;
        case 14:
          m.bases.push_back(draw(m.bases));
          m.bases.back().generation += input.below(3);
          break;
        default:
          std::erase_if(m.roster, [id = draw(m.roster).id](const auto& member) { return member.id == id; });
      }
  }
}

}  // namespace seaway::fuzz
