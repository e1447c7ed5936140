// Handles: what a `seaway_comm *` of a caller is.
//
// RULES
// - A handle is a number that looks like a pointer: {serial, kind}. It is never dereferenced and never given out twice, so
//   one that was freed, that is of another kind or that is garbage is *looked up* and not found. That is how use after
//   destroy is an error and not a crash.
// - Looking a handle up gives a shared_ptr: what another thread frees meanwhile lives until the call is over.
// - The registry is the one lock that all calls share. It is held for a look-up and never while anything else is called.
//   fork() waits for it (pthread_atfork), so the child finds it free and whole. The objects themselves may have been in the
//   middle of anything at the fork: the child is told Status::forked before it touches one, and what it frees is kept
//   aside unopened.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "base/status.h"

namespace seaway::capi {

enum class Kind : std::uint8_t { comm = 1, op = 2, view = 3, master = 4, state = 5 };

class Object {
 public:
  explicit Object(Kind kind);
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Kind kind() const { return kind_; }
  bool is_forked() const;  // this process is a fork of the one that made it

 private:
  const Kind kind_;
  const std::uint64_t forks_;
};

namespace handles {

// The number under which `object` is found from now on.
std::uint64_t add(std::shared_ptr<Object> object);
// Null if there is none of this kind.
std::shared_ptr<Object> find(std::uint64_t handle, Kind kind);
// The same, and it is not found any more. In a forked child what needs threads to end is kept aside for ever.
std::shared_ptr<Object> remove(std::uint64_t handle, Kind kind);

}  // namespace handles

// The C type that names objects of type T, and back: one line each in objects.h.
template <class Opaque>
struct Named;

template <class Opaque>
std::uint64_t number_of(const Opaque* handle) {
  return std::bit_cast<std::uint64_t>(handle);
}

template <class Opaque>
Opaque* handle_of(std::uint64_t number) {
  return std::bit_cast<Opaque*>(number);
}

// Status::ok and the object, or closed, or forked.
template <class Opaque>
Status find(const Opaque* handle, std::shared_ptr<typename Named<Opaque>::Type>& object) {
  using Type = typename Named<Opaque>::Type;
  object = std::static_pointer_cast<Type>(handles::find(number_of(handle), Type::kKind));
  if (!object) {
    return Status::closed;
  }
  return object->is_forked() ? Status::forked : Status::ok;
}

template <class Opaque>
Status remove(const Opaque* handle, std::shared_ptr<typename Named<Opaque>::Type>& object) {
  using Type = typename Named<Opaque>::Type;
  object = std::static_pointer_cast<Type>(handles::remove(number_of(handle), Type::kKind));
  if (!object) {
    return Status::closed;
  }
  return object->is_forked() ? Status::forked : Status::ok;
}

}  // namespace seaway::capi
