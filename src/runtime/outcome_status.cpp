// A file of its own: the C API on a fake runtime needs this much of an op and not the rest.
#include "runtime/operation.h"

namespace seaway::runtime {

Status status_of(collective::Outcome outcome) {
  switch (outcome) {
    case collective::Outcome::committed:
    case collective::Outcome::no_weight:
      return Status::ok;
    case collective::Outcome::aborted:
      return Status::aborted;
    case collective::Outcome::refused:
      return Status::refused;
    case collective::Outcome::evicted:
      return Status::evicted;
    case collective::Outcome::undecided:
      return Status::undecided;
  }
  return Status::internal;
}

}  // namespace seaway::runtime
