// Membership: updates and views.
#include <seaway/seaway.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

// A new handle of the runtime's present view.
Error snapshot(Comm& comm, seaway_view** view) {
  std::shared_ptr<const runtime::View> now = comm.runtime->view();
  if (!now) {
    // Between the call and here it may have been evicted: then that is what to say.
    const Status status = comm.runtime->last_error().status;
    return from_runtime(comm, status == Status::evicted ? status : Status::not_member);
  }
  *view = handle_of<seaway_view>(handles::add(std::make_shared<ViewObject>(std::move(now))));
  return {};
}

// Views are plain memory: a forked child may read those of its parent.
std::shared_ptr<const runtime::View> view_of(const seaway_view* view) {
  std::shared_ptr<ViewObject> object;
  (void)find(view, object);
  return object ? object->view : nullptr;
}

}  // namespace

seaway_status seaway_update(seaway_comm* comm, seaway_view** view, double timeout) {
  if (view != nullptr) {
    *view = nullptr;
  }
  return entry(comm, [&](Comm& object) {
    if (Error error = check_timeout(timeout); error.status != Status::ok) {
      return error;
    }
    object.follow_runtime();
    const Status status = object.runtime->update(seconds(timeout));
    return status == Status::ok && view != nullptr ? snapshot(object, view) : from_runtime(object, status);
  });
}

seaway_status seaway_view_get(seaway_comm* comm, seaway_view** view) {
  if (view != nullptr) {
    *view = nullptr;
  }
  return entry(comm, [&](Comm& object) { return view == nullptr ? invalid("view is NULL") : snapshot(object, view); });
}

seaway_status seaway_view_info_get(const seaway_view* view, seaway_view_info* info) {
  return entry([&] {
    const std::shared_ptr<const runtime::View> from = view_of(view);
    if (!from) {
      return SEAWAY_CLOSED;
    }
    if (info == nullptr || !is_size_of<seaway_view_info>(info->struct_size)) {
      return SEAWAY_INVALID;
    }
    seaway_view_info filled{};
    filled.epoch = {from->epoch.term, from->epoch.number};
    filled.generation = from->generation;
    filled.update_count = from->update_count;
    filled.rank = from->rank;
    filled.world_size = from->world_size;
    filled.lanes = from->lanes;
    filled.member_count = static_cast<uint32_t>(from->members.size());
    filled.self = from->self;
    give(info, filled);
    return SEAWAY_OK;
  });
}

seaway_status seaway_view_member(const seaway_view* view, seaway_member* member, uint32_t index) {
  return entry([&] {
    const std::shared_ptr<const runtime::View> from = view_of(view);
    if (!from) {
      return SEAWAY_CLOSED;
    }
    if (member == nullptr || !is_size_of<seaway_member>(member->struct_size) || index >= from->members.size()) {
      return SEAWAY_INVALID;
    }
    const wire::MemberInfo& info = from->members[index];
    seaway_member filled{};
    filled.peer = info.id;
    filled.uuid[0] = info.uuid.high;
    filled.uuid[1] = info.uuid.low;
    filled.replica = info.replica;
    filled.lane = info.lane;
    copy_text(filled.name, sizeof filled.name, info.name);
    copy_text(filled.address, sizeof filled.address, info.addresses.empty() ? "" : info.addresses.front());
    copy_text(filled.site, sizeof filled.site, info.site);
    give(member, filled);
    return SEAWAY_OK;
  });
}

seaway_status seaway_view_blocks(const seaway_view* view, uint64_t* peers, size_t capacity, size_t* count) {
  return entry([&] {
    const std::shared_ptr<const runtime::View> from = view_of(view);
    if (!from) {
      return SEAWAY_CLOSED;
    }
    if (count == nullptr) {
      return SEAWAY_INVALID;
    }
    *count = from->base.size();
    if (peers != nullptr) {
      std::copy_n(from->base.begin(), std::min(capacity, from->base.size()), peers);
    }
    return SEAWAY_OK;
  });
}

void seaway_view_free(seaway_view* view) {
  (void)entry([&] {
    std::shared_ptr<ViewObject> object;
    return to_c(remove(view, object));
  });
}
