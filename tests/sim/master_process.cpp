#include "sim/master_process.h"

#include <cstring>
#include <functional>

#include "base/assert.h"
#include "sim/world.h"

namespace seaway::sim {

namespace {

core::MasterConfig config_of(const World& world) {
  core::MasterConfig config;
  config.run = {1, world.options.seed};
  config.ladder = world.ladder;
  config.has_store = world.options.has_store;
  config.majority = world.options.majority;
  config.between_rates = world.options.between_rates;
  return config;
}

}  // namespace

MasterProcess::MasterProcess(World& world, std::uint64_t seed)
    : world_(&world), master_(config_of(world), Random(seed)), process_(world.network.add(0, this)) {}

void MasterProcess::start() {
  core::MasterEffects effects;
  master_.start(world_->clock.now(), world_->options.has_store ? world_->store.record() : std::nullopt, effects);
  perform(effects);
}

void MasterProcess::crash() {
  alive_ = false;
  world_->network.remove(process_, false);
}

void MasterProcess::lose_lease() { step(core::LeaseLost{}); }

void MasterProcess::step(const core::MasterInput& input) {
  if (!alive_) {
    return;
  }
  core::MasterEffects effects;
  master_.step(world_->clock.now(), input, effects);
  master_.check_invariants();
  perform(effects);
}

void MasterProcess::perform(core::MasterEffects& effects) {
  for (const core::MasterEffect& effect : effects) {
    if (crash_after_ >= 0 && crash_after_-- == 0) {
      world_->tell("the master dies between two effects");
      crash();
      return;
    }
    if (const auto* send = std::get_if<core::SendToPeer>(&effect)) {
      world_->tell(std::string("master says ") + wire::name_of(send->message));
      if (const auto* epoch = std::get_if<wire::EpochMessage>(&send->message)) {
        world_->checker.on_epoch(*epoch);
      } else if (const auto* ask = std::get_if<wire::Ask>(&send->message)) {
        on_ask(*ask);
      }
      world_->network.send(send->conn, process_, wire::encode(send->message));
    } else if (const auto* close = std::get_if<core::CloseConnection>(&effect)) {
      world_->network.close(close->conn, process_);
    } else if (const auto* write_store = std::get_if<core::WriteStore>(&effect)) {
      write(*write_store);
    } else if (const auto* down = std::get_if<core::SteppedDown>(&effect)) {
      world_->tell("a master steps down: " + down->reason);
      if (down->reason.find("older than the run") != std::string::npos) {
        world_->record_was_emptied();
      }
      crash();
      // Its supervisor starts it again. It may have been the only one: fenced by a write that its predecessor had sent.
      world_->clock.after(world_->up_to(kSecond), [this] {
        if (world_->masters.back().get() == this) {
          world_->start_master(true);
        }
      });
      return;
    } else if (const auto* log = std::get_if<core::Log>(&effect)) {
      world_->tell("master: " + log->text);
    }
  }
  schedule_tick();
}

void MasterProcess::on_ask(const wire::Ask& ask) {
  if (asked_ == std::pair(ask.epoch, ask.joiners)) {
    return;  // another member, or again
  }
  asked_ = {ask.epoch, ask.joiners};
  if (ask.joiners.empty()) {
    world_->ambush_rates();
  } else {
    world_->ambush(ask.joiners);
  }
}

void MasterProcess::write(const core::WriteStore& write) {
  if (!world_->options.has_store) {
    world_->network.in(process_, 0, [this, id = write.write] { step(core::StoreReply{id, core::StoreOutcome::ok}); });
    return;
  }
  writing_.emplace(core::Place{write.expected_term, write.expected_version}, write.record);
  try_to_write(write.write);
}

// It reaches the store whether or not its author lives to see the answer.
void MasterProcess::try_to_write(std::uint64_t write) {
  world_->clock.after(world_->up_to(world_->options.store_delay), [this, write] {
    Store& store = world_->store;
    std::function<bool()> hear;  // the answer; true: it failed
    if (writing_->next() == core::ComparedWrite::Next::replace) {
      hear = [this, replaced = store.replace(writing_->expected(), writing_->record())] {
        return writing_->on_replaced(replaced);
      };
    } else if (std::optional<core::StoredRun> record; store.read(record)) {
      hear = [this, record] {
        writing_->on_read(record);
        return false;
      };
    } else {
      hear = [this] { return writing_->on_read_failed(); };
    }
    world_->network.in(process_, world_->up_to(world_->options.store_delay), [this, write, hear] {
      if (!alive_) {
        return;
      }
      const bool failed = hear();
      if (writing_->next() == core::ComparedWrite::Next::done) {
        step(core::StoreReply{write, writing_->ok() ? core::StoreOutcome::ok : core::StoreOutcome::fenced});
      } else if (failed) {
        world_->network.in(process_, core::ComparedWrite::pause_after(writing_->failed()),
                           [this, write] { try_to_write(write); });
      } else {
        try_to_write(write);
      }
    });
  });
}

void MasterProcess::schedule_tick() {
  const Time due = master_.deadline();
  if (due == kNever || due == tick_at_) {
    return;
  }
  tick_at_ = due;
  const Time now = world_->clock.now();
  world_->network.in(process_, due > now ? due - now : 0, [this, due] {
    if (alive_ && tick_at_ == due) {
      tick_at_ = kNever;
      core::MasterEffects effects;
      master_.tick(world_->clock.now(), effects);
      master_.check_invariants();
      perform(effects);
    }
  });
}

void MasterProcess::on_accepted(ConnId conn) { step(core::Connected{conn, {}}); }

void MasterProcess::on_bytes(ConnId conn, std::span<const std::byte> bytes) {
  std::vector<std::byte>& reading = reading_[conn];
  reading.insert(reading.end(), bytes.begin(), bytes.end());
  while (alive_ && reading.size() >= wire::kControlHeaderBytes) {
    std::uint32_t length = 0;
    std::memcpy(&length, reading.data(), sizeof length);
    if (reading.size() < wire::kControlHeaderBytes + length) {
      return;
    }
    const auto message = wire::decode_peer_message(std::span(reading).subspan(wire::kControlHeaderBytes, length));
    if (!message) {
      throw Violation("the master cannot read what a peer wrote");
    }
    reading.erase(reading.begin(), reading.begin() + wire::kControlHeaderBytes + length);
    if (const auto* hello = std::get_if<wire::Hello>(&*message)) {
      speakers_[conn] = hello->id;
    } else if (std::holds_alternative<wire::Leave>(*message)) {
      world_->checker.on_leave_heard(speakers_[conn]);
    }
    step(core::Received{conn, *message});
  }
}

void MasterProcess::on_closed(ConnId conn) {
  reading_.erase(conn);
  step(core::Disconnected{conn, true});
}

}  // namespace seaway::sim
