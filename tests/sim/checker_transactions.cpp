// What has to hold of ops that commit together.
#include <algorithm>

#include "sim/checker.h"
#include "sim/peer_process.h"
#include "sim/world.h"

namespace seaway::sim {

using collective::Contributor;
using collective::Descriptor;
using collective::Outcome;
using collective::Result;

PlannedOp Checker::unit_of(const PlannedOp& planned) const {
  return in_transactions_.contains(planned) ? PlannedOp{0, planned.update, kTransactionOp} : planned;
}

// All ops of a transaction, in all lanes, end alike, in one attempt and with the same replicas.
void Checker::check_transaction(const PeerProcess& peer, const Descriptor& descriptor, const Result& result) {
  const bool is_whole = result.op.is_transaction();
  const OpKey key = is_whole ? result.op : result.op.transaction();
  TransactionHistory& history = transactions_[{run_of(peer.id()), key}];
  history.told.push_back({peer.id(), result.outcome});
  const auto fails = [](Outcome outcome) { return outcome == Outcome::aborted || outcome == Outcome::refused; };
  const auto counts = [&](PeerId id) { return world_->remembers() || is_live_member(id); };
  const bool split = std::ranges::any_of(history.told, [&](const Told& one) {
    return is_success(one.outcome) && counts(one.peer) && std::ranges::any_of(history.told, [&](const Told& other) {
             return fails(other.outcome) && counts(other.peer);
           });
  });
  if (split) {
    throw Violation("a transaction succeeds here and fails there: " + text_of(key));
  }
  if (!is_success(result.outcome)) {
    return;
  }
  const bool is_everybodys = !collective::has_source(descriptor.kind);
  std::set<std::uint32_t> replicas;
  for (const Contributor& contributor : result.contributors) {
    replicas.insert(replica_of_.at(contributor.id));
  }
  if (!history.attempt || !(counts(history.first) && counts(peer.id()))) {
    history.attempt = result.value.attempt;
    history.replicas = is_everybodys ? replicas : history.replicas;
    history.first = peer.id();
  }
  if (history.replicas.empty() && is_everybodys) {
    history.replicas = replicas;
  }
  if (*history.attempt != result.value.attempt || (is_everybodys && replicas != history.replicas)) {
    throw Violation("a transaction has two attempts, or two sets of replicas: " + text_of(key));
  }
}

}  // namespace seaway::sim
