/* Members that come, go, cancel and wait, in real clusters inside this process. */
#include <seaway/seaway.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cluster.h"

CASE(a_join_without_a_master_is_pending_and_says_what_it_waits_for) {
  seaway_comm* comm = NULL;
  seaway_config config;
  seaway_error error;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1"; /* nobody listens there */
  config.listen = "127.0.0.1:0";
  config.plaintext = 1;
  error.struct_size = sizeof error;
  CHECK_OK(comm, seaway_create(&comm, &config));
  CHECK_STATUS(SEAWAY_PENDING, seaway_join(comm, 0.05));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(comm, NULL, &error));
  CHECK(error.status == SEAWAY_PENDING && error.text[0] != 0);
  CHECK_STATUS(SEAWAY_PENDING, seaway_join(comm, 0));
  CHECK_STATUS(SEAWAY_NOT_MEMBER, seaway_barrier(comm, NULL, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(an_address_that_cannot_be_listened_on_is_no_address) {
  seaway_comm* comm = NULL;
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1";
  config.listen = "192.0.2.1:0"; /* for documentation: nobody has it */
  config.plaintext = 1;
  CHECK_OK(comm, seaway_create(&comm, &config));
  CHECK_STATUS(SEAWAY_NO_ADDRESS, seaway_join(comm, PATIENCE));
  CHECK_ERROR(comm, SEAWAY_NO_ADDRESS, "listen");
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

CASE(a_view_is_a_snapshot_that_outlives_its_communicator) {
  struct cluster c;
  seaway_view* view = NULL;
  seaway_view_info info;
  seaway_member member;
  uint32_t i, mine = 0;
  REQUIRE(cluster_start(&c, 2));
  CHECK_OK(c.comms[0], seaway_view_get(c.comms[0], &view));
  CHECK_OK(c.comms[0], seaway_join(c.comms[0], 0)); /* as a member */
  cluster_stop(&c);
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  member.struct_size = sizeof member;
  CHECK_STATUS(SEAWAY_OK, seaway_view_info_get(view, &info));
  CHECK(info.world_size == 2 && info.member_count == 2 && info.lanes == 1 && info.rank < 2 && info.self != 0);
  for (i = 0; i < info.member_count; ++i) {
    CHECK_STATUS(SEAWAY_OK, seaway_view_member(view, &member, i));
    mine += member.peer == info.self && i == info.rank;
    CHECK(strncmp(member.address, "127.0.0.1:", 10) == 0 && member.name[0] != 0);
  }
  CHECK(mine == 1);
  CHECK_STATUS(SEAWAY_INVALID, seaway_view_member(view, &member, 2));
  CHECK_STATUS(SEAWAY_INVALID, seaway_view_member(view, NULL, 0));
  CHECK_STATUS(SEAWAY_INVALID, seaway_view_info_get(view, NULL));
  info.struct_size = 4;
  CHECK_STATUS(SEAWAY_INVALID, seaway_view_info_get(view, &info));
  seaway_view_free(view);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_view_info_get(view, &info));
}

/* Updates until two are members. */
static void update_until_two(struct member* member) {
  int updates;
  if (member->index == 1) {
    CHECK_OK(member->comm, seaway_join(member->comm, PATIENCE));
    return;
  }
  for (updates = 0; updates < 1000000 && world_of(member->comm) < 2; ++updates) {
    seaway_view* view = NULL;
    CHECK_OK(member->comm, seaway_update(member->comm, &view, PATIENCE));
    CHECK(view != NULL);
    seaway_view_free(view);
  }
  CHECK(world_of(member->comm) == 2);
}

static void meet(struct member* member) { CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL)); }

CASE(a_newcomer_joins_at_an_update) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 1));
  c.comms[1] = cluster_comm(&c, 1);
  CHECK_STATUS(SEAWAY_PENDING, seaway_join(c.comms[1], 0));
  c.count = 2;
  each(&c, update_until_two, NULL);
  each(&c, meet, NULL);
  cluster_stop(&c);
}

CASE(a_cancelled_op_is_aborted_for_everyone_and_the_inputs_stay) {
  struct cluster c;
  float data[2] = {1, 2};
  seaway_op* op = NULL;
  seaway_error error;
  seaway_buffer buffer = {data, 2, SEAWAY_F32, SEAWAY_HOST};
  error.struct_size = sizeof error;
  REQUIRE(cluster_start(&c, 2));
  CHECK_OK(c.comms[0], seaway_all_reduce_start(c.comms[0], &op, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_cancel(op, "the loss is NaN"));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_ABORTED, seaway_test(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, op, &error));
  CHECK(error.status == SEAWAY_ABORTED && error.error_class == SEAWAY_CLASS_GROUP);
  CHECK_CONTAINS(error.text, "the loss is NaN");
  CHECK(data[0] == 1 && data[1] == 2);
  CHECK_STATUS(SEAWAY_ABORTED, seaway_all_reduce(c.comms[1], NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  seaway_free(op);
  cluster_stop(&c);
}

CASE(a_deadline_ends_an_op_that_somebody_does_not_start) {
  struct cluster c;
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.deadline = 0.05;
  REQUIRE(cluster_start(&c, 2));
  CHECK_STATUS(SEAWAY_ABORTED, seaway_barrier(c.comms[0], NULL, &options));
  cluster_stop(&c);
}

CASE(destroy_ends_open_ops_undecided_and_their_handles_live) {
  struct cluster c;
  float data[2] = {1, 2};
  seaway_op *op = NULL, *freed = NULL;
  seaway_buffer buffer = {data, 2, SEAWAY_F32, SEAWAY_HOST};
  seaway_options options;
  REQUIRE(cluster_start(&c, 2));
  seaway_options_init(&options, sizeof options);
  options.tag = 1;
  CHECK_OK(c.comms[0], seaway_barrier_start(c.comms[0], &freed, &options));
  seaway_free(freed); /* goes on without a handle */
  CHECK_OK(c.comms[0], seaway_all_reduce_start(c.comms[0], &op, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(c.comms[0]));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, -1));
  CHECK_STATUS(SEAWAY_UNDECIDED, seaway_test(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_cancel(op, NULL));
  CHECK(data[0] == 1 && data[1] == 2);
  seaway_free(op);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_test(op, NULL));
  c.comms[0] = NULL;
  cluster_stop(&c);
}

static void leave_or_go_on(struct member* member) {
  float x = 1;
  seaway_buffer buffer = {&x, 1, SEAWAY_F32, SEAWAY_HOST};
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK(x == 3);
  if (member->index == 0) {
    CHECK_OK(member->comm, seaway_leave(member->comm, PATIENCE));
    CHECK_STATUS(SEAWAY_NOT_MEMBER, seaway_barrier(member->comm, NULL, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_leave(member->comm, 0));
    return;
  }
  x = 1;
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK(x == 2);
}

CASE(when_one_leaves_the_others_go_on) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, leave_or_go_on, NULL);
  cluster_stop(&c);
}

static void die_or_resume(struct member* member) {
  float x = 1;
  seaway_op* op = NULL;
  uint64_t lost[2] = {0, 0};
  seaway_buffer buffer = {&x, 1, SEAWAY_F32, SEAWAY_HOST};
  seaway_result result;
  if (member->index == 0) {
    CHECK_STATUS(SEAWAY_OK, seaway_destroy(member->comm));
    return;
  }
  seaway_result_init(&result, sizeof result);
  result.lost = lost, result.lost_capacity = 2;
  CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &op, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_test(op, &result));
  CHECK(x == 2 && result.contributor_count == 2 && result.lost_count <= 1);
  CHECK(result.lost_count == 0 || lost[0] == *(uint64_t*)member->argument);
  seaway_free(op);
}

CASE(when_one_dies_the_others_commit_over_the_survivors) {
  struct cluster c;
  uint64_t dead;
  REQUIRE(cluster_start(&c, 3));
  dead = self_of(c.comms[0]);
  each(&c, die_or_resume, &dead);
  c.comms[0] = NULL;
  cluster_stop(&c);
}

CASE(a_child_of_a_member_is_forked_and_the_member_goes_on) {
  struct cluster c;
  int status = 1;
  pid_t child;
  seaway_op* op = NULL;
  REQUIRE(cluster_start(&c, 2));
  CHECK_OK(c.comms[0], seaway_barrier_start(c.comms[0], &op, NULL));
  child = fork();
  if (child == 0) {
    const int right = seaway_barrier(c.comms[0], NULL, NULL) == SEAWAY_FORKED &&
                      seaway_wait(&op, 1, SEAWAY_ALL, -1) == SEAWAY_FORKED && seaway_test(op, NULL) == SEAWAY_FORKED &&
                      seaway_destroy(c.comms[0]) == SEAWAY_FORKED && seaway_destroy(c.comms[0]) == SEAWAY_CLOSED &&
                      seaway_master_stop(c.master) == SEAWAY_FORKED;
    seaway_free(op);
    _exit(right ? 0 : 1);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  CHECK_OK(c.comms[1], seaway_barrier(c.comms[1], NULL, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_test(op, NULL));
  seaway_free(op);
  cluster_stop(&c);
}

/* The loop of the header's example, for whoever joins whenever. */
static void update_and_reduce(struct member* member) {
  float value = 1;
  seaway_buffer x = {NULL, 1, SEAWAY_F32, SEAWAY_HOST};
  int steps = 0;
  x.data = &value;
  if (member->index > 0) {
    CHECK_OK(member->comm, seaway_join(member->comm, PATIENCE));
  }
  while (value < 3 && steps++ < 1000000) {
    value = 1;
    CHECK_OK(member->comm, seaway_update(member->comm, NULL, PATIENCE));
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &x, 1, SEAWAY_SUM, NULL));
  }
  CHECK(value == 3);
}

CASE(one_loop_serves_founders_and_newcomers) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 1));
  c.comms[1] = cluster_comm(&c, 1);
  c.comms[2] = cluster_comm(&c, 1);
  c.count = 3;
  each(&c, update_and_reduce, NULL);
  cluster_stop(&c);
}

/* An update whose call has timed out and that passes before the next call is that call's, and no second one is begun. */
CASE(an_update_that_timed_out_is_gone_on_with) {
  struct cluster c;
  seaway_view* view = NULL;
  seaway_view_info info;
  seaway_error error;
  seaway_status status = SEAWAY_OK;
  uint64_t calls;
  error.struct_size = sizeof error;
  REQUIRE(cluster_start(&c, 1));
  for (calls = 1; calls <= 200; ++calls) {
    status = seaway_update(c.comms[0], NULL, 0);
    if (status == SEAWAY_PENDING) {
      CHECK_STATUS(SEAWAY_OK,
                   seaway_error_get(c.comms[0], NULL, &error)); /* asks the loop, which passes it meanwhile */
      status = seaway_update(c.comms[0], NULL, PATIENCE);
    }
    CHECK_OK(c.comms[0], status);
  }
  info.struct_size = sizeof info;
  CHECK_OK(c.comms[0], seaway_view_get(c.comms[0], &view));
  CHECK_STATUS(SEAWAY_OK, seaway_view_info_get(view, &info));
  CHECK(info.update_count == 200);
  seaway_view_free(view);
  cluster_stop(&c);
}
