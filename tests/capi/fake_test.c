/* What the C API does with what a runtime does, on a runtime that does it on demand (fake_runtime.cpp). */
#include <seaway/master.h>
#include <seaway/seaway.h>
#include <string.h>

#include "check.h"
#include "failing_allocations.h"

static seaway_comm* make(const char* what) {
  seaway_comm* comm = NULL;
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1";
  config.name = what;
  config.plaintext = 1;
  CHECK_OK(comm, seaway_create(&comm, &config));
  return comm;
}

static seaway_status call(seaway_comm* comm, int number) {
  seaway_view* view;
  seaway_op* op = NULL;
  seaway_event event;
  int fd;
  event.struct_size = sizeof event;
  switch (number) {
    case 0:
      return seaway_join(comm, 0);
    case 1:
      return seaway_leave(comm, 0);
    case 2:
      return seaway_update(comm, NULL, 0);
    case 3:
      return seaway_view_get(comm, &view);
    case 4:
      return seaway_barrier(comm, NULL, NULL);
    case 5:
      return seaway_barrier_start(comm, &op, NULL);
    case 6:
      return seaway_event_fd(comm, &fd);
    default:
      return seaway_next_event(comm, &event);
  }
}
#define CALLS 8

CASE(no_memory_is_an_error_and_the_communicator_lives) {
  int i;
  seaway_comm* comm = make("throws no memory");
  for (i = 0; i < CALLS; ++i) {
    CHECK_STATUS(SEAWAY_NO_MEMORY, call(comm, i));
    CHECK_ERROR(comm, SEAWAY_NO_MEMORY, "no memory");
  }
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(a_broken_invariant_turns_its_communicator_to_internal_for_good) {
  int i, k;
  seaway_comm* healthy = make("");
  for (i = 0; i < CALLS; ++i) {
    seaway_comm* comm = make("throws");
    CHECK_STATUS(SEAWAY_INTERNAL, call(comm, i));
    CHECK_ERROR(comm, SEAWAY_INTERNAL, "told to throw");
    for (k = 0; k < CALLS; ++k) {
      CHECK_STATUS(SEAWAY_INTERNAL, call(comm, k));
    }
    CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
    CHECK_STATUS(SEAWAY_CLOSED, call(comm, i));
  }
  CHECK_OK(healthy, seaway_barrier(healthy, NULL, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(healthy));
}

CASE(an_exception_in_create_or_in_a_masters_start_is_internal) {
  seaway_comm* comm = NULL;
  seaway_master* master = NULL;
  seaway_master_config master_config;
  seaway_error error;
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1";
  config.name = "create throws";
  config.plaintext = 1;
  CHECK_STATUS(SEAWAY_INTERNAL, seaway_create(&comm, &config));
  CHECK_ERROR(comm, SEAWAY_INTERNAL, "told to throw");
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));

  memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
  seaway_master_config_init(&master_config, sizeof master_config);
  master_config.plaintext = 1;
  master_config.listen = "throws";
  CHECK_STATUS(SEAWAY_INTERNAL, seaway_master_start(&master, &master_config, &error));
  CHECK(error.status == SEAWAY_INTERNAL && master == NULL);
  CHECK_CONTAINS(error.text, "told to throw");
}

CASE(a_master_that_cannot_listen_says_so) {
  seaway_master* master = NULL;
  seaway_master_config config;
  seaway_error error;
  error.struct_size = sizeof error;
  seaway_master_config_init(&config, sizeof config);
  config.plaintext = 1;
  config.listen = "taken:1";
  CHECK_STATUS(SEAWAY_NO_ADDRESS, seaway_master_start(&master, &config, &error));
  CHECK(master == NULL && error.error_class == SEAWAY_CLASS_LINK && error.retryable == 1);
  CHECK_CONTAINS(error.text, "taken:1");
  config.listen = NULL;
  CHECK_STATUS(SEAWAY_OK, seaway_master_start(&master, &config, &error));
  CHECK(strcmp(seaway_master_address(master), "127.0.0.1:7117") == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_master_stop(master));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_master_stop(master));
  CHECK(seaway_master_address(master) == NULL);
}

CASE(a_result_is_told_in_full_and_arrays_only_as_far_as_they_reach) {
  seaway_result result;
  seaway_contributor contributors[4];
  uint64_t lost[1] = {0};
  seaway_comm* comm = make("");
  memset(contributors, 0, sizeof contributors);
  seaway_result_init(&result, sizeof result);
  CHECK_OK(comm, seaway_barrier(comm, &result, NULL));
  CHECK(result.contributor_count == 3 && result.lost_count == 2);
  result.contributors = contributors, result.contributor_capacity = 4;
  result.lost = lost, result.lost_capacity = 1;
  CHECK_OK(comm, seaway_barrier(comm, &result, NULL));
  CHECK(result.struct_size == sizeof result && result.contributors == contributors && result.lost == lost);
  CHECK(result.contributor_capacity == 4 && result.lost_capacity == 1);
  CHECK(result.contributor_count == 3 && result.lost_count == 2);
  CHECK(contributors[0].peer == 21 && contributors[1].weight == 2 && contributors[2].weight == 0.5);
  CHECK(contributors[3].peer == 0 && lost[0] == 31);
  CHECK(result.outcome == SEAWAY_COMMITTED && result.plan == SEAWAY_PLAN_ONE_SHOT && result.weight_sum == 3.5);
  CHECK(result.epoch.term == 7 && result.epoch.number == 8 && result.attempt.term == 2 && result.attempt.number == 3);
  CHECK(result.attempts == 2 && result.seq == 5 && result.hash == 12 && result.contributors_hash == 11);
  CHECK(result.bytes_sent == 41 && result.bytes_received == 42 && result.bytes_resent == 43);
  CHECK(result.scratch_bytes == 44 && result.seconds == 2);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(an_event_names_its_op_unless_that_was_freed_or_never_seen) {
  seaway_op *kept = NULL, *freed = NULL;
  seaway_event event;
  seaway_comm* comm = make("");
  memset(&event, 0, sizeof event);
  event.struct_size = sizeof event;
  CHECK_OK(comm, seaway_barrier_start(comm, &freed, NULL));
  CHECK_OK(comm, seaway_barrier(comm, NULL, NULL));
  CHECK_OK(comm, seaway_barrier_start(comm, &kept, NULL));
  seaway_free(freed);
  CHECK_OK(comm, seaway_next_event(comm, &event));
  CHECK(event.kind == SEAWAY_EVENT_OP_DONE && event.op == kept);
  CHECK(strlen(event.text) == sizeof event.text - 1);
  CHECK_OK(comm, seaway_next_event(comm, &event));
  CHECK(event.kind == SEAWAY_EVENT_NONE && event.op == NULL);
  seaway_free(kept);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(an_op_explains_itself_and_a_call_about_it_that_failed) {
  char reason[3000];
  seaway_op* op = NULL;
  seaway_error error;
  seaway_result result;
  seaway_options options;
  seaway_comm* comm = make("pending");
  error.struct_size = sizeof error;
  memset(reason, 'r', sizeof reason);
  reason[sizeof reason - 1] = 0;
  seaway_options_init(&options, sizeof options);
  options.tag = 99;
  CHECK_OK(comm, seaway_barrier_start(comm, &op, &options));
  CHECK_STATUS(SEAWAY_PENDING, seaway_test(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, op, &error));
  CHECK(error.status == SEAWAY_PENDING && error.error_class == SEAWAY_CLASS_NONE && error.retryable == 1);
  CHECK(error.tag == 99 && error.seq == 5 && error.epoch.term == 7 && error.epoch.number == 8 && error.peer == 21);
  CHECK(strcmp(error.phase, "waiting for peers: more than th") == 0);
  CHECK(strlen(error.text) == 1022);

  memset(&result, 0, sizeof result);
  CHECK_STATUS(SEAWAY_INVALID, seaway_test(op, &result));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, op, &error));
  CHECK(error.status == SEAWAY_INVALID);
  CHECK_CONTAINS(error.text, "seaway_result.struct_size");
  CHECK_STATUS(SEAWAY_INVALID, seaway_cancel(op, "\xc0\x80"));
  CHECK_STATUS(SEAWAY_PENDING, seaway_test(op, NULL));

  CHECK_STATUS(SEAWAY_OK, seaway_cancel(op, reason));
  CHECK_STATUS(SEAWAY_ABORTED, seaway_test(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_cancel(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, op, &error));
  CHECK(error.status == SEAWAY_ABORTED && error.error_class == SEAWAY_CLASS_GROUP);
  seaway_free(op);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_test(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(waits_name_what_is_wrong) {
  seaway_op* ops[3] = {NULL, NULL, NULL};
  seaway_error error;
  seaway_comm *one = make("pending"), *two = make("pending");
  error.struct_size = sizeof error;
  CHECK_OK(one, seaway_barrier_start(one, &ops[0], NULL));
  CHECK_OK(two, seaway_barrier_start(two, &ops[1], NULL));
  CHECK_STATUS(SEAWAY_PENDING, seaway_wait(ops, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_INVALID, seaway_wait(ops, 2, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, ops[0], &error));
  CHECK_CONTAINS(error.text, "ops[1] is of another communicator");
  CHECK_STATUS(SEAWAY_INVALID, seaway_wait(ops, 1, 2, 0));
  CHECK_STATUS(SEAWAY_INVALID, seaway_wait(ops, 1, SEAWAY_ALL, 0.0 / 0.0));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_wait(ops + 2, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_OK, seaway_cancel(ops[0], NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(one));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, 1, SEAWAY_ALL, -1));
  CHECK_STATUS(SEAWAY_ABORTED, seaway_test(ops[0], NULL));
  seaway_free(ops[0]);
  seaway_free(ops[1]);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(two));
}

CASE(no_descriptor_is_no_memory) {
  int fd = 7;
  seaway_comm* comm = make("");
  CHECK_STATUS(SEAWAY_NO_MEMORY, seaway_event_fd(comm, &fd));
  CHECK(fd == -1);
  CHECK_ERROR(comm, SEAWAY_NO_MEMORY, "descriptor");
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(a_master_that_cannot_be_started_for_lack_of_memory_throws_nothing) {
  int at;
  for (at = 1; at < 16; ++at) {
    seaway_master* master = NULL;
    seaway_master_config config;
    seaway_error error;
    seaway_master_config_init(&config, sizeof config);
    config.plaintext = 1;
    error.struct_size = 8; /* of no version: what is said about it takes memory */
    fail_allocation(at);
    CHECK_STATUS(SEAWAY_INVALID, seaway_master_start(&master, &config, &error));
    fail_allocation(0);
    CHECK(master == NULL);
  }
}

CASE(arithmetic_without_memory_writes_nothing) {
  float x[2] = {1, 2}, y[2] = {3, 4};
  const seaway_buffer a = {x, 2, SEAWAY_F32, SEAWAY_HOST}, b = {y, 2, SEAWAY_F32, SEAWAY_HOST};
  const double factor = 1;
  uint64_t digest[2] = {7, 8};
  fail_allocation(1);
  CHECK_STATUS(SEAWAY_NO_MEMORY, seaway_lincomb(&a, &b, &factor, 1, NULL));
  fail_allocation(1);
  CHECK_STATUS(SEAWAY_NO_MEMORY, seaway_hash(digest, &a, NULL));
  fail_allocation(0);
  CHECK(x[0] == 1 && x[1] == 2 && digest[0] == 7 && digest[1] == 8);
}
