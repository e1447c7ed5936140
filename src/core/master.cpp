// Inputs, settle, the one write.
//
// | input                  | changes                                                                              |
// |------------------------|--------------------------------------------------------------------------------------|
// | Connected              | a connection that has to say HELLO first                                             |
// | Received               | master_hello.cpp; anything else than HELLO first, or HELLO twice: closed with a reason |
// | Disconnected           | the member has no connection; closed by FIN or RST starts `dead_grace`               |
// | StoreReply ok          | durable := the record written; emptied because it was outdated: stepped down         |
// | StoreReply fenced      | another master has the run: stepped down, nothing is said or done any more           |
// | EvictRequest           | a member is doomed, a pending peer refused                                           |
// | DoorRequest            | master_door.cpp                                                                      |
// | LeaseLost              | step down                                                                            |
//
// A store may have gone back: an older copy was put in its place. Peers then know an epoch or a term that it does not, and a
// compared write still succeeds. Such a record is worth less than none. It is emptied, the master steps down, and the next
// one adopts the run from its peers, as it does with an empty store. A deposed master sees the same peers; its write fails.
//
// One write at a time. While it is outstanding inputs only change `run`; the next write takes all of that at once.
// A master without a store writes in the same way and is answered at once.
#include "core/master.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "core/master_state.h"

namespace seaway::core {

Master::Master(MasterConfig config, Random random) : state_(std::make_unique<State>(std::move(config), random)) {}
Master::~Master() = default;
Master::Master(Master&&) noexcept = default;
Master& Master::operator=(Master&&) noexcept = default;

void Master::start(Time now, const std::optional<StoredRun>& stored, MasterEffects& effects) {
  state_->begin(now, effects);
  state_->heard_anyone = now;
  state_->load(stored.value_or(StoredRun{}));
  state_->settle();
}

void Master::step(Time now, const MasterInput& input, MasterEffects& effects) {
  state_->begin(now, effects);
  if (state_->stepped_down) {
    return;
  }
  std::visit([&](const auto& what) { state_->on(what); }, input);
  state_->settle();
}

void Master::tick(Time now, MasterEffects& effects) {
  state_->begin(now, effects);
  if (!state_->stepped_down) {
    state_->settle();
  }
}

void Master::State::begin(Time time, MasterEffects& out) {
  now = std::max(now, time);
  effects = &out;
}

// Each rule looks at the facts only. A rule that did something may have made another one's condition true, so all are
// asked again; each consumes its own condition, so this ends.
void Master::State::settle() {
  bool changed = true;
  while (changed && !stepped_down) {
    changed = false;
    // What a reply has just made durable is said first, so that a RESOLVE is not swallowed by what follows from it.
    for (const auto rule :
         {&State::announce, &State::drop_strangers, &State::drop_pending, &State::forget_recovered_edges,
          &State::depart, &State::adopt_run, &State::raise_round, &State::decide, &State::refuse_rivals,
          &State::refuse_unlinked, &State::form, &State::close_ask, &State::open_ask, &State::write, &State::announce,
          &State::tell_evicted, &State::introduce, &State::tell_waiting, &State::answer_door}) {
      changed = (this->*rule)() || changed;
    }
  }
  effects = nullptr;
}

// --- The write ------------------------------------------------------------------------------------------------------

bool Master::State::write() {
  if (!dirty || writing) {
    return false;
  }
  dirty = false;
  writing = OutstandingWrite{++writes, run};
  if (!outdated.empty()) {
    writing->record = StoredRun{};
    writing->record.term = run.term;
    writing->record.author = run.author;
    writing->record.run = run.run;
    writing->record.tokens = run.tokens;
    writing->record.denied = run.denied;
  }
  writing->record.version = durable.version + 1;
  effects->push_back(WriteStore{writing->write, durable.term, durable.version, writing->record});
  return true;
}

const StoredRun& Master::State::announced() const {
  // A join's answer is an epoch that did not raise the cut.
  if (MUTANT(m23_join_answer_before_durable, false, run.epoch != durable.epoch && run.cut == durable.cut)) {
    return run;
  }
  return MUTANT(m2_epoch_before_durable, durable, run);
}

void Master::State::on(const StoreReply& input) {
  if (!writing || writing->write != input.write) {
    return;  // of no write of mine
  }
  if (MUTANT(m7_fence_ignored, input.outcome == StoreOutcome::fenced, false)) {
    step_down("another master has written to the store since: term " + std::to_string(run.term) + " is over");
    return;
  }
  durable = std::move(writing->record);
  written = writing->write;
  writing.reset();
  if (!outdated.empty() && durable.epoch.number == 0) {
    step_down(outdated);
  }
}

void Master::State::step_down(const std::string& reason) {
  SEAWAY_MARK("master stepped down");
  stepped_down = true;
  effects->push_back(SteppedDown{reason});
}

// --- Connections ----------------------------------------------------------------------------------------------------

void Master::State::on(const Connected& input) {
  Connection& connection = connections.try_emplace(input.conn).first->second;
  connection.since = now;
  connection.certified = input.certified;
}

void Master::State::on(const Received& input) {
  const auto found = connections.find(input.conn);
  if (found == connections.end()) {
    return;  // closed by me before this was read: it counts no more
  }
  Connection& connection = found->second;
  if (const auto* hello = std::get_if<wire::Hello>(&input.message)) {
    on_hello(input.conn, connection, *hello);
    return;
  }
  if (connection.peer == kNoPeer) {
    close(input.conn, std::string("the first message on a connection must be HELLO, not ") + name_of(input.message));
    return;
  }
  Member* m = find(connection.peer);
  if (m != nullptr && m->conn == input.conn) {
    hear(*m);
  }
  std::visit(
      [&](const auto& message) {
        using Message = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<Message, wire::Join>) {
          on_join(input.conn, message);
        } else if constexpr (!std::is_same_v<Message, wire::Hello>) {
          if (m != nullptr && m->conn == input.conn) {
            on_message(*m, message);
          }
        }
      },
      input.message);
}

void Master::State::on(const Disconnected& input) {
  const auto found = connections.find(input.conn);
  if (found == connections.end()) {
    return;
  }
  Member* m = find(found->second.peer);
  connections.erase(found);
  if (m != nullptr && m->conn == input.conn) {
    m->conn.reset();
    m->told = Told{};
    if (input.closed) {
      m->closed_at = now;
    }
  }
}

void Master::State::on(const LeaseLost&) { step_down("the lock or lease of the store is lost"); }

void Master::State::on(const EvictRequest& input) {
  Member* m = find(input.peer);
  if (m == nullptr) {
    log("no peer " + std::to_string(input.peer) + " to evict");
    return;
  }
  const std::string reason = "an operator evicted it: " + input.reason;
  if (m->standing == Standing::member) {
    m->doomed = bounded(reason);
  } else {
    erase(input.peer, reason);
  }
}

// --- Saying ---------------------------------------------------------------------------------------------------------

void Master::State::send(ConnId conn, wire::MasterMessage message) {
  effects->push_back(SendToPeer{conn, std::move(message)});
}

void Master::State::log(std::string text) { effects->push_back(Log{std::move(text)}); }

void Master::State::close(ConnId conn, const std::string& reason) {
  const auto found = connections.find(conn);
  if (found == connections.end()) {
    return;
  }
  if (Member* m = find(found->second.peer); m != nullptr && m->conn == conn) {
    m->conn.reset();
    m->told = Told{};
  }
  connections.erase(found);
  effects->push_back(CloseConnection{conn, bounded(reason)});
}

void Master::State::refuse(ConnId conn, const std::string& reason) {
  send(conn, wire::Refused{bounded(reason)});
  close(conn, reason);
}

// --- Small questions ------------------------------------------------------------------------------------------------

Member* Master::State::find(PeerId id) {
  const auto found = members.find(id);
  return found == members.end() ? nullptr : &found->second;
}
const Member* Master::State::find(PeerId id) const {
  const auto found = members.find(id);
  return found == members.end() ? nullptr : &found->second;
}
Member* Master::State::member(PeerId id) {
  Member* m = find(id);
  return m != nullptr && m->standing == Standing::member ? m : nullptr;
}

std::vector<PeerId> Master::State::roster_ids() const {
  std::vector<PeerId> ids;
  ids.reserve(run.roster.size());
  for (const wire::MemberInfo& info : run.roster) {
    ids.push_back(info.id);
  }
  return ids;
}

// L is the run's. It stands nowhere on its own: every replica of a roster is whole, so any base shows it.
std::uint16_t Master::State::lanes_of_run() const {
  if (!run.bases.empty()) {
    std::uint16_t lanes = 0;
    for (const wire::BaseMember& m : run.bases.back().members) {
      lanes = std::max(lanes, static_cast<std::uint16_t>(m.lane + 1));
    }
    return lanes;
  }
  const Member* first = nullptr;
  for (const auto& [id, m] : members) {
    if (m.standing == Standing::pending && (first == nullptr || m.arrival < first->arrival)) {
      first = &m;
    }
  }
  return first == nullptr ? 0 : first->lanes;
}

bool Master::State::in_roster_of(const wire::MemberInfo& info, const OpKey& op) const {
  const bool is_its = op.involves(info.id) || MUTANT(transfer_is_everybodys, false, true);
  return op.is_of_lane(info.lane) && info.generation <= op.generation && is_its;
}

const wire::Decision* Master::State::final_decision(const OpKey& op) const {
  for (const wire::Decision& decision : run.decisions) {
    if (decision.op == op) {
      return &decision;
    }
  }
  return nullptr;
}

std::string Master::State::words_for(const wire::MemberInfo& info) const {
  std::string words = info.name.empty() ? "peer" : info.name;
  words += " (replica " + std::to_string(info.replica);
  words += lanes_of_run() > 1 ? ", lane " + std::to_string(info.lane) + ")" : ")";
  return words;
}

std::string Master::State::words_for(PeerId id) const {
  const Member* m = find(id);
  return m == nullptr ? "peer " + std::to_string(id) : words_for(m->info);
}

std::string Master::State::words_for(const std::vector<PeerId>& ids) const {
  constexpr std::size_t kNamed = 5;
  std::string words;
  for (std::size_t i = 0; i < ids.size() && i < kNamed; ++i) {
    words += (i == 0 ? "" : ", ") + words_for(ids[i]);
  }
  return ids.size() > kNamed ? words + " and " + std::to_string(ids.size() - kNamed) + " more" : words;
}

std::string bounded(std::string text) {
  if (text.size() <= kMaxReasonBytes) {
    return text;
  }
  std::size_t end = kMaxReasonBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) {
    --end;  // the middle of a UTF-8 character
  }
  text.resize(end);
  return text;
}

std::string words_for(const Epoch& epoch) {
  return "epoch " + std::to_string(epoch.number) + " of term " + std::to_string(epoch.term);
}

std::string words_for(const OpKey& op) {
  if (op.is_transaction()) {
    return "transaction (generation " + std::to_string(op.generation) + ", number " + std::to_string(op.seq) + ")";
  }
  return "op (lane " + std::to_string(op.lane) + ", generation " + std::to_string(op.generation) + ", tag " +
         std::to_string(op.tag) + ", seq " + std::to_string(op.seq) +
         (op.has_two_ends() ? ", from " + hex(op.source) + " to " + hex(op.target) : "") + ")";
}

}  // namespace seaway::core
