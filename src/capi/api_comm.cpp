// Joining and leaving.
#include <seaway/seaway.h>

#include <memory>
#include <utility>

#include "capi/config.h"
#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

seaway_status seaway_config_init(seaway_config* config, size_t struct_size) {
  return init(config, struct_size, default_config());
}

seaway_status seaway_create(seaway_comm** comm, const seaway_config* config) {
  if (comm == nullptr) {
    return SEAWAY_INVALID;
  }
  *comm = nullptr;
  return entry([&] {
    auto object = std::make_shared<Comm>();
    // Nobody else knows the handle yet.
    *comm = handle_of<seaway_comm>(handles::add(object));
    try {
      runtime::CommunicatorConfig translated;
      Error error = translate(config, translated);
      if (error.status == Status::ok) {
        object->runtime = runtime::Communicator::create(std::move(translated));
      }
      return settled(*object, nullptr, std::move(error));
    } catch (...) {
      return settled_exception(*object, nullptr);
    }
  });
}

seaway_status seaway_join(seaway_comm* comm, double timeout) {
  return entry(comm, [&](Comm& object) {
    if (Error error = check_timeout(timeout); error.status != Status::ok) {
      return error;
    }
    object.follow_runtime();
    return from_runtime(object, object.runtime->join(seconds(timeout)));
  });
}

seaway_status seaway_leave(seaway_comm* comm, double timeout) {
  return entry(comm, [&](Comm& object) {
    if (Error error = check_timeout(timeout); error.status != Status::ok) {
      return error;
    }
    object.follow_runtime();
    return from_runtime(object, object.runtime->leave(seconds(timeout)));
  });
}

seaway_status seaway_destroy(seaway_comm* comm) {
  if (comm == nullptr) {
    return SEAWAY_OK;
  }
  return entry([&] {
    std::shared_ptr<Comm> object;
    const Status status = remove(comm, object);
    if (status == Status::ok && object->runtime) {
      object->runtime->close();
    }
    return to_c(status);
  });
}
