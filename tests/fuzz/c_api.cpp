// Calls of the C API in any order, with any arguments, on a runtime that does nothing; memory may fail.
//
// The arguments are those that C allows a caller to pass; the runtime is tests/capi/fake_runtime.cpp: no threads, no sockets.
// In each call the allocation that the bytes name may fail.
//
// Whatever fails is a status: never a crash, a leak, or a bug in the library (INTERNAL); a call whose memory failed did not
// succeed; and every handle can be freed afterwards.
#include <seaway/master.h>
#include <seaway/seaway.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/support/allocations.h"
#include "fuzz/support/input.h"
#include "fuzz/support/require.h"

using namespace seaway;

namespace {

constexpr std::size_t kMostSteps = 100;

// A struct that may say that it is longer than this version's: its caller has that much memory.
template <class Struct>
struct Padded {
  Struct value;
  std::array<std::byte, 256> more{};  // a size is drawn from one byte
};

struct Comm {
  seaway_comm* handle = nullptr;
  bool is_pending = false;  // the fake never ends its ops: a call that blocks would be one in vain
};

class Program {
 public:
  explicit Program(fuzz::Input& input) : input_(input) {}

  void run() {
    for (std::size_t steps = 0; !input_.empty() && steps < kMostSteps; ++steps) {
      step();
    }
    for (seaway_op* op : ops_) {
      seaway_free(op);
    }
    for (seaway_state* state : states_) {
      must_free(seaway_state_free(state));
    }
    for (const Comm& comm : comms_) {
      must_free(seaway_destroy(comm.handle));
    }
    for (seaway_master* master : masters_) {
      must_free(seaway_master_stop(master));
    }
  }

 private:
  static void must_free(seaway_status status) {
    FUZZ_REQUIRE(status == SEAWAY_OK || status == SEAWAY_CLOSED, "every handle can be freed");
  }

  template <class Call>
  seaway_status call(Call&& what) {
    const std::uint64_t fail_at = input_.one_in(2) ? 1 + input_.below(24) : 0;
    seaway_status status = SEAWAY_OK;
    bool failed = false;
    {
      const fuzz::Watch watch(fail_at);
      status = what();
      failed = watch.has_failed();
    }
    FUZZ_REQUIRE(status != SEAWAY_INTERNAL, "no call finds a bug");
    FUZZ_REQUIRE(status != SEAWAY_NO_MEMORY || failed, "there was memory");
    FUZZ_REQUIRE(!failed || (status != SEAWAY_OK && status != SEAWAY_PENDING),
                 "a call without memory has not succeeded");
    FUZZ_REQUIRE(std::strcmp(seaway_status_string(status), "SEAWAY_UNKNOWN") != 0, "a status is one of the header's");
    return status;
  }

  // --- Arguments ---

  template <class Handle>
  Handle* draw(const std::vector<Handle*>& handles) {
    if (handles.empty() || input_.one_in(16)) {
      return nullptr;
    }
    return input_.one_of(handles);
  }
  Comm draw_comm() { return comms_.empty() || input_.one_in(16) ? Comm{} : input_.one_of(comms_); }
  double draw_seconds() { return input_.one_in(8) ? input_.number<double>() : 0; }
  std::size_t draw_size(std::size_t right) { return input_.one_in(16) ? input_.byte() : right; }
  const char* draw_text() {
    const std::uint8_t which = input_.byte();
    if (which == 0) {
      return nullptr;
    }
    texts_.push_back(which < 64 ? input_.text(which) : std::string("127.0.0.1:") + std::to_string(which));
    if (texts_.back().find("throws") != std::string::npos) {
      texts_.back().clear();  // what tells the fake to throw: comparisons show the fuzzer how it is written
    }
    return texts_.back().c_str();
  }
  std::vector<seaway_buffer> draw_buffers() {
    std::vector<seaway_buffer> buffers;
    for (std::uint32_t left = input_.below(4); left > 0; --left) {
      seaway_buffer buffer{memory_.data() + input_.below(8) * 64, input_.below(16), SEAWAY_F32, SEAWAY_HOST};
      if (input_.one_in(8)) {
        buffer.dtype = input_.number<std::int8_t>();
        buffer.count = input_.number<std::uint64_t>();
        buffer.device = input_.one_in(4) ? 1 : 0;
        buffer.data = input_.one_in(2) ? nullptr : buffer.data;
      }
      buffers.push_back(buffer);
    }
    return buffers;
  }
  static const seaway_buffer* pointer(const std::vector<seaway_buffer>& buffers) {
    return buffers.empty() ? nullptr : buffers.data();
  }
  Padded<seaway_options> draw_options() {
    Padded<seaway_options> padded{};
    seaway_options& options = padded.value;
    FUZZ_REQUIRE(seaway_options_init(&options, sizeof options) == SEAWAY_OK, "the header's size is right");
    if (input_.one_in(4)) {
      options.struct_size = draw_size(sizeof options);
      options.tag = input_.number<std::uint64_t>();
      options.weight = input_.number<double>();
      options.weighted = input_.number<std::int8_t>();
      options.on_loss = input_.number<std::int8_t>();
      options.no_progress = draw_seconds();
      options.deadline = draw_seconds();
    }
    return padded;
  }

  // --- Calls ---

  void step() {
    texts_.clear();
    texts_.reserve(16);
    switch (input_.below(21)) {
      case 0:
        return create();
      case 1: {
        const Comm comm = draw_comm();
        const double timeout = draw_seconds();
        call([&] { return seaway_join(comm.handle, timeout); });
        return;
      }
      case 2: {
        const Comm comm = draw_comm();
        const double timeout = draw_seconds();
        call([&] { return seaway_leave(comm.handle, timeout); });
        return;
      }
      case 3: {
        const Comm comm = draw_comm();
        seaway_view* view = nullptr;
        if (input_.one_in(2)) {
          call([&] { return seaway_update(comm.handle, &view, 0); });
        } else {
          call([&] { return seaway_view_get(comm.handle, &view); });
        }
        seaway_view_free(view);
        return;
      }
      case 4:
      case 5:
      case 6:
        return start();
      case 7:
        return run_blocking();
      case 8:
        return wait();
      case 9: {
        seaway_op* op = draw(ops_);
        Padded<seaway_result> result = draw_result();
        const bool is_blocked = input_.one_in(2);
        call([&] { return is_blocked ? seaway_test(op, nullptr) : seaway_test(op, &result.value); });
        return;
      }
      case 10: {
        seaway_op* op = draw(ops_);
        const char* reason = draw_text();
        call([&] { return seaway_cancel(op, reason); });
        return;
      }
      case 11:
        return get_error();
      case 12:
        return next_event();
      case 13: {
        const Comm comm = draw_comm();
        seaway_state* state = nullptr;
        if (call([&] { return seaway_state_create(comm.handle, &state); }) == SEAWAY_OK) {
          states_.push_back(state);
        }
        return;
      }
      case 14:
      case 15:
        return add_tensor();
      case 16:
        return sync();
      case 17:
        return start_master();
      case 18: {
        const Comm comm = draw_comm();
        seaway_free(draw(ops_));
        int fd = 0;
        // The fake has no descriptor, which is NO_MEMORY.
        static_cast<void>(seaway_event_fd(comm.handle, input_.one_in(4) ? nullptr : &fd));
        return;
      }
      case 19:
        return compute();
      default: {
        const Comm comm = draw_comm();
        call([&] { return seaway_destroy(comm.handle); });
      }
    }
  }

  // What these are given they read and write: no count is beyond the memory.
  void compute() {
    std::vector<seaway_buffer> x = draw_buffers();
    for (seaway_buffer& buffer : x) {
      buffer.count = std::min<std::uint64_t>(buffer.count, 16);
      buffer.dtype = input_.one_in(4) ? static_cast<std::int32_t>(SEAWAY_F64) : buffer.dtype;
    }
    double numbers[] = {draw_seconds(), draw_seconds(), draw_seconds()};
    void* const stream = numbers[2] < 0 ? numbers : nullptr;
    if (x.size() == 3) {
      call([&] { return seaway_outer_step(&x[0], &x[1], &x[2], numbers[0], numbers[1], input_.byte() & 3, stream); });
    }
    call([&] { return seaway_lincomb(x.empty() ? nullptr : &x[0], pointer(x), numbers, x.size(), stream); });
    if (!x.empty()) {
      double sum = 0;
      std::uint64_t digest[2] = {};
      call([&] { return seaway_sqnorm(&sum, &x[0], stream); });
      call([&] { return seaway_hash(digest, &x[0], stream); });
    }
  }

  void create() {
    Padded<seaway_config> padded{};
    seaway_config& config = padded.value;
    FUZZ_REQUIRE(seaway_config_init(&config, sizeof config) == SEAWAY_OK, "the header's size is right");
    config.plaintext = 1;
    config.master = draw_text();
    const std::uint8_t options = input_.byte();
    const bool is_pending = (options & 1) != 0;
    config.name = is_pending ? "pending" : nullptr;
    const char* addresses[] = {draw_text(), draw_text()};
    if ((options & 2) != 0) {
      config.advertise = addresses;
      config.advertise_count =
          (options & 4) != 0 ? 2 : kMostAdvertised + 1u + input_.byte();  // refused before it is read
    }
    if ((options & 8) != 0) {
      config.struct_size = draw_size(sizeof config);
      config.plaintext = input_.number<std::int8_t>();
      config.listen = draw_text();
      config.lanes = input_.byte();
    }
    seaway_comm* comm = nullptr;
    call([&] { return seaway_create(&comm, (options & 128) != 0 ? nullptr : &config); });
    if (comm != nullptr) {  // also of one that failed
      comms_.push_back({comm, is_pending});
    }
  }

  void start() {
    const Comm comm = draw_comm();
    const std::uint8_t options = input_.byte();
    const Padded<seaway_options> chosen = draw_options();
    const seaway_options* given = (options & 1) != 0 ? &chosen.value : nullptr;
    const std::vector<seaway_buffer> in = draw_buffers();
    const std::vector<seaway_buffer> out = (options & 2) != 0 ? draw_buffers() : std::vector<seaway_buffer>{};
    const std::size_t count = out.empty() ? in.size() : std::min(in.size(), out.size());
    seaway_op* op = nullptr;
    const seaway_status status = call([&] {
      switch (options >> 2 & 3) {
        case 0:
          return seaway_barrier_start(comm.handle, &op, given);
        case 1:
          return seaway_broadcast_start(comm.handle, &op, pointer(in), in.size(), options, given);
        default:
          return seaway_all_reduce_start(comm.handle, &op, pointer(out), pointer(in), count, options >> 4, given);
      }
    });
    FUZZ_REQUIRE((op != nullptr) == (status == SEAWAY_OK), "an op that was started has a handle, no other has");
    if (op != nullptr) {
      ops_.push_back(op);
    }
  }
  void run_blocking() {
    const Comm comm = draw_comm();
    const Padded<seaway_options> options = draw_options();
    const std::vector<seaway_buffer> in = draw_buffers();
    Padded<seaway_result> result = draw_result();
    if (!comm.is_pending) {
      call([&] {
        return seaway_all_reduce(comm.handle, &result.value, nullptr, pointer(in), in.size(), SEAWAY_SUM,
                                 &options.value);
      });
    }
  }
  Padded<seaway_result> draw_result() {
    Padded<seaway_result> padded{};
    seaway_result& result = padded.value;
    FUZZ_REQUIRE(seaway_result_init(&result, sizeof result) == SEAWAY_OK, "the header's size is right");
    if (input_.one_in(4)) {
      result.contributors = contributors_.data();
      result.contributor_capacity = input_.below(3);
      result.lost = lost_.data();
      result.lost_capacity = input_.below(3);
    }
    result.struct_size = draw_size(sizeof result);
    return padded;
  }
  void wait() {
    std::vector<seaway_op*> ops;
    for (std::uint32_t left = input_.below(4); left > 0; --left) {
      ops.push_back(draw(ops_));
    }
    const std::int32_t which = input_.one_in(8) ? input_.byte() : SEAWAY_ANY;
    const double timeout = draw_seconds();
    // A wait that is over is PENDING when it took no memory to find out.
    const std::uint64_t fail_at = input_.one_in(2) ? 1 + input_.below(8) : 0;
    const fuzz::Watch watch(fail_at);
    const seaway_status status = seaway_wait(ops.data(), ops.size(), which, timeout);
    FUZZ_REQUIRE(status != SEAWAY_INTERNAL && (status != SEAWAY_NO_MEMORY || watch.has_failed()),
                 "no call finds a bug");
  }
  void get_error() {
    const Comm comm = draw_comm();
    seaway_op* op = draw(ops_);
    Padded<seaway_error> padded{};
    seaway_error& error = padded.value;
    std::memset(&error, 0xEE, sizeof error);
    error.struct_size = draw_size(sizeof error);
    const bool of_op = input_.one_in(2);
    const seaway_status status =
        call([&] { return seaway_error_get(of_op ? nullptr : comm.handle, of_op ? op : nullptr, &error); });
    if (status == SEAWAY_OK && error.struct_size == sizeof error) {
      FUZZ_REQUIRE(std::memchr(error.text, 0, sizeof error.text) != nullptr, "a text ends");
      FUZZ_REQUIRE(std::memchr(error.phase, 0, sizeof error.phase) != nullptr, "so does a phase");
      FUZZ_REQUIRE(error.status != SEAWAY_INTERNAL, "no call has found a bug");
    }
  }
  void next_event() {
    const Comm comm = draw_comm();
    Padded<seaway_event> padded{};
    seaway_event& event = padded.value;
    event.struct_size = draw_size(sizeof event);
    call([&] { return seaway_next_event(comm.handle, &event); });
  }
  void add_tensor() {
    seaway_state* state = draw(states_);
    const char* name = draw_text();
    std::vector<seaway_buffer> buffers = draw_buffers();
    call([&] { return seaway_state_add(state, name, pointer(buffers)); });
  }
  void sync() {
    seaway_state* state = draw(states_);
    Padded<seaway_sync_options> padded_options{};
    seaway_sync_options& options = padded_options.value;
    options.struct_size = draw_size(sizeof options);
    options.role = input_.number<std::int8_t>();
    Padded<seaway_sync_result> padded_result{};
    seaway_sync_result& result = padded_result.value;
    FUZZ_REQUIRE(seaway_sync_result_init(&result, sizeof result) == SEAWAY_OK, "the header's size is right");
    result.struct_size = draw_size(sizeof result);
    call([&] { return seaway_state_sync(state, &result, 1, &options, 0); });
  }
  void start_master() {
    Padded<seaway_master_config> padded{};
    seaway_master_config& config = padded.value;
    FUZZ_REQUIRE(seaway_master_config_init(&config, sizeof config) == SEAWAY_OK, "the header's size is right");
    config.struct_size = draw_size(sizeof config);
    config.listen = draw_text();
    config.plaintext = input_.one_in(8) ? 0 : 1;
    Padded<seaway_error> padded_error{};
    seaway_error& error = padded_error.value;
    error.struct_size = draw_size(sizeof error);
    seaway_master* master = nullptr;
    const seaway_status status = call([&] { return seaway_master_start(&master, &config, &error); });
    FUZZ_REQUIRE((master != nullptr) == (status == SEAWAY_OK), "a master that was started has a handle");
    if (master != nullptr) {
      masters_.push_back(master);
      FUZZ_REQUIRE(seaway_master_address(master) != nullptr, "and an address");
    }
  }

  static constexpr std::size_t kMostAdvertised = 8;

  fuzz::Input& input_;
  std::vector<Comm> comms_;
  std::vector<seaway_op*> ops_;
  std::vector<seaway_state*> states_;
  std::vector<seaway_master*> masters_;
  std::vector<std::string> texts_;  // of the step under way
  std::array<std::byte, 1024> memory_{};
  std::array<seaway_contributor, 2> contributors_{};
  std::array<std::uint64_t, 2> lost_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Program(input).run();
  return 0;
}
