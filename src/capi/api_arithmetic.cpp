// Arithmetic on the caller's vectors and their hashes: on his thread, or in his stream. It has no communicator, so a status is all that
// it can say.
#include <seaway/seaway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "capi/entry.h"
#include "capi/request.h"
#include "capi/request_parts.h"
#include "device/queue.h"
#include "hash/hash.h"
#include "reduce/fp_environment.h"
#include "reduce/vector.h"
#include "runtime/device_tensors.h"
#include "runtime/kernels.h"
#include "state/leaves.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

bool is_buffer(const seaway_buffer* buffer) {
  return buffer != nullptr && check_buffer(*buffer, {}, true).status == Status::ok;
}

bool is_vector(const seaway_buffer* buffer) {
  return is_buffer(buffer) && (buffer->dtype == SEAWAY_F32 || buffer->dtype == SEAWAY_F64);
}

bool are_alike(const seaway_buffer& a, const seaway_buffer& b) { return a.dtype == b.dtype && a.count == b.count; }

std::uint64_t bytes_of(const seaway_buffer& buffer) { return buffer.count * size_of(dtype_of(buffer.dtype)); }

// Of two that are alike.
bool overlap(const seaway_buffer& a, const seaway_buffer& b) {
  const auto first = reinterpret_cast<std::uintptr_t>(a.data);
  const auto second = reinterpret_cast<std::uintptr_t>(b.data);
  const std::uint64_t bytes = bytes_of(a);
  return bytes > 0 && (first < second ? second - first < bytes : first - second < bytes);
}

// --- On a device ----------------------------------------------------------------------------------------------------

// Where all of them lie: on the host, which has no streams, or on one device. Those without elements lie nowhere, which is the host.
Status find_place(const seaway_buffer& first, std::span<const seaway_buffer> others, const void* stream, int& device) {
  device = device::kHost;
  const auto add = [&](const seaway_buffer& buffer) {
    int found = device::kHost;
    if (buffer.device != first.device) {
      return Status::invalid;
    }
    if (buffer.count == 0) {
      return Status::ok;
    }
    if (Error error = locate({.device = buffer.device, .data = buffer.data}, found); error.status != Status::ok) {
      return error.status;
    }
    if (&buffer != &first && found != device) {
      return Status::invalid;
    }
    device = found;
    return Status::ok;
  };
  Status status = first.device == SEAWAY_HOST && stream != nullptr ? Status::invalid : add(first);
  for (const seaway_buffer& buffer : others) {
    status = status == Status::ok ? add(buffer) : status;
  }
  return status;
}

// `put` puts a kernel into the caller's stream. Nothing is waited for.
template <class Put>
seaway_status put_into(int device, void* stream, const Put& put) {
  std::string problem;
  const auto queue = device::Queue::borrow(*device::table(problem), device, stream, problem);
  if (!queue) {
    return SEAWAY_NO_DEVICE;
  }
  put(*queue);
  return queue->problem().empty() ? SEAWAY_OK : SEAWAY_NO_DEVICE;
}

// A thread keeps the memory for a device's answers: to take and to give back what is pinned holds up all of the device.
runtime::DeviceTensors& tensors_of_this_thread() {
  static thread_local runtime::DeviceTensors tensors;
  return tensors;
}

// `ask` asks what lies on a device, and waits. In a stream of the library's, behind a mark of the caller's: a stream that is being
// captured has none, and a graph would write its answer again whenever it runs.
template <class Ask>
seaway_status ask_device(int device, void* stream, const Ask& ask) {
  std::shared_ptr<device::Mark> mark;
  if (mark_stream(device, stream, mark).status != Status::ok) {
    return SEAWAY_NO_DEVICE;
  }
  runtime::DeviceTensors& tensors = tensors_of_this_thread();
  std::string problem = tensors.follow(device, *mark);
  problem = problem.empty() ? ask(tensors) : std::move(problem);
  return problem.empty() ? SEAWAY_OK : SEAWAY_NO_DEVICE;
}

// --- What is computed -----------------------------------------------------------------------------------------------

// Of an environment in which it is rounded to nearest; `stays` keeps the conversion in it.
template <class Real>
Real rounded(double number) {
  const volatile double stays = number;
  return static_cast<Real>(stays);
}

template <class Real>
seaway_status make_outer_step(const seaway_buffer& theta, const seaway_buffer& buf, const seaway_buffer& gradient,
                              double lr, double momentum, bool nesterov, int device, void* stream) {
  const FpEnvironment environment;  // also where numbers become a kernel's
  const Real rate = rounded<Real>(lr);
  const Real decay = rounded<Real>(momentum);
  if (!std::isfinite(rate) || !std::isfinite(decay)) {
    return SEAWAY_INVALID;
  }
  if (device != device::kHost) {
    return put_into(device, stream, [&](device::Queue& queue) {
      queue.outer_step({dtype_of(theta.dtype), theta.data, buf.data, gradient.data, theta.count,
                        static_cast<double>(rate), static_cast<double>(decay), nesterov});
    });
  }
  const OuterStepOf<Real> args{.theta = theta.data,
                               .buf = buf.data,
                               .gradient = gradient.data,
                               .count = theta.count,
                               .rate = rate,
                               .momentum = decay,
                               .nesterov = nesterov};
  if constexpr (sizeof(Real) == sizeof(float)) {
    runtime::pick_vector_kernels().outer_step(args);
  } else {
    outer_step_f64(args);
  }
  return SEAWAY_OK;
}

template <class Real>
seaway_status make_lincomb(const seaway_buffer& out, std::span<const seaway_buffer> x, const double* factors,
                           int device, void* stream) {
  const FpEnvironment environment;
  std::vector<TermOf<Real>> terms;
  terms.reserve(x.size());
  for (const seaway_buffer& each : x) {
    const Real factor = rounded<Real>(factors[terms.size()]);
    if (!std::isfinite(factor)) {
      return SEAWAY_INVALID;
    }
    terms.push_back({each.data, factor});
  }
  if (device != device::kHost) {
    std::vector<SeawayTerm> there;
    there.reserve(terms.size());
    for (const TermOf<Real>& term : terms) {
      there.push_back({term.x, static_cast<double>(term.factor)});
    }
    return put_into(device, stream, [&](device::Queue& queue) {
      queue.lincomb({dtype_of(out.dtype), out.data, there.data(), there.size(), out.count});
    });
  }
  const LincombOf<Real> args{.dst = out.data, .terms = terms, .count = out.count};
  if constexpr (sizeof(Real) == sizeof(float)) {
    runtime::pick_vector_kernels().lincomb(args);
  } else {
    lincomb_f64(args);
  }
  return SEAWAY_OK;
}

// As that of a shared state that has this tensor alone.
seaway_status make_hash(std::span<const std::byte> bytes, int device, void* stream, Hash128& digest) {
  const std::uint64_t size = bytes.size();
  std::vector<std::span<const std::byte>> leaves;
  for (const state::Leaf& leaf : state::cut_into_leaves({&size, 1})) {
    leaves.push_back(bytes.subspan(leaf.offset, leaf.length));
  }
  std::vector<Hash128> hashes(leaves.size());
  seaway_status status = SEAWAY_OK;
  if (device != device::kHost) {
    status = ask_device(device, stream,
                        [&](runtime::DeviceTensors& tensors) { return tensors.hash(leaves, hashes.data()); });
  } else {
    std::transform(leaves.begin(), leaves.end(), hashes.begin(), hash128);
  }
  digest = state::digest_of(hashes);
  return status;
}

}  // namespace

seaway_status seaway_outer_step(const seaway_buffer* theta, const seaway_buffer* buf, const seaway_buffer* gradient,
                                double lr, double momentum, int32_t nesterov, void* stream) {
  return entry([&] {
    if (!is_vector(theta) || !is_vector(buf) || !is_vector(gradient) || !are_alike(*theta, *buf) ||
        !are_alike(*theta, *gradient) || overlap(*theta, *buf) || overlap(*theta, *gradient) ||
        overlap(*buf, *gradient) || (nesterov != 0 && nesterov != 1)) {
      return SEAWAY_INVALID;
    }
    const seaway_buffer others[] = {*buf, *gradient};
    int device = device::kHost;
    if (const Status status = find_place(*theta, others, stream, device); status != Status::ok) {
      return to_c(status);
    }
    const auto make = theta->dtype == SEAWAY_F32 ? make_outer_step<float> : make_outer_step<double>;
    return make(*theta, *buf, *gradient, lr, momentum, nesterov == 1, device, stream);
  });
}

seaway_status seaway_lincomb(const seaway_buffer* out, const seaway_buffer* x, const double* factors, size_t count,
                             void* stream) {
  return entry([&] {
    if (!is_vector(out) || x == nullptr || factors == nullptr || count == 0 ||
        count > (out->device == SEAWAY_HOST ? kMostBuffers : kSeawayMostTerms)) {
      return SEAWAY_INVALID;
    }
    const std::span<const seaway_buffer> terms(x, count);
    for (const seaway_buffer& each : terms) {
      if (!is_vector(&each) || !are_alike(*out, each) || (each.data != out->data && overlap(*out, each))) {
        return SEAWAY_INVALID;
      }
    }
    int device = device::kHost;
    if (const Status status = find_place(*out, terms, stream, device); status != Status::ok) {
      return to_c(status);
    }
    const auto make = out->dtype == SEAWAY_F32 ? make_lincomb<float> : make_lincomb<double>;
    return make(*out, terms, factors, device, stream);
  });
}

seaway_status seaway_sqnorm(double* sum, const seaway_buffer* x, void* stream) {
  return entry([&] {
    if (sum == nullptr || !is_vector(x) || x->dtype != SEAWAY_F32) {
      return SEAWAY_INVALID;
    }
    int device = device::kHost;
    if (const Status status = find_place(*x, {}, stream, device); status != Status::ok) {
      return to_c(status);
    }
    if (device == device::kHost) {
      *sum = runtime::pick_vector_kernels().sqnorm(x->data, x->count);
      return SEAWAY_OK;
    }
    return ask_device(device, stream,
                      [&](runtime::DeviceTensors& tensors) { return tensors.sqnorm(x->data, x->count, *sum); });
  });
}

seaway_status seaway_hash(uint64_t digest[2], const seaway_buffer* x, void* stream) {
  return entry([&] {
    if (digest == nullptr || !is_buffer(x)) {
      return SEAWAY_INVALID;
    }
    int device = device::kHost;
    if (const Status status = find_place(*x, {}, stream, device); status != Status::ok) {
      return to_c(status);
    }
    Hash128 hash{};
    const seaway_status status =
        make_hash({static_cast<const std::byte*>(x->data), bytes_of(*x)}, device, stream, hash);
    if (status == SEAWAY_OK) {
      digest[0] = hash.high;
      digest[1] = hash.low;
    }
    return status;
  });
}
