// Arithmetic on the caller's vectors, on his thread. It has no communicator, so a status is all that it can say.
#include <seaway/seaway.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "capi/entry.h"
#include "capi/request_parts.h"
#include "reduce/fp_environment.h"
#include "reduce/vector.h"
#include "runtime/kernels.h"

using namespace seaway;        // NOLINT(google-build-using-namespace): this file is the other side of C names
using namespace seaway::capi;  // NOLINT(google-build-using-namespace)

namespace {

bool is_vector(const seaway_buffer* buffer) {
  return buffer != nullptr && check_buffer(*buffer, {}).status == Status::ok &&
         (buffer->dtype == SEAWAY_F32 || buffer->dtype == SEAWAY_F64);
}

bool are_alike(const seaway_buffer& a, const seaway_buffer& b) { return a.dtype == b.dtype && a.count == b.count; }

// Of two that are alike.
bool overlap(const seaway_buffer& a, const seaway_buffer& b) {
  const auto first = reinterpret_cast<std::uintptr_t>(a.data);
  const auto second = reinterpret_cast<std::uintptr_t>(b.data);
  const std::uint64_t bytes = a.count * size_of(dtype_of(a.dtype));
  return bytes > 0 && (first < second ? second - first < bytes : first - second < bytes);
}

// Of an environment in which it is rounded to nearest; `stays` keeps the conversion in it.
template <class Real>
Real rounded(double number) {
  const volatile double stays = number;
  return static_cast<Real>(stays);
}

template <class Real>
seaway_status make_outer_step(const seaway_buffer& theta, const seaway_buffer& buf, const seaway_buffer& gradient,
                              double lr, double momentum, bool nesterov) {
  const FpEnvironment environment;
  const Real rate = rounded<Real>(lr);
  const Real decay = rounded<Real>(momentum);
  if (!std::isfinite(rate) || !std::isfinite(decay)) {
    return SEAWAY_INVALID;
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
seaway_status make_lincomb(const seaway_buffer& out, std::span<const seaway_buffer> x, const double* factors) {
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
  const LincombOf<Real> args{.dst = out.data, .terms = terms, .count = out.count};
  if constexpr (sizeof(Real) == sizeof(float)) {
    runtime::pick_vector_kernels().lincomb(args);
  } else {
    lincomb_f64(args);
  }
  return SEAWAY_OK;
}

}  // namespace

seaway_status seaway_outer_step(const seaway_buffer* theta, const seaway_buffer* buf, const seaway_buffer* gradient,
                                double lr, double momentum, int32_t nesterov) {
  return entry([&] {
    if (!is_vector(theta) || !is_vector(buf) || !is_vector(gradient) || !are_alike(*theta, *buf) ||
        !are_alike(*theta, *gradient) || overlap(*theta, *buf) || overlap(*theta, *gradient) ||
        overlap(*buf, *gradient) || (nesterov != 0 && nesterov != 1)) {
      return SEAWAY_INVALID;
    }
    return theta->dtype == SEAWAY_F32 ? make_outer_step<float>(*theta, *buf, *gradient, lr, momentum, nesterov == 1)
                                      : make_outer_step<double>(*theta, *buf, *gradient, lr, momentum, nesterov == 1);
  });
}

seaway_status seaway_lincomb(const seaway_buffer* out, const seaway_buffer* x, const double* factors, size_t count) {
  return entry([&] {
    if (!is_vector(out) || x == nullptr || factors == nullptr || count == 0 || count > kMostBuffers) {
      return SEAWAY_INVALID;
    }
    const std::span<const seaway_buffer> terms(x, count);
    for (const seaway_buffer& each : terms) {
      if (!is_vector(&each) || !are_alike(*out, each) || (each.data != out->data && overlap(*out, each))) {
        return SEAWAY_INVALID;
      }
    }
    return out->dtype == SEAWAY_F32 ? make_lincomb<float>(*out, terms, factors)
                                    : make_lincomb<double>(*out, terms, factors);
  });
}
