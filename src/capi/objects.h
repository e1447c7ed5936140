// What the five kinds of handles stand for.
#pragma once

#include <seaway/master.h>
#include <seaway/seaway.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "capi/handles.h"
#include "runtime/communicator.h"
#include "runtime/master_server.h"
#include "runtime/shared_state.h"

namespace seaway::capi {

// A communicator and the last error of its calls.
class Comm : public Object {
 public:
  static constexpr Kind kKind = Kind::comm;
  Comm() : Object(kKind) {}

  // Set once by seaway_create, before anybody else knows the handle. Null: the create failed.
  std::shared_ptr<runtime::Communicator> runtime;

  // From here on the last error is the runtime's, which changes while it joins: "waits for ..." (Status::pending).
  void follow_runtime();
  void remember(Error error);
  Error last_error() const;

  // A broken invariant: closes the runtime; every later call returns Status::internal.
  void break_down(const std::string& why);
  bool is_broken() const;

 private:
  mutable std::mutex mutex_;
  Error own_;  // guarded by mutex_, as is all below
  bool follows_runtime_ = false;
  bool broken_ = false;
};

// An op that was started. Keeps its communicator's object, so that it can be waited for after seaway_destroy.
class Op : public Object {
 public:
  static constexpr Kind kKind = Kind::op;
  explicit Op(std::shared_ptr<Comm> comm, bool is_transaction = false)
      : Object(kKind), comm_(std::move(comm)), is_transaction_(is_transaction) {}

  // Runs `start`, which gives the operation. Whoever hears of the op by an event before start has returned waits.
  template <class Start>
  Error start(Start&& start) {
    const std::lock_guard lock(mutex_);
    return start(operation_);
  }
  runtime::OperationPtr operation() const {
    const std::lock_guard lock(mutex_);
    return operation_;
  }
  const std::shared_ptr<Comm>& comm() const { return comm_; }
  bool is_transaction() const { return is_transaction_; }

  void remember(Error error);
  Error last_error() const;  // its end if that is an error; else the last of its calls; else where it is

 private:
  const std::shared_ptr<Comm> comm_;
  const bool is_transaction_;
  mutable std::mutex mutex_;
  runtime::OperationPtr operation_;  // guarded by mutex_, as is all below
  Error own_;
};

class ViewObject : public Object {
 public:
  static constexpr Kind kKind = Kind::view;
  explicit ViewObject(std::shared_ptr<const runtime::View> seen) : Object(kKind), view(std::move(seen)) {}
  const std::shared_ptr<const runtime::View> view;
};

class Master : public Object {
 public:
  static constexpr Kind kKind = Kind::master;
  explicit Master(std::unique_ptr<runtime::MasterServer> running)
      : Object(kKind), server(std::move(running)), address(server->address()), join_string(server->join_string()) {}
  std::unique_ptr<runtime::MasterServer> server;  // only whoever removes the handle may touch it
  const std::string address;
  const std::string join_string;
};

// The shared state. Keeps its communicator's object, as an op does.
class State : public Object {
 public:
  static constexpr Kind kKind = Kind::state;
  explicit State(std::shared_ptr<Comm> owner) : Object(kKind), comm(std::move(owner)), shared(comm->runtime) {}
  const std::shared_ptr<Comm> comm;
  std::mutex mutex;
  runtime::SharedState shared;  // guarded by mutex
};

template <>
struct Named<seaway_state> {
  using Type = State;
};
template <>
struct Named<seaway_comm> {
  using Type = Comm;
};
template <>
struct Named<seaway_op> {
  using Type = Op;
};
template <>
struct Named<seaway_view> {
  using Type = ViewObject;
};
template <>
struct Named<seaway_master> {
  using Type = Master;
};

}  // namespace seaway::capi
