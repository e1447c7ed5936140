#include "chaos/strangers.h"

#include <cstring>
#include <deque>

#include "chaos/handshake.h"
#include "support/first_words.h"
#include "support/process.h"
#include "support/stranger.h"
#include "wire/messages.h"

namespace seaway::chaos {

namespace {

using support::Bytes;
using support::operator+;

constexpr std::size_t kMostOpen = 400;  // more than a lobby has room for

Bytes draw_words(Random& random) {
  Bytes noise = support::random_bytes(random, random.below(4096));
  const Bytes first = random.one_in(2) ? support::first_words_to_master(random) : support::first_words_to_peer(random);
  Bytes hello = client_hello();
  switch (random.below(10)) {
    case 0:
      return noise;
    case 1:
      return support::with_length(static_cast<std::uint32_t>(noise.size()), noise);
    case 2:
      return wire::encode(wire::Opening{}) + support::with_length(static_cast<std::uint32_t>(random.next()), noise);
    case 3:
      return support::mutated(random, first);
    case 4:
      return first + noise;
    case 5:
      return hello;  // and the rest of a handshake never comes, or noise in its place
    case 6:
      hello.resize(random.below(hello.size()));
      return hello;
    case 7:
      return support::mutated(random, hello);
    case 8:
      return hello + noise;
    default:
      return {};
  }
}

}  // namespace

int run_strangers(const std::vector<std::string>& words) {
  Random random(std::stoull(words.at(1)));
  const double until = support::seconds_now() + std::stod(words.at(2));
  const std::vector<std::string> targets(words.begin() + 3, words.end());
  support::raise_descriptor_limit();
  std::deque<support::Stranger> open;
  while (support::seconds_now() < until) {
    support::Stranger stranger(targets[random.below(targets.size())]);
    if (!stranger.ok()) {
      continue;
    }
    stranger.say(draw_words(random));
    if (random.one_in(2)) {
      open.push_back(std::move(stranger));  // the others hang up
    }
    if (!open.empty() && random.one_in(4)) {
      open[random.below(open.size())].say(support::random_bytes(random, random.below(256)));
    }
    if (open.size() > kMostOpen) {
      open.pop_front();
    }
    support::sleep_for(0.002);
  }
  return 0;
}

}  // namespace seaway::chaos
