// Drives a collective::Engine as the runtime does, against peers that say whatever the bytes make them say.
//
// It keeps what an owner has to keep (docs of collective/engine.h): one frame at a time on a connection; a header that the
// wire decodes; the payload after its header; on_lost after a Refuse and after CloseLinkConnection, and nothing of that
// connection any more; jobs done once; each Release answered once. As in runtime/link_connection.cpp several frames of
// one connection may be handed over before the engine's effects are looked at.
//
// It holds the engine to its side: every region lies in memory that is there, sources are as long as what is made of
// them, nothing is freed that somebody touches, an op ends once, and what leaves can be decoded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "collective/engine.h"
#include "fuzz/support/input.h"

namespace seaway::fuzz {

class EngineDriver {
 public:
  struct Owner {
    std::function<std::vector<collective::EngineEffect>()> effects;
    std::function<void(ConnId conn, PeerId peer)> lost;  // tells the engine of it
  };

  EngineDriver(collective::Engine& engine, PeerId self, Owner owner) : engine_(engine), self_(self), owner_(owner) {}

  Time now = kSecond;

  // --- What the bytes may do ---
  void post(Input& input);
  void cancel(Input& input);
  void receive(Input& input);  // a frame begins, or one that had begun is all there
  void send(Input& input);
  void work(Input& input);  // jobs are taken and done, in any order
  void answer_releases();
  // Performs effects until there are none.
  void settle();

  // --- Connections, as the owner has told the engine of them ---
  void attached(ConnId conn, PeerId peer) { connections_[conn].peer = peer; }
  void lose(ConnId conn);
  void lose_all(PeerId peer);
  std::vector<ConnId> connections() const;

  // What frames may name.
  std::uint32_t generation = 1;
  Epoch epoch;
  Cut cut;
  bool answer_at_once = true;  // Release

  bool has_open_ops() const { return memory_.size() > unposted_.size(); }
  const std::set<OpKey>& posted() const { return posted_; }

 private:
  struct Incoming {
    PeerId peer = kNoPeer;
    std::optional<wire::FrameHeader> header;
    std::optional<collective::Region> region;
    bool is_message = false;
    std::vector<std::byte> payload;
  };
  struct Memory {
    std::uint64_t input = 0;   // bytes
    std::uint64_t output = 0;  // of the scratch too
    bool has_scratch = false;
    bool on_device = false;
    bool lands_on_device = false;
    std::uint64_t coded_in = 0;
    std::uint64_t coded_out = 0;
    std::uint64_t partial = 0;
    std::uint64_t residual = 0;

    std::uint64_t bytes_of(collective::Buffer buffer) const;
  };

  OpKey draw_op(Input& input);
  Cut draw_attempt(Input& input);
  std::vector<std::byte> draw_payload(Input& input, wire::FrameHeader& header);
  wire::FrameHeader draw_frame(Input& input, PeerId from, std::vector<std::byte>& payload);
  void begin_frame(ConnId conn, Input& input);
  void end_frame(ConnId conn);
  void check(const collective::Region& region, bool may_be_new);
  void check(const collective::Job& job);
  void check_is_hosts(const collective::Region& region);
  void perform(const collective::EngineEffect& effect);
  void release(const collective::Release& effect);

  collective::Engine& engine_;
  PeerId self_;
  Owner owner_;
  std::map<ConnId, Incoming> connections_;
  std::map<OpHandle, Memory> memory_;  // of the ops that have not ended
  std::set<OpHandle> unposted_;        // of these, those whose result is held for a post
  std::map<SlotId, std::uint32_t> slots_;
  std::set<SlotId> freed_;
  std::vector<collective::Job> jobs_;  // taken, not done
  std::vector<collective::Release> releases_;
  std::map<OpKey, collective::Descriptor> descriptors_;
  std::set<OpKey> posted_;
  std::map<OpKey, Value> held_;  // as the engine's HOLDs say
  std::map<PeerId, std::uint64_t> link_seqs_;
  std::map<OpKey, std::uint32_t> next_seq_;  // by the key of the first
};

}  // namespace seaway::fuzz
