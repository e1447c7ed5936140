#include "wire/messages.h"

#include <type_traits>
#include <utility>

namespace seaway::wire {

// --- Fields, once each ----------------------------------------------------------------------------------------------

template <class A>
void fields(A& a, MemberInfo& m) {
  a(m.id);
  a(m.uuid);
  a(m.name, kMaxNameBytes);
  a(m.replica);
  a(m.lane);
  a(m.generation);
  a(m.rate_mbps);
  a(m.addresses, kMaxAddresses);
  a(m.key);
  a(m.site, kMaxSiteBytes);
}
template <class A>
void fields(A& a, JoinRecord& m) {
  a(m.generation);
  a(m.point);
  a(m.joiners, kMaxMembers);
}
template <class A>
void fields(A& a, BaseMember& m) {
  a(m.id);
  a(m.lane);
  a(m.rate_mbps);
  a(m.left);
  a(m.site);
}
template <class A>
void fields(A& a, Base& m) {
  a(m.generation);
  a(m.members, kMaxMembers);
}
template <class A>
void fields(A& a, Decision& m) {
  a(m.op);
  a(m.verdict, Verdict::abort);
  a(m.reason, kMaxReasonBytes);
}
template <class A>
void fields(A& a, OpReport& m) {
  a(m.op);
  a(m.status, OpStatus::current);
  a(m.value);
  a(m.fail_on_loss);
  a(m.roster_gone);
  a(m.essential_lost);
  a(m.mismatches);
}
template <class A>
void fields(A& a, Promise& m) {
  a(m.asked);
  a(m.term);
  a(m.count);
  a(m.joiners, kMaxMembers);
}

template <class A>
void fields(A& a, EpochMessage& m) {
  a(m.term);
  a(m.epoch);
  a(m.cut);
  a(m.roster, kMaxMembers);
  a(m.joins, kMaxMembers);
  a(m.bases, kMaxMembers);
  a(m.decisions, kMaxOpenOps);
  a(m.stateful);
  a(m.ladder_percent);
}
template <class A>
void fields(A& a, Resolve& m) {
  a(m.term);
  a(m.cut);
  a(m.decisions, kMaxOpenOps);
}
template <class A>
void fields(A& a, Ask& m) {
  a(m.term);
  a(m.epoch);
  a(m.joiners, kMaxMembers);
}
template <class A>
void fields(A& a, CancelAsk& m) {
  a(m.term);
  a(m.epoch);
}
template <class A>
void fields(A& a, Introduce& m) {
  a(m.peers, kMaxMembers);
}
template <class A>
void fields(A& a, Waiting& m) {
  a(m.reason, kMaxReasonBytes);
}
template <class A>
void fields(A& a, Refused& m) {
  a(m.reason, kMaxReasonBytes);
}
template <class A>
void fields(A& a, Evicted& m) {
  a(m.reason, kMaxReasonBytes);
}
template <class A>
void fields(A& a, HeartbeatReply& m) {
  a(m.stamp);
}

template <class A>
void fields(A& a, Hello& m) {
  a(m.version_low);
  a(m.version_high);
  a(m.run);
  a(m.uuid);
  a(m.id);
  a(m.promise);
  a(m.taken);
  a(m.was_addressed);
  a(m.learned, kMaxOpenOps);
  a(m.update_count);
}
template <class A>
void fields(A& a, Join& m) {
  a(m.name, kMaxNameBytes);
  a(m.replica);
  a(m.lane);
  a(m.lanes);
  a(m.min_world);
  a(m.rate_mbps);
  a(m.addresses, kMaxAddresses);
  a(m.site, kMaxSiteBytes);
}
template <class A>
void fields(A& a, Linked& m) {
  a(m.peers, kMaxMembers);
}
template <class A>
void fields(A& a, Report& m) {
  a(m.term);
  a(m.epoch);
  a(m.ops, kMaxOpenOps);
}
template <class A>
void fields(A& a, Promised& m) {
  a(m.promise);
}
template <class A>
void fields(A& a, Mismatch& m) {
  a(m.op);
}
template <class A>
void fields(A& a, CancelOp& m) {
  a(m.op);
  a(m.reason, kMaxReasonBytes);
}
template <class A>
void fields(A& a, Lost& m) {
  a(m.peer);
  a(m.kind, LostKind::stalled);
}
template <class A>
void fields(A&, Leave&) {}
template <class A>
void fields(A& a, Synced& m) {
  a(m.revision);
}
template <class A>
void fields(A& a, Heartbeat& m) {
  a(m.stamp);
  a(m.update_count);
  a(m.oldest_generation);
  a(m.finished, kMaxOpenOps);
  a(m.links);
  a(m.open_ops);
  a(m.rate_mbps);
}

template <class A>
void fields(A& a, Token& m) {
  a(m.id);
  a(m.secret);
  a(m.use, TokenUse::admin);
  a(m.expires);
  a(m.label, kMaxNameBytes);
  a(m.used_by);
  a(m.used_with);
}

// What its master wrote itself: as many decisions as it had. No list takes more memory than the record has bytes.
template <class A>
void fields(A& a, StoredRun& m) {
  constexpr std::uint32_t kAsWritten = ~std::uint32_t{0};
  a(m.term);
  a(m.version);
  a(m.author);
  a(m.run);
  a(m.epoch);
  a(m.cut);
  a(m.resolved);
  a(m.resolutions, kAsWritten);
  a(m.roster, kMaxMembers);
  a(m.joins, kAsWritten);
  a(m.bases, kAsWritten);
  a(m.decisions, kAsWritten);
  a(m.stateful);
  a(m.tokens, kMaxTokens);
  a(m.denied, kMaxDenied);
}

template <class A>
void fields(A& a, Opening& m) {
  a(m.magic);
  a(m.purpose, Purpose::enrol);
}

std::vector<std::byte> encode(const Opening& opening) { return framed(opening); }

std::optional<Opening> decode_opening(std::span<const std::byte> body) {
  const auto opening = unframed<Opening>(body);
  return opening && opening->magic == kMagic ? opening : std::nullopt;
}

std::vector<std::byte> encode(const MasterMessage& message) { return framed(message); }
std::vector<std::byte> encode(const PeerMessage& message) { return framed(message); }

std::optional<MasterMessage> decode_master_message(std::span<const std::byte> body) {
  return unframed<MasterMessage>(body);
}
std::optional<PeerMessage> decode_peer_message(std::span<const std::byte> body) { return unframed<PeerMessage>(body); }

std::vector<std::byte> encode(const StoredRun& stored) {
  Writer record;
  record(kStoredFormat);
  record(stored);
  return record.take();
}

std::optional<StoredRun> decode_stored(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  std::uint32_t format = 0;
  reader(format);
  StoredRun stored;
  reader(stored);
  if (!reader.finished() || format != kStoredFormat) {
    return std::nullopt;
  }
  return stored;
}

const char* name_of(const MasterMessage& message) {
  constexpr const char* names[] = {"EPOCH",   "RESOLVE", "ASK",     "CANCEL",         "INTRODUCE",
                                   "WAITING", "REFUSED", "EVICTED", "HEARTBEAT_REPLY"};
  static_assert(std::size(names) == std::variant_size_v<MasterMessage>);
  return names[message.index()];
}

const char* name_of(const PeerMessage& message) {
  constexpr const char* names[] = {"HELLO",     "JOIN", "LINKED", "REPORT", "PROMISED", "MISMATCH",
                                   "CANCEL_OP", "LOST", "LEAVE",  "SYNCED", "HEARTBEAT"};
  static_assert(std::size(names) == std::variant_size_v<PeerMessage>);
  return names[message.index()];
}

}  // namespace seaway::wire
