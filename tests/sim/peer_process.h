// One life of a trainer's process: drives core::Peer and its engine as the runtime will (connections, memory, jobs),
// and runs the user's program on top of it.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "codec/codec.h"
#include "core/peer.h"
#include "core/relay_desk.h"
#include "sim/network.h"
#include "sim/program.h"

namespace seaway::sim {

class World;
struct Site;

class PeerProcess : public Endpoint {
 public:
  PeerProcess(World& world, Site& site, PeerId id, std::uint64_t seed);
  void start();

  PeerId id() const { return id_; }
  ProcessId process() const { return process_; }
  Site& site() const { return *site_; }
  const core::Peer& core() const { return peer_; }
  core::Peer& core() { return peer_; }
  Program& program() { return program_; }
  const Program& program() const { return program_; }
  bool alive() const { return alive_; }
  bool is_member() const { return alive_ && peer_.stage() == core::PeerStage::member; }

  // --- Faults ---
  void crash(bool silently);
  void crash_soon(int effects) { crash_after_ = effects; }
  void leave();
  std::vector<ConnId> links() const;
  // A frame is half received or half sent on this connection.
  bool in_mid_frame(ConnId conn) const;
  bool lands_payload(ConnId conn) const;  // of a PART or RESULT

  // --- The program's calls ---
  std::optional<OpHandle> post(const collective::Descriptor& descriptor, const PlannedOp& planned);
  std::optional<OpHandle> post(const collective::Descriptor& descriptor, const PlannedOp& planned,
                               std::vector<std::byte> input);
  const std::vector<std::byte>& input_of_op(OpHandle op) const { return memory_.at(op).input; }
  const std::optional<collective::Result>& result_of(OpHandle op) const { return memory_.at(op).result; }
  const std::vector<std::byte>& output_of(OpHandle op) const { return memory_.at(op).output; }
  void update();
  void close_transaction(OpHandle transaction);
  void cancel(OpHandle op);
  void synced(std::uint64_t revision);
  void later(Duration delay, std::function<void()> what);
  // After anything that may have given the cores something to do.
  void pump();

  // --- Network ---
  void on_accepted(ConnId conn) override;
  void on_connected(ConnId conn) override;
  void on_connect_failed(ConnId conn) override;
  void on_bytes(ConnId conn, std::span<const std::byte> bytes) override;
  void on_writable(ConnId conn) override;
  void on_closed(ConnId conn) override;

  void check() const;  // invariants, and that nobody wrote where nobody may

 private:
  struct Memory {
    std::vector<std::byte> input, original, output, scratch;
    std::vector<std::byte> coded_in, coded_out, partial, residual;
    std::set<std::uint64_t> kept;  // of coded_in: where parts begin that no connection reads
    collective::Descriptor descriptor;
    PlannedOp planned;
    bool posted = false;
    std::optional<collective::Result> result;
    bool ended = false;
    std::vector<std::byte> final_input, final_output;  // what must not change after the end
  };
  struct Outgoing {
    collective::OutFrame frame;
    std::vector<std::byte> aside;  // payload copied, because its op has ended
    bool copied = false;
  };
  struct LinkConn {
    bool dialled = false;
    bool control = false;
    PeerId peer = kNoPeer;
    PeerId relay = kNoPeer;  // both ends meet there
    bool met = false;        // and have
    bool linked = false;
    std::vector<std::byte> reading;  // of a hello or a header
    // The frame whose payload comes in.
    std::optional<wire::FrameHeader> header;
    std::optional<collective::Region> region;
    bool message = false;
    bool sink = false;
    std::vector<std::byte> payload;  // of a message
    std::uint32_t got = 0;
    // Frames that go out.
    std::deque<Outgoing> queue;
    std::size_t sent = 0;  // bytes of the front one
  };

  // A connection of others, of which I am the relay.
  struct Relayed {
    ConnId other = 0;  // what comes goes there; 0: it waits for one
    std::vector<std::byte> out;
    bool fin = false;
  };

  void perform(const core::PeerEffect& effect);
  void perform(const collective::EngineEffect& effect);
  void ended(const collective::OpEnded& end);
  bool dies_here();
  void exit_if_over();
  void measure();
  void schedule_tick();

  // The master's connection
  void read_master(std::span<const std::byte> bytes);

  // Links (peer_links.cpp)
  void dial(const core::Dial& dial);
  void send_hello(ConnId conn, const LinkConn& link);
  bool read_hello(ConnId conn);
  void meet(ConnId conn);
  void read_frames(ConnId conn, std::span<const std::byte> bytes);
  void begin_frame(ConnId conn, LinkConn& link);
  void end_frame(ConnId conn, LinkConn& link);
  void close_link(ConnId conn, bool closed_by_them);
  void send_frames(ConnId conn);
  void release(const collective::Release& effect);

  // For others (peer_relays.cpp)
  void relay(ConnId conn, const wire::LinkHello& hello);
  void join_relayed(ConnId one, const wire::LinkHello& hello, ConnId other);
  void flush_relayed(ConnId conn);
  void close_relayed(ConnId conn);
  void relayed_closed(ConnId conn);

  // Memory and jobs (peer_memory.cpp)
  std::byte* address(const collective::Region& region);
  void check_alone(const collective::Region& region, ConnId writer) const;  // 0: a job
  void check_is_hosts(const collective::Region& region) const;              // what connections read from and write to
  void start_jobs();
  const CodecKernels& codecs() const;
  void run_job(const collective::Job& job);
  std::uint64_t finish_job(const collective::Job& job, std::uint64_t hash);

  World* world_;
  Site* site_;
  PeerId id_;
  core::Peer peer_;
  Program program_;
  Random rates_;
  ProcessId process_ = 0;
  bool alive_ = true;
  bool unsynced_ = false;  // joined a stateful run, and no sync has committed here
  bool newcomer_ = false;  // joined a run that had begun, and the same
  bool synced_ = false;
  bool over_ = false;  // this incarnation has ended
  int crash_after_ = -1;
  bool pumping_ = false;
  bool pump_again_ = false;
  std::uint64_t pumps_ = 0;
  Time tick_at_ = kNever;

  ConnId master_ = 0;
  bool master_up_ = false;
  std::vector<std::byte> master_reading_;
  std::map<ConnId, LinkConn> links_;
  std::map<ConnId, Relayed> relayed_;
  core::RelayDesk desk_{16};

  std::map<OpHandle, Memory> memory_;
  std::map<SlotId, std::vector<std::byte>> slots_;
  std::unordered_set<SlotId> freed_;
};

}  // namespace seaway::sim
