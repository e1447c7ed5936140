// A communicator: what the C API stands on. Thread-safe: any call from any thread.
//
// One thread at a time does all of its I/O, runs the cores and the reductions (`PeerHost`): a caller that waits here, or the
// communicator's own while nobody does (`Driver`). Calls on an object after `close()` return Status::closed; after fork(), in
// the child, Status::forked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "collective/boundary.h"
#include "device/library.h"
#include "wire/messages.h"

namespace seaway::runtime {

// Files in PEM with which a peer enrols in place of a join string (net/pki.h). All are given, or none.
struct PkiFiles {
  std::string authorities;
  std::string certificate;
  std::string key;
};

struct CommunicatorConfig {
  std::string join;    // the join string; neither in plaintext nor with an own PKI
  std::string master;  // HOST:PORT; in plaintext, and with an own PKI
  PkiFiles pki;
  std::string name;  // "": HOSTNAME:PID
  std::optional<std::uint32_t> replica;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 1;
  std::uint32_t min_world = 1;
  std::string listen;                  // "": every address, a drawn port
  std::vector<std::string> advertise;  // empty: see seaway.h
  std::uint32_t connections = 0;       // of each link; 0: as many as help
  std::uint32_t rate_mbps = 0;
  std::uint64_t kept_bytes = 1ull << 30;
  bool plaintext = false;
  Uuid uuid;         // 0: drawn
  std::string site;  // a label; "": a site of its own
};

// Reads what the config names by a file: a join string behind an "@". And looks whether the PKI's files are good: they are read at
// each join, but what is wrong with them is better said at once. Status::ok, or invalid, as validate() says it.
Error read_files(CommunicatorConfig& config);

// What is wrong with the config: Status::ok, or invalid and a text that names the field as seaway.h does.
Error validate(const CommunicatorConfig& config);

// A snapshot of the membership, immutable.
struct View {
  Epoch epoch;
  std::uint32_t generation = 0;
  std::uint64_t update_count = 0;
  PeerId self = kNoPeer;
  std::uint32_t rank = 0;        // of my replica
  std::uint32_t world_size = 0;  // replicas
  std::uint16_t lanes = 1;
  std::vector<wire::MemberInfo> members;  // in roster order, all lanes
  std::vector<PeerId> base;               // of my lane, with those that were lost since my generation began
  bool synced = false;  // false: it joined a run that had begun, and no state sync has committed at it
};

// A piece of the caller's memory. Pieces of one op stand one after the other, in the order of the list.
struct Span {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
};

class Operation;

struct OpRequest {
  collective::Descriptor
      descriptor;         // count: elements of all spans, or of one block of them all; in_place: set by `out`.
                          // Of a transfer the end that is not given is this peer
  double deadline_s = 0;  // 0: none; counted from the start (descriptor.deadline is set from it)
  std::vector<Span>
      in;  // barrier: empty. broadcast: the root's data, or where the others want it. transfer: the sender's
  std::vector<Span> out;               // empty: in place. Never of ops of blocks. transfer: the receiver's
  std::vector<Span> residual;          // of an op that feeds back; as long as `in`
  int device = device::kHost;          // where all of these lie
  std::shared_ptr<device::Mark> mark;  // of the caller's stream there, which the op's copies wait for
  std::shared_ptr<Operation>
      transaction;  // that it is in, of the same communicator; descriptor.transaction is set from it
};

struct Event {
  enum class Kind : std::uint8_t { none = 0, op_done = 1, epoch_changed = 2, evicted = 3, log = 4 };
  Kind kind = Kind::none;
  std::uint64_t user = 0;  // of op_done: Operation::user
  Epoch epoch;
  std::string text;
};

class Communicator;

// One op that was started. Final once status() is no longer pending; it never changes after that. Outlives its
// communicator: its ops end undecided when that closes.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual Status status() const = 0;                // pending until final
  virtual collective::Result result() const = 0;    // of a final op
  virtual Epoch ended_epoch() const = 0;            // when it ended
  virtual std::uint64_t scratch_bytes() const = 0;  // that the library took for it, besides slots
  virtual Error error() const = 0;  // of a final op that failed, or where a pending one is (status pending)
  virtual void cancel(const std::string& reason) = 0;
  // Of a transaction that is not closed: no op comes any more, and if so it is cancelled.
  virtual void close_transaction(bool /*cancelled*/) {}
  virtual const Communicator* communicator() const = 0;
};
using OperationPtr = std::shared_ptr<Operation>;

class Communicator {
 public:
  // `config` is valid. No I/O.
  static std::shared_ptr<Communicator> create(CommunicatorConfig config);
  virtual ~Communicator() = default;

  // Time-outs in seconds; 0 polls, negative waits. Results as documented in seaway.h.
  virtual Status join(double timeout) = 0;
  virtual Status update(double timeout) = 0;
  virtual Status leave(double timeout) = 0;
  // Fences itself, ends open ops UNDECIDED, stops the thread. No buffer is touched after it. Blocks for about a second at most.
  virtual void close() = 0;

  virtual std::shared_ptr<const View> view() const = 0;  // null: no member
  virtual Error last_error() const = 0;  // while joining or updating (status pending): what it waits for

  // Status::ok and an operation, or an error (and last_error). Returns at once. `user` is handed back with op_done.
  // An op that the engine refuses at post (not a member, too many) ends with that status: the operation says so.
  virtual Status start(const OpRequest& request, std::uint64_t user, OperationPtr& operation) = 0;

  // Waits until all (or any) of these ops, all of this communicator's, are final. pending: the time-out passed.
  virtual Status wait(std::span<const OperationPtr> ops, bool any, double timeout) = 0;

  // Around a state sync. Between the two an update is busy, so that everything of the sync is of one generation. With the
  // revision of one that has committed, what `self` posts from now on contributes.
  virtual Error begin_sync(std::shared_ptr<const View>& view) = 0;
  virtual void end_sync(PeerId self, std::optional<std::uint64_t> revision) = 0;

  // A descriptor that polls readable while events wait; -1: none could be made. Closed with the communicator.
  virtual int event_fd() = 0;
  virtual Event next_event() = 0;
};

}  // namespace seaway::runtime
