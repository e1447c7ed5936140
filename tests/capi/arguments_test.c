/* Every argument that is refused, and that the text names it. None of this needs a network. */
#include <float.h>
#include <math.h>
#include <seaway/master.h>
#include <seaway/seaway.h>
#include <string.h>

#include "check.h"

static seaway_config good_config(void) {
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1";
  config.plaintext = 1;
  return config;
}

static seaway_comm* good_comm(void) {
  seaway_comm* comm = NULL;
  seaway_config config = good_config();
  CHECK_OK(comm, seaway_create(&comm, &config));
  return comm;
}

/* The create fails, says why, and gives a handle that does nothing else. */
static void create_is_refused(const seaway_config* config, const char* part) {
  seaway_comm* comm = NULL;
  CHECK_STATUS(SEAWAY_INVALID, seaway_create(&comm, config));
  CHECK(comm != NULL);
  CHECK_ERROR(comm, SEAWAY_INVALID, part);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_join(comm, 0));
  CHECK_ERROR(comm, SEAWAY_INVALID, part);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(create_names_the_field_that_is_wrong) {
  static const char* const nine[9] = {"a:1", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1"};
  static const char* const hole[2] = {"a:1", NULL};
  static const char* const bad[1] = {"\xff:1"};
  char long_name[300];
  seaway_config config;
  memset(long_name, 'x', sizeof long_name);
  long_name[sizeof long_name - 1] = 0;

  CHECK_STATUS(SEAWAY_INVALID, seaway_create(NULL, NULL));
  create_is_refused(NULL, "config is NULL");
#define REFUSED(part, change) \
  config = good_config();     \
  change;                     \
  create_is_refused(&config, part)
  REFUSED("struct_size", config.struct_size = 0);
  REFUSED("struct_size", config.struct_size = sizeof config - 16);
  REFUSED("struct_size", config.struct_size = SIZE_MAX);
  REFUSED("master", config.master = NULL);
  REFUSED("master", config.master = "");
  REFUSED("master", config.master = "no port");
  REFUSED("master", config.master = "host:70000");
  REFUSED("name", config.name = long_name);
  REFUSED("name is not UTF-8", config.name = "\xc3\x28");
  REFUSED("name is not UTF-8", config.name = "\xed\xa0\x80");
  REFUSED("lane", config.lane = 1);
  REFUSED("lanes", config.lanes = 0);
  REFUSED("replica", config.lanes = 2);
  REFUSED("min_world", config.min_world = 0);
  REFUSED("listen", config.listen = "no port");
  REFUSED("advertise_count", (config.advertise = nine, config.advertise_count = 9));
  REFUSED("advertise is NULL", config.advertise_count = 1);
  REFUSED("advertise[1] is NULL", (config.advertise = hole, config.advertise_count = 2));
  REFUSED("advertise[0] is not UTF-8", (config.advertise = bad, config.advertise_count = 1));
  REFUSED("connections", config.connections = 65);
  REFUSED("plaintext", config.plaintext = 0); /* a master's address lets nobody in */
  REFUSED("join", (config.plaintext = 0, config.master = NULL));
  REFUSED("does not begin with", (config.plaintext = 0, config.master = NULL, config.join = "127.0.0.1:7117"));
  REFUSED("2 parts", (config.plaintext = 0, config.master = NULL, config.join = "seaway1/127.0.0.1:7117"));
  REFUSED("token", (config.plaintext = 0, config.master = NULL, config.join = "seaway1/a:1/12/34"));
  REFUSED("pin", (config.plaintext = 0, config.master = NULL,
                  config.join = "seaway1/a:1/000000000000000000000000000000000000000000000000/34"));
  REFUSED("HOST:PORT", (config.plaintext = 0, config.master = NULL, config.join = "seaway1/a/12/34"));
  REFUSED("cannot be read", (config.plaintext = 0, config.master = NULL, config.join = "@/nowhere/at/all"));
  REFUSED("join", config.join = "seaway1/a:1/12/34"); /* beside plaintext */
  REFUSED("ca, cert and key name one file each", (config.plaintext = 0, config.ca = "/nowhere/ca.pem"));
  REFUSED("/nowhere/ca.pem",
          (config.plaintext = 0, config.ca = "/nowhere/ca.pem", config.cert = config.key = "/nowhere"));
  REFUSED("cert is not UTF-8", (config.plaintext = 0, config.cert = "\xff"));
  REFUSED("plaintext", config.plaintext = 2);
#undef REFUSED
}

CASE(the_config_is_copied) {
  char master[] = "127.0.0.1:1", name[] = "here", address[] = "127.0.0.1:2";
  const char* advertise[1];
  seaway_comm* comm = NULL;
  seaway_config config = good_config();
  advertise[0] = address;
  config.master = master;
  config.name = name;
  config.advertise = advertise;
  config.advertise_count = 1;
  CHECK_OK(comm, seaway_create(&comm, &config));
  memset(master, 'x', sizeof master - 1);
  memset(name, 'x', sizeof name - 1);
  memset(address, 'x', sizeof address - 1);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(a_new_communicator_has_no_error_and_is_no_member) {
  seaway_error error;
  seaway_view* view = (seaway_view*)&error;
  seaway_comm* comm = good_comm();
  memset(&error, 0xAA, sizeof error);
  error.struct_size = sizeof error;
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(comm, NULL, &error));
  CHECK(error.status == SEAWAY_OK && error.error_class == SEAWAY_CLASS_NONE && error.retryable == 0);
  CHECK(error.text[0] == 0 && error.phase[0] == 0 && error.peer == 0 && error.tag == 0 && error.epoch.term == 0);
  CHECK_STATUS(SEAWAY_NOT_MEMBER, seaway_view_get(comm, &view));
  CHECK(view == NULL);
  CHECK_ERROR(comm, SEAWAY_NOT_MEMBER, "seaway_join");
  CHECK_STATUS(SEAWAY_NOT_MEMBER, seaway_update(comm, &view, 0));
  CHECK_STATUS(SEAWAY_OK, seaway_leave(comm, 0));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(time_outs_that_are_nan_are_refused) {
  seaway_comm* comm = good_comm();
  CHECK_INVALID(comm, "timeout is NaN", seaway_join(comm, NAN));
  CHECK_INVALID(comm, "timeout is NaN", seaway_leave(comm, NAN));
  CHECK_INVALID(comm, "timeout is NaN", seaway_update(comm, NULL, NAN));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(error_get_wants_one_handle_and_a_struct_of_known_size) {
  seaway_error error;
  seaway_comm* comm = good_comm();
  error.struct_size = sizeof error;
  CHECK_STATUS(SEAWAY_INVALID, seaway_error_get(NULL, NULL, &error));
  CHECK_STATUS(SEAWAY_INVALID, seaway_error_get(comm, (seaway_op*)comm, &error));
  CHECK_STATUS(SEAWAY_INVALID, seaway_error_get(comm, NULL, NULL));
  error.struct_size = 12;
  CHECK_STATUS(SEAWAY_INVALID, seaway_error_get(comm, NULL, &error));
  error.struct_size = sizeof error;
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(comm, NULL, &error));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

static seaway_buffer f32(void* data, uint64_t count) {
  seaway_buffer buffer = {data, count, SEAWAY_F32, SEAWAY_HOST};
  return buffer;
}

/* Both forms refuse it with the same words. */
static void all_reduce_is_refused(seaway_comm* comm, const char* part, const seaway_buffer* out,
                                  const seaway_buffer* in, size_t count, int32_t reduction,
                                  const seaway_options* options) {
  seaway_op* op = (seaway_op*)&op;
  CHECK_INVALID(comm, part, seaway_all_reduce(comm, NULL, out, in, count, reduction, options));
  CHECK_INVALID(comm, part, seaway_all_reduce_start(comm, &op, out, in, count, reduction, options));
  CHECK(op == NULL);
}

CASE(all_reduce_names_the_buffer_that_is_wrong) {
  float data[64];
  seaway_comm* comm = good_comm();
  seaway_buffer in[3], out[3];
#define REFUSED(part, change)                                                           \
  do {                                                                                  \
    in[0] = f32(data, 4), in[1] = f32(data + 4, 4), in[2] = f32(data + 8, 4);           \
    out[0] = f32(data + 16, 4), out[1] = f32(data + 20, 4), out[2] = f32(data + 24, 4); \
    change;                                                                             \
    all_reduce_is_refused(comm, part, out, in, 3, SEAWAY_SUM, NULL);                    \
  } while (0)
  REFUSED("in[1].dtype is 0", in[1].dtype = 0);
  REFUSED("in[1].dtype is 13", in[1].dtype = 13);
  REFUSED("in[1].dtype is -1", in[1].dtype = -1);
  REFUSED("in[1].dtype is 257", in[1].dtype = 257);
  REFUSED("in[2].dtype is i32 but in[0].dtype is f32", in[2].dtype = SEAWAY_I32);
  REFUSED("out[0].dtype is i32 but in[0].dtype is f32", out[0].dtype = out[1].dtype = out[2].dtype = SEAWAY_I32);
  REFUSED("out[1].dtype is i32 but out[0].dtype is f32", out[1].dtype = SEAWAY_I32);
  REFUSED("in[0].device is 2", in[0].device = 2);
  REFUSED("out[2].device is -1", out[2].device = -1);
  REFUSED("in[1].data is NULL but its count is 4", in[1].data = NULL);
  REFUSED("out[1].data is NULL", out[1].data = NULL);
  REFUSED("in[1].count is 18446744073709551615", in[1].count = UINT64_MAX);
  REFUSED("in[1].count is 4611686018427387905", in[1].count = ((uint64_t)1 << 62) + 1);
  REFUSED("together more than", in[0].count = in[1].count = ((uint64_t)1 << 48) - 1);
  REFUSED("address space", in[1].data = (void*)(UINTPTR_MAX - 8));
  REFUSED("out[1].count is 3 but in[1].count is 4", out[1].count = 3);
  /* Overlaps: what is written with anything. */
  REFUSED("in[0] and out[0] overlap", out[0].data = in[0].data);
  REFUSED("in[2] and out[1] overlap", out[1].data = data + 11);
  REFUSED("out[0] and out[1] overlap", out[1].data = data + 19);
  REFUSED("in[2] and out[2] overlap",
          (in[2].count = out[2].count = 16, out[2].data = data + 23, out[0].data = data + 40, out[1].data = data + 44));
#undef REFUSED
  in[0] = f32(data, 4), in[1] = f32(data + 3, 4);
  all_reduce_is_refused(comm, "in[0] and in[1] overlap", NULL, in, 2, SEAWAY_SUM, NULL);
  /* A long piece that starts before two others. */
  in[0] = f32(data + 20, 2), in[1] = f32(data, 32), in[2] = f32(data + 10, 1);
  all_reduce_is_refused(comm, "in[1] and in[2] overlap", NULL, in, 3, SEAWAY_SUM, NULL);
  all_reduce_is_refused(comm, "in is NULL", NULL, NULL, 1, SEAWAY_SUM, NULL);
  all_reduce_is_refused(comm, "count is 0", NULL, in, 0, SEAWAY_SUM, NULL);
  all_reduce_is_refused(comm, "more buffers", NULL, in, SIZE_MAX, SEAWAY_SUM, NULL);
  in[0] = f32(data, 4);
  CHECK_INVALID(comm, "op is NULL", seaway_all_reduce_start(comm, NULL, NULL, in, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(reductions_that_are_none_and_averages_of_integers_are_refused) {
  int64_t data[4];
  int32_t dtype;
  seaway_comm* comm = good_comm();
  seaway_buffer in = {data, 4, SEAWAY_I64, SEAWAY_HOST};
  all_reduce_is_refused(comm, "reduction is 0", NULL, &in, 1, 0, NULL);
  all_reduce_is_refused(comm, "reduction is 6", NULL, &in, 1, 6, NULL);
  all_reduce_is_refused(comm, "reduction is 258", NULL, &in, 1, 258, NULL);
  for (dtype = SEAWAY_I8; dtype <= SEAWAY_U64; ++dtype) {
    in.dtype = dtype;
    all_reduce_is_refused(comm, "use SEAWAY_SUM and divide", NULL, &in, 1, SEAWAY_AVG, NULL);
  }
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(options_name_the_field_that_is_wrong) {
  float data[4];
  float other[4];
  seaway_comm* comm = good_comm();
  seaway_buffer in = f32(data, 4);
  seaway_options options;
#define REFUSED(part, reduction, change)                                  \
  do {                                                                    \
    seaway_options_init(&options, sizeof options);                        \
    change;                                                               \
    all_reduce_is_refused(comm, part, NULL, &in, 1, reduction, &options); \
  } while (0)
  REFUSED("struct_size", SEAWAY_SUM, options.struct_size = 16);
  REFUSED("tag", SEAWAY_SUM, options.tag = (uint64_t)1 << 62);
  REFUSED("on_loss is 2", SEAWAY_SUM, options.on_loss = 2);
  REFUSED("weighted is 2", SEAWAY_AVG, options.weighted = 2);
  REFUSED("SEAWAY_AVG only", SEAWAY_SUM, options.weighted = 1);
  REFUSED("weighted is 0", SEAWAY_AVG, options.weight = 2);
  REFUSED("finite", SEAWAY_AVG, (options.weighted = 1, options.weight = NAN));
  REFUSED("finite", SEAWAY_AVG, (options.weighted = 1, options.weight = INFINITY));
  REFUSED("not negative", SEAWAY_AVG, (options.weighted = 1, options.weight = -1));
  REFUSED("codec_up is 4", SEAWAY_SUM, options.codec_up = 4);
  REFUSED("codec_down is -1", SEAWAY_SUM, options.codec_down = -1);
  REFUSED("rounding is 2", SEAWAY_SUM, (options.codec_up = SEAWAY_CODEC_Q8, options.rounding = 2));
  REFUSED("set codec_up too", SEAWAY_SUM, options.rounding = SEAWAY_STOCHASTIC);
  REFUSED("set codec_up too", SEAWAY_SUM, options.residual = other);
  REFUSED("neither SEAWAY_SUM nor SEAWAY_AVG", SEAWAY_MAX, options.codec_up = SEAWAY_CODEC_Q8);
  REFUSED("residual overlaps", SEAWAY_SUM, (options.codec_up = SEAWAY_CODEC_Q8, options.residual = data));
  REFUSED("grace_s must be", SEAWAY_SUM, (options.quorum = 1, options.grace_s = NAN));
  REFUSED("grace_s must be", SEAWAY_SUM, (options.quorum = 1, options.grace_s = -1));
  REFUSED("grace_s is more", SEAWAY_SUM, (options.quorum = 1, options.grace_s = INFINITY));
  REFUSED("set options.quorum too", SEAWAY_SUM, options.grace_s = 1);
  REFUSED("no_progress", SEAWAY_SUM, options.no_progress = NAN);
  REFUSED("no_progress", SEAWAY_SUM, options.no_progress = -1);
  REFUSED("deadline", SEAWAY_SUM, options.deadline = NAN);
  REFUSED("deadline", SEAWAY_SUM, options.deadline = -DBL_MIN);
#undef REFUSED
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(broadcast_and_barrier_name_what_is_wrong) {
  float data[8];
  seaway_op* op = (seaway_op*)&op;
  seaway_options options;
  seaway_result result;
  seaway_comm* comm = good_comm();
  seaway_buffer buffers[2];
  buffers[0] = f32(data, 4), buffers[1] = f32(data + 4, 4);
  seaway_options_init(&options, sizeof options);
  seaway_result_init(&result, sizeof result);
  CHECK_INVALID(comm, "root is 0", seaway_broadcast(comm, NULL, buffers, 2, 0, NULL));
  CHECK_INVALID(comm, "buffers is NULL", seaway_broadcast(comm, NULL, NULL, 2, 1, NULL));
  CHECK_INVALID(comm, "count is 0", seaway_broadcast_start(comm, &op, buffers, 0, 1, NULL));
  CHECK(op == NULL);
  CHECK_INVALID(comm, "op is NULL", seaway_broadcast_start(comm, NULL, buffers, 2, 1, NULL));
  CHECK_INVALID(comm, "op is NULL", seaway_barrier_start(comm, NULL, NULL));
  buffers[1].dtype = 99;
  CHECK_INVALID(comm, "buffers[1].dtype is 99", seaway_broadcast(comm, NULL, buffers, 2, 1, NULL));
  buffers[1] = f32(data + 3, 4);
  CHECK_INVALID(comm, "buffers[0] and buffers[1] overlap", seaway_broadcast(comm, NULL, buffers, 2, 1, NULL));
  options.weighted = 1;
  CHECK_INVALID(comm, "SEAWAY_AVG only", seaway_broadcast(comm, NULL, buffers, 1, 1, &options));
  CHECK_INVALID(comm, "SEAWAY_AVG only", seaway_barrier(comm, NULL, &options));
  options.weighted = 0, options.tag = UINT64_MAX;
  CHECK_INVALID(comm, "tag", seaway_barrier(comm, NULL, &options));
  options.tag = 0, options.codec_up = SEAWAY_CODEC_BF16;
  CHECK_INVALID(comm, "codec_up", seaway_broadcast(comm, NULL, buffers, 1, 1, &options));
  CHECK_INVALID(comm, "codec_up", seaway_barrier(comm, NULL, &options));
  result.struct_size = 24;
  CHECK_INVALID(comm, "seaway_result.struct_size", seaway_barrier(comm, &result, NULL));
  CHECK_INVALID(comm, "seaway_result.struct_size", seaway_broadcast(comm, &result, buffers, 1, 1, NULL));
  CHECK_INVALID(comm, "seaway_result.struct_size",
                seaway_all_reduce(comm, &result, NULL, buffers, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(events_and_waits_name_what_is_wrong) {
  seaway_event event;
  seaway_op* none = NULL;
  int fd = 7;
  seaway_comm* comm = good_comm();
  CHECK_INVALID(comm, "fd is NULL", seaway_event_fd(comm, NULL));
  CHECK_INVALID(comm, "event is NULL", seaway_next_event(comm, NULL));
  event.struct_size = 3;
  CHECK_INVALID(comm, "seaway_event.struct_size", seaway_next_event(comm, &event));
  event.struct_size = sizeof event;
  CHECK_OK(comm, seaway_next_event(comm, &event));
  CHECK(event.kind == SEAWAY_EVENT_NONE && event.op == NULL && event.text[0] == 0);
  CHECK_OK(comm, seaway_event_fd(comm, &fd));
  CHECK(fd >= 0);
  CHECK_STATUS(SEAWAY_INVALID, seaway_wait(NULL, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_INVALID, seaway_wait(&none, 0, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_wait(&none, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(a_master_names_what_is_wrong) {
  seaway_master* master = (seaway_master*)&master;
  seaway_master_config config;
  seaway_error error;
  memset(&error, 0xAA, sizeof error);
  error.struct_size = sizeof error;
  seaway_master_config_init(&config, sizeof config);
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(NULL, &config, &error));
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(&master, NULL, &error));
  CHECK(master == NULL);
  CHECK(error.status == SEAWAY_INVALID && error.error_class == SEAWAY_CLASS_CALL);
  CHECK_CONTAINS(error.text, "config is NULL");
  config.plaintext = 2;
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(&master, &config, &error));
  CHECK_CONTAINS(error.text, "plaintext");
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(&master, &config, NULL));
  config.plaintext = 1;
  config.struct_size = 8;
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(&master, &config, &error));
  CHECK_CONTAINS(error.text, "struct_size");
  config.struct_size = sizeof config;
  error.struct_size = 8;
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(&master, &config, &error));
  error.struct_size = sizeof error;
  config.listen = "no port";
  CHECK(seaway_master_start(&master, &config, &error) != SEAWAY_OK);
  CHECK(master == NULL);
  CHECK_CONTAINS(error.text, "HOST:PORT");
}
