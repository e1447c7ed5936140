#include "runtime/operation.h"

#include "runtime/front_communicator.h"

namespace seaway::runtime {

Error FrontOperation::error() const {
  const Status now = status();
  if (now == Status::pending) {
    const auto owner = owner_.lock();
    return owner ? owner->where(id_) : Error{};
  }
  Error error;
  if (now != Status::ok) {
    error.status = now;
    error.text = result_.reason;
    error.op = result_.op;
    error.epoch = epoch_;
    error.peer = result_.lost.empty() ? kNoPeer : result_.lost.front();
  }
  return error;
}

void FrontOperation::cancel(const std::string& reason) {
  if (const auto owner = owner_.lock(); owner && status() == Status::pending) {
    owner->cancel(id_, reason);
  }
}

void FrontOperation::close_transaction(bool cancelled) {
  if (const auto owner = owner_.lock()) {
    owner->close_transaction(id_, cancelled);
  }
}

void finish(Front& front, std::uint64_t op, Status status, const collective::Result& result, Epoch epoch,
            std::uint64_t scratch) {
  const auto it = front.open_ops.find(op);
  if (it == front.open_ops.end()) {
    return;
  }
  const std::shared_ptr<FrontOperation> operation = it->second;
  front.open_ops.erase(it);
  front.open_transactions.erase(op);
  operation->result_ = result;
  operation->epoch_ = epoch;
  operation->scratch_ = scratch;
  operation->status_.store(status, std::memory_order_release);
  if (status != Status::ok) {
    front.last_error = {status, result.reason, "", result.op, epoch, kNoPeer};
  }
  if (operation->user() != 0) {  // somebody has a handle
    front.add_event({Event::Kind::op_done, operation->user(), epoch, ""});
  }
  front.changed.notify_all();
}

void finish_all(Front& front, Status status, const std::string& reason) {
  collective::Result result;
  result.reason = reason;
  while (!front.open_ops.empty()) {
    finish(front, front.open_ops.begin()->first, status, result, {}, 0);
  }
}

}  // namespace seaway::runtime
