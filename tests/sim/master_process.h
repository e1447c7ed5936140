// One life of the master's program: drives core::Master as the daemon will.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/compared_write.h"
#include "core/master.h"
#include "sim/network.h"

namespace seaway::sim {

class World;

class MasterProcess : public Endpoint {
 public:
  MasterProcess(World& world, std::uint64_t seed);
  void start();
  void crash();
  void crash_soon(int effects) { crash_after_ = effects; }
  void lose_lease();
  void evict(PeerId peer) { step(core::EvictRequest{peer, "a test wants it"}); }
  bool alive() const { return alive_; }
  ProcessId process() const { return process_; }
  const core::Master& core() const { return master_; }

  void on_accepted(ConnId conn) override;
  void on_connected(ConnId) override {}
  void on_connect_failed(ConnId) override {}
  void on_bytes(ConnId conn, std::span<const std::byte> bytes) override;
  void on_writable(ConnId) override {}
  void on_closed(ConnId conn) override;

 private:
  void step(const core::MasterInput& input);
  void perform(core::MasterEffects& effects);
  void on_ask(const wire::Ask& ask);
  void write(const core::WriteStore& write);
  void try_to_write(std::uint64_t write);
  void schedule_tick();

  World* world_;
  core::Master master_;
  ProcessId process_ = 0;
  bool alive_ = true;
  int crash_after_ = -1;
  std::pair<Epoch, std::vector<PeerId>> asked_;  // the last ASK: its epoch and joiners
  Time tick_at_ = kNever;
  std::optional<core::ComparedWrite> writing_;
  std::map<ConnId, std::vector<std::byte>> reading_;
  std::map<ConnId, PeerId> speakers_;
};

}  // namespace seaway::sim
