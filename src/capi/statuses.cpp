#include "capi/statuses.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/dtype.h"
#include "collective/boundary.h"
#include "runtime/communicator.h"

namespace seaway::capi {
namespace {

constexpr StatusFacts kFacts[] = {
    {Status::ok, "SEAWAY_OK", false, ""},
    {Status::pending, "SEAWAY_PENDING", true, "it goes on: call again to wait on"},
    {Status::invalid, "SEAWAY_INVALID", false, "an argument is wrong"},
    {Status::busy, "SEAWAY_BUSY", true,
     "another seaway_join, seaway_update or seaway_leave of this communicator runs: wait for it"},
    {Status::closed, "SEAWAY_CLOSED", false, "the communicator was destroyed: make a new one with seaway_create"},
    {Status::not_member, "SEAWAY_NOT_MEMBER", false, "this communicator is not a member of the run: call seaway_join"},
    {Status::forked, "SEAWAY_FORKED", false,
     "this process is a fork of the one that made the handle: make a communicator of its own here"},
    {Status::too_many, "SEAWAY_TOO_MANY", true, "too many ops are open: wait for some of them"},
    {Status::no_device, "SEAWAY_NO_DEVICE", false, "no device can be used here: give memory of the host's"},
    {Status::refused, "SEAWAY_REFUSED", false, "members called with different arguments: make the calls alike"},
    {Status::aborted, "SEAWAY_ABORTED", true,
     "the op was ended for every member and the input is intact: all may start it again"},
    {Status::evicted, "SEAWAY_EVICTED", false,
     "this incarnation was removed from the run and the input is intact: call seaway_join, then repeat the step"},
    {Status::undecided, "SEAWAY_UNDECIDED", false,
     "this peer left before the op was decided; the input is intact, the others may have committed with it"},
    {Status::join_refused, "SEAWAY_JOIN_REFUSED", false, "the master does not admit this peer as it is"},
    {Status::no_master, "SEAWAY_NO_MASTER", true,
     "the master cannot be reached: see that it runs and that `master` is its address, then call seaway_join again"},
    {Status::no_address, "SEAWAY_NO_ADDRESS", true,
     "a name does not resolve or an address cannot be listened on: see `master` and `listen`"},
    {Status::internal, "SEAWAY_INTERNAL", false,
     "a bug in seaway: destroy the communicator, make a new one, and please report this text"},
    {Status::no_memory, "SEAWAY_NO_MEMORY", true, "no memory was left; nothing was changed"},
};

// The numbers of include/seaway/ are those of the C++ side: casts are all the translation there is.
#define SEAWAY_SAME(c, cpp) static_assert(static_cast<int>(c) == static_cast<int>(cpp))
SEAWAY_SAME(SEAWAY_OK, Status::ok);
SEAWAY_SAME(SEAWAY_PENDING, Status::pending);
SEAWAY_SAME(SEAWAY_INVALID, Status::invalid);
SEAWAY_SAME(SEAWAY_BUSY, Status::busy);
SEAWAY_SAME(SEAWAY_CLOSED, Status::closed);
SEAWAY_SAME(SEAWAY_NOT_MEMBER, Status::not_member);
SEAWAY_SAME(SEAWAY_FORKED, Status::forked);
SEAWAY_SAME(SEAWAY_TOO_MANY, Status::too_many);
SEAWAY_SAME(SEAWAY_NO_DEVICE, Status::no_device);
SEAWAY_SAME(SEAWAY_REFUSED, Status::refused);
SEAWAY_SAME(SEAWAY_ABORTED, Status::aborted);
SEAWAY_SAME(SEAWAY_EVICTED, Status::evicted);
SEAWAY_SAME(SEAWAY_UNDECIDED, Status::undecided);
SEAWAY_SAME(SEAWAY_JOIN_REFUSED, Status::join_refused);
SEAWAY_SAME(SEAWAY_NO_MASTER, Status::no_master);
SEAWAY_SAME(SEAWAY_NO_ADDRESS, Status::no_address);
SEAWAY_SAME(SEAWAY_INTERNAL, Status::internal);
SEAWAY_SAME(SEAWAY_NO_MEMORY, Status::no_memory);
SEAWAY_SAME(SEAWAY_F32, DType::f32);
SEAWAY_SAME(SEAWAY_F64, DType::f64);
SEAWAY_SAME(SEAWAY_F16, DType::f16);
SEAWAY_SAME(SEAWAY_BF16, DType::bf16);
SEAWAY_SAME(SEAWAY_I8, DType::i8);
SEAWAY_SAME(SEAWAY_U8, DType::u8);
SEAWAY_SAME(SEAWAY_I16, DType::i16);
SEAWAY_SAME(SEAWAY_U16, DType::u16);
SEAWAY_SAME(SEAWAY_I32, DType::i32);
SEAWAY_SAME(SEAWAY_U32, DType::u32);
SEAWAY_SAME(SEAWAY_I64, DType::i64);
SEAWAY_SAME(SEAWAY_U64, DType::u64);
SEAWAY_SAME(SEAWAY_SUM, Reduction::sum);
SEAWAY_SAME(SEAWAY_AVG, Reduction::avg);
SEAWAY_SAME(SEAWAY_MIN, Reduction::min);
SEAWAY_SAME(SEAWAY_MAX, Reduction::max);
SEAWAY_SAME(SEAWAY_PROD, Reduction::prod);
SEAWAY_SAME(SEAWAY_COMMITTED, collective::Outcome::committed);
SEAWAY_SAME(SEAWAY_NO_WEIGHT, collective::Outcome::no_weight);
SEAWAY_SAME(SEAWAY_EVENT_NONE, runtime::Event::Kind::none);
SEAWAY_SAME(SEAWAY_EVENT_OP_DONE, runtime::Event::Kind::op_done);
SEAWAY_SAME(SEAWAY_EVENT_EPOCH_CHANGED, runtime::Event::Kind::epoch_changed);
SEAWAY_SAME(SEAWAY_EVENT_EVICTED, runtime::Event::Kind::evicted);
SEAWAY_SAME(SEAWAY_EVENT_LOG, runtime::Event::Kind::log);
#undef SEAWAY_SAME

// How many bytes the character at `at` has; 0 if it is not UTF-8. Surrogates and what is longer than need be are none.
std::size_t character_at(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(at);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (first < 0xC2 || first > 0xF4) {
    return 0;
  }
  low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : low;
  high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : high;
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(at + i) < low || byte(at + i) > high) {
      return 0;
    }
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

}  // namespace

const StatusFacts* facts_of(Status status) {
  const auto* const found =
      std::find_if(std::begin(kFacts), std::end(kFacts), [&](const StatusFacts& f) { return f.status == status; });
  return found == std::end(kFacts) ? nullptr : found;
}

Error make_error(Status status, std::string text) {
  Error error;
  error.status = status;
  error.text = std::move(text);
  if (const StatusFacts* const facts = facts_of(status); facts != nullptr && error.text.empty()) {
    error.text = facts->text;
  }
  return error;
}

void copy_text(char* into, std::size_t size, const std::string& text) {
  const std::string cut = shortened(text, size - 1);
  std::fill(std::copy(cut.begin(), cut.end(), into), into + size, '\0');
}

std::string shortened(std::string text, std::size_t size) {
  if (text.size() <= size) {
    return text;
  }
  // Back to the first byte of a character: continuation bytes are 10xxxxxx.
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) {
    --size;
  }
  text.resize(size);
  return text;
}

bool is_utf8(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_at(text, at);
    if (length == 0) {
      return false;
    }
    at += length;
  }
  return true;
}

void fill(seaway_error& into, const Error& error) {
  const StatusFacts* const facts = facts_of(error.status);
  into.status = static_cast<std::int32_t>(error.status);
  into.error_class = into.status / 100;
  into.retryable = facts != nullptr && facts->retryable ? 1 : 0;
  into.tag = error.op.tag;
  into.seq = error.op.seq;
  into.epoch = {error.epoch.term, error.epoch.number};
  into.peer = error.peer;
  copy_text(into.phase, sizeof into.phase, error.phase);
  copy_text(into.text, sizeof into.text, error.text.empty() && facts != nullptr ? facts->text : error.text);
}

}  // namespace seaway::capi
