/* What is pinned: numbers, sizes, names, defaults. A failure here is a break of the ABI. */
#include <seaway/master.h>
#include <seaway/seaway.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

CASE(statuses_keep_their_numbers_and_names) {
  static const struct {
    int number;
    int32_t value;
    const char* name;
  } all[] = {{0, SEAWAY_OK, "SEAWAY_OK"},
             {1, SEAWAY_PENDING, "SEAWAY_PENDING"},
             {100, SEAWAY_INVALID, "SEAWAY_INVALID"},
             {101, SEAWAY_BUSY, "SEAWAY_BUSY"},
             {102, SEAWAY_CLOSED, "SEAWAY_CLOSED"},
             {103, SEAWAY_NOT_MEMBER, "SEAWAY_NOT_MEMBER"},
             {104, SEAWAY_FORKED, "SEAWAY_FORKED"},
             {105, SEAWAY_TOO_MANY, "SEAWAY_TOO_MANY"},
             {106, SEAWAY_NO_DEVICE, "SEAWAY_NO_DEVICE"},
             {200, SEAWAY_REFUSED, "SEAWAY_REFUSED"},
             {201, SEAWAY_ABORTED, "SEAWAY_ABORTED"},
             {202, SEAWAY_EVICTED, "SEAWAY_EVICTED"},
             {203, SEAWAY_UNDECIDED, "SEAWAY_UNDECIDED"},
             {204, SEAWAY_JOIN_REFUSED, "SEAWAY_JOIN_REFUSED"},
             {300, SEAWAY_NO_MASTER, "SEAWAY_NO_MASTER"},
             {301, SEAWAY_NO_ADDRESS, "SEAWAY_NO_ADDRESS"},
             {400, SEAWAY_INTERNAL, "SEAWAY_INTERNAL"},
             {401, SEAWAY_NO_MEMORY, "SEAWAY_NO_MEMORY"}};
  size_t i;
  for (i = 0; i < sizeof all / sizeof all[0]; ++i) {
    CHECK(all[i].number == all[i].value);
    CHECK(strcmp(seaway_status_string(all[i].value), all[i].name) == 0);
  }
  CHECK(strcmp(seaway_status_string(7), "SEAWAY_UNKNOWN") == 0);
  CHECK(strcmp(seaway_status_string(-1), "SEAWAY_UNKNOWN") == 0);
  CHECK(strcmp(seaway_status_string(INT32_MAX), "SEAWAY_UNKNOWN") == 0);
}

CASE(enumerators_keep_their_numbers) {
  CHECK(SEAWAY_CLASS_NONE == 0 && SEAWAY_CLASS_CALL == 1 && SEAWAY_CLASS_GROUP == 2 && SEAWAY_CLASS_LINK == 3 &&
        SEAWAY_CLASS_BUG == 4);
  CHECK(SEAWAY_F32 == 1 && SEAWAY_F64 == 2 && SEAWAY_F16 == 3 && SEAWAY_BF16 == 4 && SEAWAY_I8 == 5 && SEAWAY_U8 == 6 &&
        SEAWAY_I16 == 7 && SEAWAY_U16 == 8 && SEAWAY_I32 == 9 && SEAWAY_U32 == 10 && SEAWAY_I64 == 11 &&
        SEAWAY_U64 == 12);
  CHECK(SEAWAY_SUM == 1 && SEAWAY_AVG == 2 && SEAWAY_MIN == 3 && SEAWAY_MAX == 4 && SEAWAY_PROD == 5);
  CHECK(SEAWAY_HOST == 0);
  CHECK(SEAWAY_RESUME == 0 && SEAWAY_FAIL == 1);
  CHECK(SEAWAY_COMMITTED == 1 && SEAWAY_NO_WEIGHT == 2);
  CHECK(SEAWAY_ALL == 0 && SEAWAY_ANY == 1);
  CHECK(SEAWAY_EVENT_NONE == 0 && SEAWAY_EVENT_OP_DONE == 1 && SEAWAY_EVENT_EPOCH_CHANGED == 2 &&
        SEAWAY_EVENT_EVICTED == 3 && SEAWAY_EVENT_LOG == 4);
  CHECK(SEAWAY_REPLICA_ANY == UINT32_MAX);
}

CASE(structs_keep_their_sizes_and_places) {
  CHECK(sizeof(seaway_epoch) == 16);
  CHECK(sizeof(seaway_error) == 1120);
  CHECK(sizeof(seaway_config) == 144);
  CHECK(sizeof(seaway_view_info) == 64);
  CHECK(sizeof(seaway_member) == 624);
  CHECK(sizeof(seaway_buffer) == 24);
  CHECK(sizeof(seaway_share) == 32);
  CHECK(sizeof(seaway_options) == 112);
  CHECK(sizeof(seaway_contributor) == 16);
  CHECK(sizeof(seaway_result) == 168);
  CHECK(sizeof(seaway_event) == 552);
  CHECK(sizeof(seaway_master_config) == 24);
  CHECK(offsetof(seaway_config, plaintext) == 80);
  CHECK(offsetof(seaway_options, deadline) == 48);
  CHECK(offsetof(seaway_options, grace_s) == 80);
  CHECK(offsetof(seaway_options, transaction) == 96); /* sizes that it had: 56, 80, 96, 104 */
  CHECK(offsetof(seaway_options, stream) == 104);
  CHECK(offsetof(seaway_result, seconds) == 160);
  CHECK(offsetof(seaway_error, text) == 96);
}

CASE(the_library_has_the_version_of_its_header) { CHECK(strcmp(seaway_version(), SEAWAY_VERSION_STRING) == 0); }

CASE(config_defaults) {
  seaway_config config;
  memset(&config, 0xAA, sizeof config);
  CHECK_STATUS(SEAWAY_OK, seaway_config_init(&config, sizeof config));
  CHECK(config.struct_size == sizeof config);
  CHECK(config.master == NULL && config.name == NULL && config.listen == NULL && config.advertise == NULL);
  CHECK(config.replica == SEAWAY_REPLICA_ANY && config.lane == 0 && config.lanes == 1 && config.min_world == 1);
  CHECK(config.advertise_count == 0 && config.connections == 0 && config.rate_mbps == 0);
  CHECK(config.kept_bytes == (uint64_t)1 << 30 && config.plaintext == 0);
  CHECK(config.uuid[0] == 0 && config.uuid[1] == 0 && config.site == NULL);
}

CASE(options_result_and_master_defaults) {
  seaway_options options;
  seaway_result result;
  seaway_master_config master;
  memset(&options, 0xAA, sizeof options);
  memset(&result, 0xAA, sizeof result);
  memset(&master, 0xAA, sizeof master);
  CHECK_STATUS(SEAWAY_OK, seaway_options_init(&options, sizeof options));
  CHECK(options.struct_size == sizeof options && options.tag == 0 && options.weight == 1 && options.weighted == 0);
  CHECK(options.codec_up == SEAWAY_CODEC_NONE && options.codec_down == SEAWAY_CODEC_NONE);
  CHECK(options.rounding == SEAWAY_NEAREST && options.residual == NULL && options.priority == 0);
  CHECK(options.quorum == 0 && options.grace_s == 0);
  CHECK(options.on_loss == SEAWAY_RESUME && options.layout == 0 && options.no_progress == 0 && options.deadline == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_result_init(&result, sizeof result));
  CHECK(result.struct_size == sizeof result && result.contributors == NULL && result.lost == NULL);
  CHECK(result.contributor_capacity == 0 && result.lost_capacity == 0 && result.outcome == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_master_config_init(&master, sizeof master));
  CHECK(master.struct_size == sizeof master && master.listen == NULL && master.plaintext == 0);
}

CASE(init_refuses_null_and_sizes_that_no_version_had) {
  seaway_config config;
  seaway_options options;
  seaway_result result;
  seaway_master_config master;
  CHECK_STATUS(SEAWAY_INVALID, seaway_config_init(NULL, sizeof config));
  CHECK_STATUS(SEAWAY_INVALID, seaway_config_init(&config, 0));
  CHECK_STATUS(SEAWAY_INVALID, seaway_config_init(&config, sizeof config - 1));
  CHECK_STATUS(SEAWAY_INVALID, seaway_config_init(&config, SIZE_MAX));
  CHECK_STATUS(SEAWAY_INVALID, seaway_options_init(NULL, sizeof options));
  CHECK_STATUS(SEAWAY_INVALID, seaway_options_init(&options, 8));
  CHECK_STATUS(SEAWAY_INVALID, seaway_result_init(NULL, sizeof result));
  CHECK_STATUS(SEAWAY_INVALID, seaway_result_init(&result, 8));
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_config_init(NULL, sizeof master));
  CHECK_STATUS(SEAWAY_INVALID, seaway_master_config_init(&master, 1 << 20));
}

/* A program that was compiled with a newer header, which appended a field. */
struct newer_config {
  seaway_config known;
  uint64_t appended;
};

CASE(a_newer_longer_struct_is_taken_while_what_is_unknown_is_zero) {
  struct newer_config config;
  seaway_comm* comm = NULL;
  memset(&config, 0xAA, sizeof config);
  CHECK_STATUS(SEAWAY_OK, seaway_config_init(&config.known, sizeof config));
  CHECK(config.known.struct_size == sizeof config);
  CHECK(config.appended == 0);
  config.known.master = "127.0.0.1:1";
  config.known.plaintext = 1;
  CHECK_OK(comm, seaway_create(&comm, &config.known));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));

  config.appended = (uint64_t)1 << 63;
  CHECK_INVALID(comm, "newer version", seaway_create(&comm, &config.known));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(what_is_given_out_in_a_newer_longer_struct_ends_with_zeros) {
  struct {
    seaway_error known;
    uint64_t appended;
  } error;
  seaway_comm* comm = NULL;
  memset(&error, 0xAA, sizeof error);
  error.known.struct_size = sizeof error;
  CHECK_STATUS(SEAWAY_INVALID, seaway_create(&comm, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(comm, NULL, &error.known));
  CHECK(error.known.struct_size == sizeof error);
  CHECK(error.known.status == SEAWAY_INVALID);
  CHECK(error.appended == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}
