// The options of a call, as the runtime takes them.
#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/time.h"
#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/request.h"
#include "capi/request_parts.h"
#include "capi/statuses.h"
#include "capi/structs.h"
#include "hash/hash.h"

namespace seaway::capi {

seaway_options default_options() {
  seaway_options options{};
  options.struct_size = sizeof options;
  options.weight = 1;
  return options;
}

namespace {

constexpr std::uint64_t kTags = std::uint64_t{1} << 62;

Error check_seconds(double seconds, const char* field) {
  if (std::isnan(seconds) || seconds < 0) {
    return invalid(std::string("options.") + field + " must be 0 (none) or a number of seconds above it");
  }
  return {};
}

Error check_weight(const seaway_options& options, const collective::Descriptor& descriptor) {
  if (!std::isfinite(options.weight) || options.weight < 0) {
    return invalid("options.weight must be finite and not negative");
  }
  if (options.weighted != 0 && options.weighted != 1) {
    return invalid("options.weighted is " + std::to_string(options.weighted) + ": it is 0 or 1");
  }
  const bool may_weigh = collective::reduces(descriptor.kind) && descriptor.reduction == Reduction::avg;
  if (options.weighted == 1 && !may_weigh) {
    return invalid("options.weighted is 1: weights count in reductions with SEAWAY_AVG only");
  }
  if (options.weighted == 0 && options.weight != 1) {
    return invalid(
        "options.weight is set but options.weighted is 0: set it to 1 on every member, or leave weight at 1");
  }
  return {};
}

Error check_codec(std::int32_t codec, const char* field) {
  if (codec < SEAWAY_CODEC_NONE || codec > SEAWAY_CODEC_Q4) {
    return invalid(std::string("options.") + field + " is " + std::to_string(codec) + ", which is no seaway_codec");
  }
  return {};
}

// How it travels. What kinds of op and what dtypes a codec is for the engine says as well; here the fields have their names.
Error apply_codecs(const seaway_options& options, collective::Descriptor& descriptor) {
  for (Error error : {check_codec(options.codec_up, "codec_up"), check_codec(options.codec_down, "codec_down")}) {
    if (error.status != Status::ok) {
      return error;
    }
  }
  if (options.rounding != SEAWAY_NEAREST && options.rounding != SEAWAY_STOCHASTIC) {
    return invalid("options.rounding is " + std::to_string(options.rounding) + ", which is no seaway_rounding");
  }
  const bool up = options.codec_up != SEAWAY_CODEC_NONE;
  const bool down = options.codec_down != SEAWAY_CODEC_NONE;
  if (!up && options.rounding != SEAWAY_NEAREST) {
    return invalid("options.rounding is of contributions that are encoded: set codec_up too");
  }
  if (!up && options.residual != nullptr) {
    return invalid("options.residual is of contributions that are encoded: set codec_up too");
  }
  if (down && descriptor.kind != collective::OpKind::all_reduce) {
    return invalid("options.codec_down is set: only an all-reduce has results that travel");
  }
  const bool reduces = collective::reduces(descriptor.kind);
  if (up && !reduces && descriptor.kind != collective::OpKind::all_gather) {
    return invalid("options.codec_up is set: codecs are for all_reduce, reduce_scatter and all_gather");
  }
  if ((up || down) && descriptor.dtype != DType::f32) {
    return invalid(std::string("options have a codec, and the buffers are ") + name_of(descriptor.dtype) +
                   ": codecs are for SEAWAY_F32");
  }
  if ((up || down) && reduces && descriptor.reduction != Reduction::sum && descriptor.reduction != Reduction::avg) {
    return invalid("options have a codec, and reduction is neither SEAWAY_SUM nor SEAWAY_AVG");
  }
  descriptor.up = static_cast<Codec>(options.codec_up);
  descriptor.down = static_cast<Codec>(options.codec_down);
  descriptor.rounding = static_cast<Rounding>(options.rounding);
  descriptor.feeds_back = options.residual != nullptr;
  return {};
}

Error apply_quorum(const seaway_options& options, collective::Descriptor& descriptor) {
  constexpr double kMostSeconds = 4'000'000;  // in milliseconds they fit into 32 bits
  if (Error error = check_seconds(options.grace_s, "grace_s"); error.status != Status::ok) {
    return error;
  }
  if (options.quorum == 0) {
    return options.grace_s == 0 ? Error{}
                                : invalid("options.grace_s is of an op with a quorum: set options.quorum too");
  }
  if (!collective::reduces(descriptor.kind)) {
    return invalid("options.quorum is set: it is for all_reduce and reduce_scatter");
  }
  if (options.grace_s > kMostSeconds) {
    return invalid("options.grace_s is more than 4000000 seconds");
  }
  descriptor.quorum = static_cast<std::uint32_t>(std::min<std::uint64_t>(options.quorum, UINT32_MAX));
  descriptor.grace = static_cast<Duration>(std::ceil(options.grace_s * 1000)) * kMillisecond;
  return {};
}

Error apply_transaction(const seaway_options& options, runtime::OpRequest& request) {
  if (options.transaction == nullptr) {
    return {};
  }
  std::shared_ptr<Op> transaction;
  if (const Status status = find(options.transaction, transaction); status != Status::ok) {
    return status == Status::forked ? make_error(status) : invalid("options.transaction was freed, or is no handle");
  }
  if (!transaction->is_transaction()) {
    return invalid("options.transaction is another op: seaway_transaction_create makes one");
  }
  const collective::OpKind kind = request.descriptor.kind;
  if (kind == collective::OpKind::transaction) {
    return invalid("options.transaction is set: one transaction cannot be in another");
  }
  if (kind == collective::OpKind::transfer) {
    return invalid("options.transaction is set: a send or a recv has two ends, and a transaction is everybody's");
  }
  if (options.quorum != 0) {
    return invalid("options.transaction and options.quorum are set: ops of a transaction are everybody's");
  }
  request.transaction = transaction->operation();
  return {};
}

// As many elements as `in` has, and apart from every buffer of the call.
Error add_residual(const seaway_options& options, runtime::OpRequest& request) {
  std::uint64_t bytes = 0;
  for (const runtime::Span& span : request.in) {
    bytes += span.bytes;
  }
  if (options.residual == nullptr || bytes == 0) {
    return {};
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(options.residual);
  if (begin > UINTPTR_MAX - bytes) {
    return invalid("options.residual reaches beyond the end of the address space");
  }
  for (const auto* side : {&request.in, &request.out}) {
    for (const runtime::Span& span : *side) {
      const auto start = reinterpret_cast<std::uintptr_t>(span.data);
      if (span.bytes > 0 && start < begin + bytes && begin < start + span.bytes) {
        return invalid(std::string("options.residual overlaps a buffer of ") + (side == &request.in ? "in" : "out") +
                       ": it is written, and may overlap nothing else");
      }
    }
  }
  request.residual = {{reinterpret_cast<std::byte*>(options.residual), bytes}};
  return {};
}

// Members' pieces must be alike one by one: a sum of the counts says nothing of which tensor is which. One piece is its count.
void cover_pieces(collective::Descriptor& descriptor, std::span<const seaway_buffer> buffers) {
  if (buffers.size() < 2) {
    return;
  }
  descriptor.pieces = buffers.size();
  std::vector<std::uint64_t> covered{descriptor.layout};
  covered.reserve(buffers.size() + 1);
  for (const seaway_buffer& buffer : buffers) {
    covered.push_back(buffer.count);
  }
  descriptor.layout = combine(covered);
}

}  // namespace

Error apply_options(const seaway_options* given, runtime::OpRequest& request, std::span<const seaway_buffer> buffers) {
  seaway_options options = default_options();
  if (given != nullptr) {
    if (Error error = take(given, options); error.status != Status::ok) {
      return error;
    }
  }
  collective::Descriptor& descriptor = request.descriptor;
  if (options.tag >= kTags) {
    return invalid("options.tag is " + std::to_string(options.tag) + ": tags are below 2^62");
  }
  if (options.on_loss != SEAWAY_RESUME && options.on_loss != SEAWAY_FAIL) {
    return invalid("options.on_loss is " + std::to_string(options.on_loss) + ", which is no seaway_on_loss");
  }
  for (Error error :
       {apply_codecs(options, descriptor), apply_quorum(options, descriptor), check_weight(options, descriptor),
        check_seconds(options.no_progress, "no_progress"), check_seconds(options.deadline, "deadline"),
        apply_transaction(options, request), apply_stream(options, request)}) {
    if (error.status != Status::ok) {
      return error;
    }
  }
  descriptor.tag = options.tag;
  descriptor.weighted = options.weighted == 1;
  descriptor.weight = options.weight;
  descriptor.fail_on_loss = options.on_loss == SEAWAY_FAIL;
  descriptor.layout = options.layout;
  descriptor.priority = options.priority;
  cover_pieces(descriptor, buffers);
  if (options.no_progress > 0 && options.no_progress < kForever) {
    // Something above 0 stays something.
    descriptor.no_progress = std::max<Duration>(1, std::llround(options.no_progress * kSecond));
  }
  request.deadline_s = options.deadline < kForever ? options.deadline : 0;
  return add_residual(options, request);
}

}  // namespace seaway::capi
