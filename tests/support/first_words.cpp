#include "support/first_words.h"

#include "wire/frame.h"
#include "wire/messages.h"

namespace seaway::support {

Bytes first_words_to_master(Random& random) {
  wire::Hello hello;
  hello.id = random.next();
  hello.uuid = {random.next(), random.next()};
  wire::Join join;
  join.name = "nobody";
  Bytes cut = wire::encode(wire::PeerMessage{join});
  cut.pop_back();
  cut[0] = static_cast<std::byte>(cut.size() - sizeof(std::uint32_t));  // its length agrees
  return wire::encode(wire::Opening{}) + wire::encode(wire::PeerMessage{hello}) + cut;
}

Bytes first_words_to_peer(Random& random) {
  const wire::LinkHello hello{.run = {random.next(), random.next()}, .from = random.next(), .to = random.next()};
  const Bytes body = wire::encode_payload(hello);
  return with_length(static_cast<std::uint32_t>(body.size()), body);
}

}  // namespace seaway::support
