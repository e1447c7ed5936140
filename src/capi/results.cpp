#include "capi/results.h"

#include <algorithm>
#include <cstring>

#include "base/time.h"
#include "capi/structs.h"

namespace seaway::capi {

void fill(seaway_result* result, const runtime::Operation& operation) {
  if (result == nullptr) {
    return;
  }
  seaway_result filled{};
  // It was checked: what the caller gives in, his arrays, is in the first version's fields.
  std::memcpy(&filled, result, std::min(result->struct_size, sizeof filled));
  const collective::Result from = operation.result();

  filled.contributor_count = from.contributors.size();
  if (filled.contributors != nullptr) {
    for (std::size_t i = 0; i < std::min(filled.contributor_count, filled.contributor_capacity); ++i) {
      filled.contributors[i] = {from.contributors[i].id, from.contributors[i].weight};
    }
  }
  filled.lost_count = from.lost.size();
  if (filled.lost != nullptr) {
    std::copy_n(from.lost.begin(), std::min(filled.lost_count, filled.lost_capacity), filled.lost);
  }
  filled.outcome = static_cast<int32_t>(from.outcome);
  filled.plan = static_cast<int32_t>(from.plan);
  filled.weight_sum = from.weight_sum;
  const Epoch ended = operation.ended_epoch();
  filled.epoch = {ended.term, ended.number};
  filled.attempt = {from.value.attempt.term, from.value.attempt.number};
  filled.attempts = from.attempts;
  filled.seq = from.op.seq;
  filled.hash = from.hash;
  filled.contributors_hash = from.value.contributors;
  filled.bytes_sent = from.bytes_sent;
  filled.bytes_received = from.bytes_received;
  filled.bytes_resent = from.bytes_resent;
  filled.scratch_bytes = operation.scratch_bytes();
  filled.seconds = static_cast<double>(from.ended - from.posted) / kSecond;
  give(result, filled);
}

}  // namespace seaway::capi
