// Events.
#include <seaway/seaway.h>

#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

// Ops of the blocking forms, and ops whose handle was freed, are nobody's news.
bool is_told(const runtime::Event& event) {
  return event.kind != runtime::Event::Kind::op_done || (event.user != 0 && handles::find(event.user, Op::kKind));
}

}  // namespace

seaway_status seaway_event_fd(seaway_comm* comm, int* fd) {
  if (fd != nullptr) {
    *fd = -1;
  }
  return entry(comm, [&](Comm& object) {
    if (fd == nullptr) {
      return invalid("fd is NULL");
    }
    *fd = object.runtime->event_fd();
    return *fd < 0 ? make_error(Status::no_memory, "no descriptor was left for events: raise the limit of open files")
                   : Error{};
  });
}

seaway_status seaway_next_event(seaway_comm* comm, seaway_event* event) {
  return entry(comm, [&](Comm& object) {
    if (event == nullptr) {
      return invalid("event is NULL");
    }
    if (std::string wrong = wrong_size<seaway_event>(event->struct_size); !wrong.empty()) {
      return invalid(std::move(wrong));
    }
    runtime::Event next = object.runtime->next_event();
    while (!is_told(next)) {
      next = object.runtime->next_event();
    }
    seaway_event filled{};
    filled.kind = static_cast<int32_t>(next.kind);
    filled.op = next.kind == runtime::Event::Kind::op_done ? handle_of<seaway_op>(next.user) : nullptr;
    filled.epoch = {next.epoch.term, next.epoch.number};
    copy_text(filled.text, sizeof filled.text, next.text);
    give(event, filled);
    return Error{};
  });
}
