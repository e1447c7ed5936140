// Collectives: each has two forms. `_start` gives a handle; the other is start + wait + free and nothing else.
#include <seaway/seaway.h>

#include <array>
#include <memory>

#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/request.h"
#include "capi/results.h"
#include "capi/structs.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

// An op in a transaction of another communicator would wait for what cannot come.
Error check_transaction(const Comm& comm, const runtime::OpRequest& request) {
  const bool is_its = !request.transaction || request.transaction->communicator() == comm.runtime.get();
  return is_its ? Error{} : invalid("options.transaction is of another communicator");
}

// `make` turns the arguments into a request.
template <class Make>
seaway_status start(seaway_comm* handle, seaway_op** op, Make&& make) {
  if (op != nullptr) {
    *op = nullptr;
  }
  std::shared_ptr<Comm> comm;
  return entry(handle, [&](Comm& object) {
    if (op == nullptr) {
      return invalid("op is NULL");
    }
    runtime::OpRequest request;
    if (Error error = make(request); error.status != Status::ok) {
      return error;
    }
    if (Error error = check_transaction(object, request); error.status != Status::ok) {
      return error;
    }
    if (const Status status = find(handle, comm); status != Status::ok) {
      return make_error(status);  // destroyed meanwhile
    }
    // The handle is there before the op is, since an event may name it at once.
    const bool is_transaction = request.descriptor.kind == collective::OpKind::transaction;
    const auto started = std::make_shared<Op>(comm, is_transaction);
    const std::uint64_t number = handles::add(started);
    try {
      Error error = started->start([&](runtime::OperationPtr& operation) {
        return from_runtime(object, object.runtime->start(request, number, operation));
      });
      if (error.status == Status::ok) {
        *op = handle_of<seaway_op>(number);
      } else {
        handles::remove(number, Op::kKind);
      }
      return error;
    } catch (...) {
      handles::remove(number, Op::kKind);
      throw;
    }
  });
}

// The blocking form. No handle exists, and user 0 tells seaway_next_event not to tell of it.
template <class Make>
seaway_status run(seaway_comm* handle, seaway_result* result, Make&& make) {
  return entry(handle, [&](Comm& comm) {
    runtime::OpRequest request;
    if (Error error = make(request); error.status != Status::ok) {
      return error;
    }
    if (Error error = check_filled(result); error.status != Status::ok) {
      return error;
    }
    if (request.transaction) {
      return invalid(
          "options.transaction is set: an op in it ends with it, so start the op, close the transaction, then wait");
    }
    std::array<runtime::OperationPtr, 1> operation;
    if (const Status status = comm.runtime->start(request, 0, operation[0]); status != Status::ok) {
      return from_runtime(comm, status);
    }
    const Status waited = comm.runtime->wait(operation, false, -1);
    const Status ended = operation[0]->status();
    if (ended == Status::ok) {
      fill(result, *operation[0]);
      return Error{};
    }
    if (ended == Status::pending) {
      return from_runtime(comm, waited == Status::ok || waited == Status::pending ? Status::internal : waited);
    }
    Error error = operation[0]->error();
    return error.status == ended ? error : make_error(ended);
  });
}

// How many blocks the ops of this peer's generation have; 0: it is no member.
std::size_t blocks_of(seaway_comm* handle) {
  std::shared_ptr<Comm> comm;
  if (find(handle, comm) != Status::ok || !comm->runtime) {
    return 0;
  }
  const std::shared_ptr<const runtime::View> view = comm->runtime->view();
  return view ? view->base.size() : 0;
}

}  // namespace

seaway_status seaway_options_init(seaway_options* options, size_t struct_size) {
  return init(options, struct_size, default_options());
}

seaway_status seaway_result_init(seaway_result* result, size_t struct_size) {
  return init(result, struct_size, seaway_result{});
}

seaway_status seaway_all_reduce(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                const seaway_buffer* in, size_t count, int32_t reduction,
                                const seaway_options* options) {
  return run(comm, result, [&](runtime::OpRequest& request) {
    return all_reduce_request(request, out, in, count, reduction, options);
  });
}

seaway_status seaway_all_reduce_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                      const seaway_buffer* in, size_t count, int32_t reduction,
                                      const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) {
    return all_reduce_request(request, out, in, count, reduction, options);
  });
}

seaway_status seaway_reduce_scatter(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                    const seaway_buffer* in, size_t count, int32_t reduction,
                                    const seaway_options* options) {
  return run(comm, result, [&](runtime::OpRequest& request) {
    return reduce_scatter_request(request, blocks_of(comm), out, in, count, reduction, options);
  });
}

seaway_status seaway_reduce_scatter_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                          const seaway_buffer* in, size_t count, int32_t reduction,
                                          const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) {
    return reduce_scatter_request(request, blocks_of(comm), out, in, count, reduction, options);
  });
}

seaway_status seaway_all_gather(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                const seaway_buffer* in, size_t count, const seaway_options* options) {
  return run(comm, result, [&](runtime::OpRequest& request) {
    return all_gather_request(request, blocks_of(comm), out, in, count, options);
  });
}

seaway_status seaway_all_gather_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                      const seaway_buffer* in, size_t count, const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) {
    return all_gather_request(request, blocks_of(comm), out, in, count, options);
  });
}

seaway_status seaway_broadcast(seaway_comm* comm, seaway_result* result, const seaway_buffer* buffers, size_t count,
                               uint64_t root, const seaway_options* options) {
  return run(comm, result,
             [&](runtime::OpRequest& request) { return broadcast_request(request, buffers, count, root, options); });
}

seaway_status seaway_broadcast_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* buffers, size_t count,
                                     uint64_t root, const seaway_options* options) {
  return start(comm, op,
               [&](runtime::OpRequest& request) { return broadcast_request(request, buffers, count, root, options); });
}

seaway_status seaway_exchange(seaway_comm* comm, seaway_result* result, const seaway_share* receives,
                              size_t receive_count, const seaway_share* sends, size_t send_count, int32_t dtype,
                              const seaway_options* options) {
  return run(comm, result, [&](runtime::OpRequest& request) {
    return exchange_request(request, receives, receive_count, sends, send_count, dtype, options);
  });
}

seaway_status seaway_exchange_start(seaway_comm* comm, seaway_op** op, const seaway_share* receives,
                                    size_t receive_count, const seaway_share* sends, size_t send_count, int32_t dtype,
                                    const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) {
    return exchange_request(request, receives, receive_count, sends, send_count, dtype, options);
  });
}

seaway_status seaway_send(seaway_comm* comm, seaway_result* result, const seaway_buffer* in, size_t count, uint64_t to,
                          const seaway_options* options) {
  return run(comm, result, [&](runtime::OpRequest& request) { return send_request(request, in, count, to, options); });
}

seaway_status seaway_send_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* in, size_t count, uint64_t to,
                                const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) { return send_request(request, in, count, to, options); });
}

seaway_status seaway_recv(seaway_comm* comm, seaway_result* result, const seaway_buffer* out, size_t count,
                          uint64_t from, const seaway_options* options) {
  return run(comm, result,
             [&](runtime::OpRequest& request) { return recv_request(request, out, count, from, options); });
}

seaway_status seaway_recv_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out, size_t count,
                                uint64_t from, const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) { return recv_request(request, out, count, from, options); });
}

seaway_status seaway_barrier(seaway_comm* comm, seaway_result* result, const seaway_options* options) {
  return run(comm, result, [&](runtime::OpRequest& request) { return barrier_request(request, options); });
}

seaway_status seaway_barrier_start(seaway_comm* comm, seaway_op** op, const seaway_options* options) {
  return start(comm, op, [&](runtime::OpRequest& request) { return barrier_request(request, options); });
}

seaway_status seaway_transaction_create(seaway_comm* comm, seaway_op** transaction, const seaway_options* options) {
  return start(comm, transaction, [&](runtime::OpRequest& request) { return transaction_request(request, options); });
}

seaway_status seaway_transaction_close(seaway_op* transaction) {
  return entry(transaction, [&](Op& object) {
    if (!object.is_transaction()) {
      return invalid("this op is no transaction: seaway_transaction_create makes one");
    }
    object.operation()->close_transaction(false);
    return Error{};
  });
}
