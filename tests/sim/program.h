// The user's program: between update u and update u + 1 every member runs batch(u), the same function of (seed, u) for
// everybody. A newcomer starts at the update count at which it was admitted.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "collective/boundary.h"
#include "hash/hash.h"
#include "sim/options.h"

namespace seaway::sim {

inline std::uint64_t mix(std::initializer_list<std::uint64_t> numbers) {
  return combine(std::span(numbers.begin(), numbers.size()));
}

class World;
class PeerProcess;
class SharedState;

// Which op of the program this is, whoever runs it.
struct PlannedOp {
  std::uint16_t lane = 0;
  std::uint64_t update = 0;
  std::uint32_t index = 0;
  auto operator<=>(const PlannedOp&) const = default;
};

// Which of a batch commit together. The transaction itself is a planned op of its own.
struct PlannedTransaction {
  std::size_t first = 0;
  std::size_t count = 0;  // 0: none
  bool fail_on_loss = false;
};
inline constexpr std::uint32_t kTransactionOp = 500;

struct Batch {
  enum class Step : std::uint8_t { op, open, close };
  std::vector<collective::Descriptor>
      ops;  // members are positions in the generation's base, whose size `blocks` will be; an exchange has no lists yet
  bool at_once = false;   // all posted before the first is waited for
  bool has_tail = false;  // the last one has a tag of its own and a deadline: a member may skip it
  std::optional<PlannedTransaction> transaction;
  std::vector<std::pair<Step, std::uint32_t>> steps;  // in their order, those of ops with their index
  bool is_in_transaction(std::uint32_t index) const {
    return transaction && index >= transaction->first && index < transaction->first + transaction->count;
  }
};
Batch batch_of(const Options& options, std::uint64_t update);

// What goes from one to the other in this exchange, the same for whoever asks.
std::uint64_t exchanged_count(std::uint64_t seed, const PlannedOp& op, std::uint32_t most_elements, PeerId from,
                              PeerId to);

// What this member contributes to this op, and the residual that it adds, if it does.
std::vector<std::byte> input_of(std::uint64_t seed, PeerId peer, const PlannedOp& op,
                                const collective::Descriptor& descriptor);
std::vector<std::byte> residual_of(std::uint64_t seed, PeerId peer, const PlannedOp& op,
                                   const collective::Descriptor& descriptor);

// Ops of a state sync are planned ops from here on.
inline constexpr std::uint32_t kFirstSyncOp = 1000;

class Program {
 public:
  Program(World& world, PeerProcess& peer);
  ~Program();

  void begin(std::uint64_t update);
  void updated(std::uint64_t update);
  void synced();
  void ended(OpHandle op, const collective::Result& result);
  void stop() { stopped_ = true; }
  bool finished() const { return finished_; }
  std::uint64_t update_count() const { return update_; }
  std::string what_it_waits_for() const;

  // --- Faults: what this member does wrong next ---
  bool differ = false;     // posts another descriptor once
  bool skip_tail = false;  // does not post the tail of a batch
  bool slow = false;       // posts late, once
  bool hurry = false;      // gives its next op a deadline
  bool invalid = false;    // posts with arguments that are wrong by themselves first
  void cancel_one();
  void expect_failures();  // of all that runs here

 private:
  void post_next();
  void take_step();
  void post_one(std::uint32_t index);
  void open_transaction();
  bool posts_late() const;
  void add_quorum(collective::Descriptor& op, std::uint32_t index) const;
  void batch_done();
  std::vector<PeerId> base() const;  // of my generation
  bool place_members(collective::Descriptor& op, const PlannedOp& planned) const;
  void draw_lists(collective::Descriptor& op, const PlannedOp& planned) const;
  std::map<OpHandle, PlannedOp> running() const;

  World* world_;
  PeerProcess* peer_;
  std::unique_ptr<SharedState> state_;
  Batch batch_;
  std::uint64_t update_ = 0;
  std::size_t next_ = 0;      // of the batch's steps
  OpHandle transaction_ = 0;  // open here
  std::map<OpHandle, PlannedOp> running_;
  bool updating_ = false;
  bool finished_ = false;
  bool stopped_ = false;
};

}  // namespace seaway::sim
