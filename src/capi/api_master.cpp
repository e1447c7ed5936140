// A master inside this process.
#include <seaway/master.h>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "capi/config.h"
#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

Error translate_master(const seaway_master_config* config, runtime::MasterServerConfig& into) {
  if (config == nullptr) {
    return invalid("config is NULL");
  }
  seaway_master_config given{};
  if (Error error = take(config, given); error.status != Status::ok) {
    return error;
  }
  if (given.plaintext != 0 && given.plaintext != 1) {
    return invalid("plaintext is " + std::to_string(given.plaintext) + ": it is 0 or 1");
  }
  into.plaintext = given.plaintext == 1;
  return take_text(given.listen == nullptr ? "127.0.0.1:0" : given.listen, "listen", into.listen);
}

}  // namespace

seaway_status seaway_master_config_init(seaway_master_config* config, size_t struct_size) {
  return init(config, struct_size, seaway_master_config{});
}

seaway_status seaway_master_start(seaway_master** master, const seaway_master_config* config, seaway_error* error) {
  if (master == nullptr) {
    return SEAWAY_INVALID;
  }
  *master = nullptr;
  if (error != nullptr && !is_size_of<seaway_error>(error->struct_size)) {
    return SEAWAY_INVALID;
  }
  Error why;
  const seaway_status status = entry([&] {
    runtime::MasterServerConfig translated;
    why = translate_master(config, translated);
    if (why.status != Status::ok) {
      return to_c(why.status);
    }
    try {
      std::unique_ptr<runtime::MasterServer> server = runtime::MasterServer::start(translated, nullptr, why);
      if (server) {
        *master = handle_of<seaway_master>(handles::add(std::make_shared<Master>(std::move(server))));
      }
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& exception) {
      why = make_error(Status::internal, std::string("a bug in seaway: ") + exception.what());
    }
    return *master != nullptr ? SEAWAY_OK : to_c(why.status == Status::ok ? Status::internal : why.status);
  });
  if (status != SEAWAY_OK && error != nullptr) {
    (void)entry([&] {
      why.status = static_cast<Status>(status);
      seaway_error filled{};
      fill(filled, why);
      give(error, filled);
      return SEAWAY_OK;
    });
  }
  return status;
}

const char* seaway_master_address(const seaway_master* master) {
  const char* address = nullptr;
  (void)entry([&] {
    std::shared_ptr<Master> object;
    (void)find(master, object);  // a forked child may read it
    address = object ? object->address.c_str() : nullptr;
    return SEAWAY_OK;
  });
  return address;
}

const char* seaway_master_join_string(const seaway_master* master) {
  const char* text = nullptr;
  (void)entry([&] {
    std::shared_ptr<Master> object;
    (void)find(master, object);
    text = object ? object->join_string.c_str() : nullptr;
    return SEAWAY_OK;
  });
  return text;
}

seaway_status seaway_master_stop(seaway_master* master) {
  if (master == nullptr) {
    return SEAWAY_OK;
  }
  return entry([&] {
    std::shared_ptr<Master> object;
    const Status status = remove(master, object);
    if (status == Status::ok) {
      object->server.reset();
    }
    return to_c(status);
  });
}
