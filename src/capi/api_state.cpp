// The shared state.
#include <seaway/seaway.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "base/limits.h"
#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/request.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

// For calls on a state: one at a time. What goes wrong is the communicator's last error.
template <class Body>
seaway_status entry_of_state(seaway_state* handle, Body&& body) {
  return entry([&] {
    std::shared_ptr<State> state;
    if (const Status status = find(handle, state); status != Status::ok) {
      return to_c(status);
    }
    try {
      const std::unique_lock lock(state->mutex, std::try_to_lock);
      if (!lock) {
        return settled(*state->comm, nullptr,
                       make_error(Status::busy, "another thread is in a call on this state: one at a time"));
      }
      return settled(*state->comm, nullptr, body(*state));
    } catch (...) {
      return settled_exception(*state->comm, nullptr);
    }
  });
}

void fill(seaway_sync_result* result, const runtime::SyncReport& report) {
  if (result == nullptr) {
    return;
  }
  seaway_sync_result filled{};
  std::memcpy(&filled, result, std::min(result->struct_size, sizeof filled));
  filled.donor_count = report.donors.size();
  if (filled.donors != nullptr) {
    std::copy_n(report.donors.begin(), std::min(filled.donor_count, filled.donor_capacity), filled.donors);
  }
  filled.revision = report.revision;
  filled.digest[0] = report.digest.high;
  filled.digest[1] = report.digest.low;
  filled.rounds = report.rounds;
  filled.bytes = report.bytes;
  filled.bytes_changed = report.bytes_changed;
  filled.bytes_sent = report.bytes_sent;
  filled.bytes_received = report.bytes_received;
  filled.seconds = report.seconds;
  give(result, filled);
}

}  // namespace

seaway_status seaway_sync_options_init(seaway_sync_options* options, size_t struct_size) {
  return init(options, struct_size, seaway_sync_options{});
}

seaway_status seaway_sync_result_init(seaway_sync_result* result, size_t struct_size) {
  return init(result, struct_size, seaway_sync_result{});
}

seaway_status seaway_state_create(seaway_comm* comm, seaway_state** state) {
  if (state != nullptr) {
    *state = nullptr;
  }
  return entry(comm, [&](Comm& /*object*/) {
    if (state == nullptr) {
      return invalid("state is NULL");
    }
    std::shared_ptr<Comm> owner;
    if (const Status status = find(comm, owner); status != Status::ok) {
      return make_error(status);  // destroyed meanwhile
    }
    *state = handle_of<seaway_state>(handles::add(std::make_shared<State>(std::move(owner))));
    return Error{};
  });
}

seaway_status seaway_state_add(seaway_state* state, const char* name, const seaway_buffer* buffer) {
  return entry_of_state(state, [&](State& object) {
    if (name == nullptr || std::strlen(name) == 0 || std::strlen(name) > kMaxNameBytes) {
      return invalid("name: is required, at most 256 bytes");
    }
    DType dtype{};
    int device = device::kHost;
    if (Error error = check_state_buffer(buffer, dtype, device); error.status != Status::ok) {
      return error;
    }
    return object.shared.add(name, dtype, buffer->count, static_cast<std::byte*>(buffer->data), device);
  });
}

seaway_status seaway_state_sync(seaway_state* state, seaway_sync_result* result, uint64_t revision,
                                const seaway_sync_options* options, double timeout) {
  return entry_of_state(state, [&](State& object) {
    if (Error error = check_timeout(timeout); error.status != Status::ok) {
      return error;
    }
    seaway_sync_options chosen{};
    if (options != nullptr) {
      if (Error error = take(options, chosen); error.status != Status::ok) {
        return error;
      }
    }
    if (chosen.role < SEAWAY_SEND_AND_RECEIVE || chosen.role > SEAWAY_RECEIVE_ONLY) {
      return invalid("role is " + std::to_string(chosen.role) + ", which is no seaway_sync_role");
    }
    if (Error error = check_filled(result); error.status != Status::ok) {
      return error;
    }
    int device = device::kHost;
    std::shared_ptr<device::Mark> mark;
    if (Error error = object.shared.find_device(device); error.status != Status::ok) {
      return error;
    }
    if (device != device::kHost && !object.shared.is_unfinished()) {
      if (Error error = mark_stream(device, chosen.stream, mark); error.status != Status::ok) {
        return error;
      }
    } else if (device == device::kHost && chosen.stream != nullptr) {
      return invalid("stream is set, and no tensor is on a GPU");
    }
    runtime::SyncReport report;
    Error error =
        object.shared.sync(revision, static_cast<state::Role>(chosen.role), mark.get(), seconds(timeout), report);
    if (error.status == Status::ok) {
      fill(result, report);
    }
    return error;
  });
}

seaway_status seaway_state_free(seaway_state* state) {
  if (state == nullptr) {
    return SEAWAY_OK;
  }
  std::shared_ptr<State> freed;
  return entry_of_state(state, [&](State& object) {
    if (object.shared.is_unfinished() && object.comm->runtime->view()) {
      return make_error(
          Status::busy,
          "a sync of this state is unfinished: call seaway_state_sync until it is over, leave the run, or "
          "destroy the communicator, then free it");
    }
    return make_error(remove(state, freed));
  });
}
