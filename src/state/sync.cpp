#include "state/sync.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mutant.h"

namespace seaway::state {

using collective::Descriptor;
using collective::OpKind;
using collective::Outcome;

namespace {

constexpr std::uint64_t kTag = collective::kLibraryTags;

Descriptor library_op(OpKind kind, DType dtype, std::uint64_t count, std::uint64_t layout) {
  Descriptor op;
  op.kind = kind;
  op.dtype = dtype;
  op.count = count;
  op.tag = kTag;
  op.layout = layout;
  return op;
}

Descriptor all_reduce(DType dtype, Reduction reduction, std::uint64_t count, std::uint64_t layout) {
  Descriptor op = library_op(OpKind::all_reduce, dtype, count, layout);
  op.reduction = reduction;
  op.in_place = true;
  return op;
}

Descriptor broadcast(PeerId root, bool has_data, std::uint64_t bytes, std::uint64_t layout) {
  Descriptor op = library_op(OpKind::broadcast, DType::u8, bytes, layout);
  op.root = root;
  op.has_data = has_data;
  return op;
}

template <class T>
std::span<std::byte> bytes_of(std::vector<T>& list) {
  return std::as_writable_bytes(std::span(list));
}

}  // namespace

const char* name_of(Step step) {
  constexpr const char* names[] = {
      "?", "comparing", "listing leaves", "listing what is lacking", "fetching leaves", "agreeing that all is there"};
  return names[static_cast<std::size_t>(step)];
}

Sync::Sync(SyncConfig config, std::vector<Hash128> hashes)
    : config_(std::move(config)),
      hashes_(std::move(hashes)),
      staged_(hashes_.size()),
      digest_(digest_of(hashes_)),
      places_(hashes_.size(), Place::nowhere) {
  SEAWAY_ASSERT(hashes_.size() == config_.leaves.size(), "every leaf has a hash");
  begin_round();
}

void Sync::reuse(std::span<const std::optional<Hash128>> staged) {
  SEAWAY_ASSERT(staged.size() == staged_.size(), "the staging memory is that of the same tensors");
  std::copy(staged.begin(), staged.end(), staged_.begin());
}

// --- Rounds ---------------------------------------------------------------------------------------------------------

void Sync::begin_round() {
  ++round_;
  if (round_ > 1) {
    SEAWAY_MARK("a state sync begins another round");
  }
  list_.clear();
  list_is_right_ = false;
  groups_.clear();
  table_.assign(config_.members.size() * kRowWords, 0);
  const auto me = std::find(config_.members.begin(), config_.members.end(), config_.self);
  SEAWAY_ASSERT(me != config_.members.end(), "a member stands in the base of its generation");
  const auto row = static_cast<std::size_t>(me - config_.members.begin());
  encode({true, config_.role, config_.synced, config_.revision, digest_},
         std::span(table_).subspan(row * kRowWords).first<kRowWords>());
  queue(Step::table, all_reduce(DType::u64, Reduction::sum, table_.size(), config_.layout), bytes_of(table_));
}

// Another try would be asked the same, or there were too many.
void Sync::fail(Outcome outcome, const std::string& reason) {
  SyncOutcome end;
  end.outcome = outcome;
  end.reason = reason;
  end.rounds = round_;
  outcome_ = std::move(end);
}

void Sync::again(const std::string& why) {
  last_problem_ = why;
  if (round_ >= config_.most_rounds) {
    fail(Outcome::aborted, "gave up after " + std::to_string(round_) + " rounds, the last: " + why);
    return;
  }
  begin_round();
}

void Sync::queue(Step step, Descriptor descriptor, std::span<std::byte> bytes) {
  step_ = step;
  queued_ = SyncOp{next_id_++, step, std::move(descriptor), bytes, {}};
}

std::optional<SyncOp> Sync::next() {
  if (outcome_) {
    return std::nullopt;
  }
  if (queued_) {
    return std::exchange(queued_, std::nullopt);
  }
  if (step_ != Step::group) {
    return std::nullopt;
  }
  // Group k is posted when every group up to k - groups_at_once has ended: the same order at everyone.
  const auto first_open = std::find_if(groups_.begin(), groups_.end(), [](const Group& g) { return !g.ended; });
  const auto unposted = std::find_if(first_open, groups_.end(), [](const Group& g) { return g.id == 0; });
  if (unposted == groups_.end() || unposted - first_open >= config_.groups_at_once) {
    return std::nullopt;
  }
  Group& group = *unposted;
  group.id = next_id_++;
  group.has_data = std::none_of(group.leaves.begin(), group.leaves.end(),
                                [&](std::uint32_t leaf) { return places_[leaf] == Place::nowhere; });
  std::uint64_t bytes = 0;
  for (const std::uint32_t leaf : group.leaves) {
    bytes += config_.leaves[leaf].length;
    if (!group.has_data) {
      staged_[leaf].reset();  // to be written to
      places_[leaf] = places_[leaf] == Place::staging ? Place::nowhere : places_[leaf];
    }
  }
  const auto number = static_cast<std::size_t>(unposted - groups_.begin());
  const std::uint32_t donor = election_.donors[(number + round_) % election_.donors.size()];
  return SyncOp{group.id,
                Step::group,
                broadcast(config_.members[donor], group.has_data, bytes, layout_of_round()),
                {},
                group.leaves};
}

void Sync::ended(std::uint32_t id, Outcome outcome, const std::string& reason, std::span<const Hash128> arrived) {
  if (outcome_) {
    return;
  }
  if (outcome == Outcome::evicted || outcome == Outcome::undecided) {
    fail(outcome, reason);
    return;
  }
  if (step_ == Step::group) {
    const auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) { return g.id == id; });
    SEAWAY_ASSERT(group != groups_.end() && !group->ended, "an op of a sync ends once");
    group->ended = true;
    for (std::size_t i = 0; i < arrived.size(); ++i) {  // also of one that was aborted: some may be there
      const std::uint32_t leaf = group->leaves[i];
      if (arrived[i] == list_[leaf] || MUTANT(leaf_not_verified, false, true)) {
        staged_[leaf] = arrived[i];
        if (places_[leaf] == Place::nowhere) {
          places_[leaf] = Place::staging;
        }
      }
    }
    if (outcome != Outcome::committed) {
      SEAWAY_MARK("leaves of a state sync are not delivered");
      last_problem_ = reason;
    }
    if (std::all_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.ended; })) {
      queue_verdict();
    }
    return;
  }
  if (outcome != Outcome::committed) {
    if (outcome == Outcome::refused && step_ == Step::table) {
      fail(outcome, "members registered different tensors, or called something else: " + reason);
    } else {
      again(reason);
    }
    return;
  }
  switch (step_) {
    case Step::table:
      read_table();
      break;
    case Step::list:
      read_list();
      break;
    case Step::lacking:
      make_groups();
      break;
    case Step::verdict:
      read_verdict();
      break;
    case Step::group:
      break;
  }
}

// --- What each op brings --------------------------------------------------------------------------------------------

std::uint64_t Sync::layout_of_round() const {
  const std::uint64_t parts[] = {config_.layout, election_.revision, election_.digest.low, election_.digest.high};
  return combine(parts);
}

void Sync::read_table() {
  std::vector<Row> rows;
  rows.reserve(config_.members.size());
  for (std::size_t i = 0; i < config_.members.size(); ++i) {
    rows.push_back(decode(std::span<const std::uint64_t>(table_).subspan(i * kRowWords).first<kRowWords>()));
  }
  election_ = elect(rows);
  if (!election_.problem.empty()) {
    fail(Outcome::refused, election_.problem);
    return;
  }
  if (election_.everybody_has_it) {
    list_ = hashes_;
    list_is_right_ = true;
    std::fill(places_.begin(), places_.end(), Place::tensor);
    queue_verdict();
    return;
  }
  SEAWAY_MARK("members differ in their state");
  const bool has_it = digest_ == election_.digest;
  list_ = has_it ? hashes_ : std::vector<Hash128>(hashes_.size());
  queue(Step::list,
        broadcast(config_.members[election_.donors.front()], has_it, list_.size() * sizeof(Hash128), layout_of_round()),
        bytes_of(list_));
}

void Sync::read_list() {
  list_is_right_ = digest_of(list_) == election_.digest;
  find_places();
  lacking_.assign(places_.size(), 0);
  for (std::size_t leaf = 0; leaf < places_.size(); ++leaf) {
    lacking_[leaf] = places_[leaf] == Place::nowhere ? 1 : 0;
  }
  queue(Step::lacking, all_reduce(DType::u8, Reduction::max, lacking_.size(), layout_of_round()), bytes_of(lacking_));
}

void Sync::find_places() {
  for (std::size_t leaf = 0; leaf < places_.size(); ++leaf) {
    places_[leaf] = hashes_[leaf] == list_[leaf]   ? Place::tensor
                    : staged_[leaf] == list_[leaf] ? Place::staging
                                                   : Place::nowhere;
    if (places_[leaf] == Place::staging) {
      SEAWAY_MARK("a leaf that arrived earlier is not fetched again");
    }
  }
}

void Sync::make_groups() {
  step_ = Step::group;
  std::uint64_t bytes = 0;
  for (std::uint32_t leaf = 0; leaf < lacking_.size(); ++leaf) {
    if (lacking_[leaf] == 0) {
      continue;
    }
    if (groups_.empty() || bytes + config_.leaves[leaf].length > config_.group_bytes) {
      groups_.emplace_back();
      bytes = 0;
    }
    groups_.back().leaves.push_back(leaf);
    bytes += config_.leaves[leaf].length;
  }
  if (groups_.empty()) {
    queue_verdict();
  }
}

bool Sync::lacks_any() const {
  return !list_is_right_ || std::find(places_.begin(), places_.end(), Place::nowhere) != places_.end();
}

void Sync::queue_verdict() {
  verdict_ = lacks_any() && MUTANT(verdict_without_looking, true, false) ? 1 : 0;
  queue(Step::verdict, all_reduce(DType::u64, Reduction::max, 1, layout_of_round()),
        std::as_writable_bytes(std::span(&verdict_, 1)));
}

void Sync::read_verdict() {
  if (verdict_ != 0) {
    again(last_problem_.empty() ? "a member got leaves with a wrong hash" : last_problem_);
    return;
  }
  SyncOutcome end;
  end.revision = election_.revision;
  end.digest = election_.digest;
  for (const std::uint32_t donor : election_.donors) {
    end.donors.push_back(config_.members[donor]);
  }
  for (std::uint32_t leaf = 0; leaf < places_.size(); ++leaf) {
    if (places_[leaf] == Place::staging) {
      end.staged.push_back(leaf);
    }
  }
  end.rounds = round_;
  outcome_ = std::move(end);
}

std::string Sync::where() const {
  std::string text = name_of(step_);
  if (step_ == Step::group) {
    const auto ended = std::count_if(groups_.begin(), groups_.end(), [](const Group& g) { return g.ended; });
    text += ", " + std::to_string(ended) + " of " + std::to_string(groups_.size()) + " groups";
  }
  if (round_ > 1) {
    text += ", round " + std::to_string(round_) + " (" + last_problem_ + ")";
  }
  return text;
}

}  // namespace seaway::state
