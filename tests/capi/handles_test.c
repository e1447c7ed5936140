/* Handles that are NULL, gone, of another kind, garbage, or of the parent process: refused, never a crash. */
#include <seaway/master.h>
#include <seaway/seaway.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static seaway_comm* make_comm(void) {
  seaway_comm* comm = NULL;
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1";
  config.plaintext = 1;
  CHECK_OK(comm, seaway_create(&comm, &config));
  return comm;
}

/* Every call with this communicator returns `expected`. */
static void every_call_returns(int32_t expected, seaway_comm* comm) {
  float data[2] = {1, 2};
  int fd = 7;
  seaway_buffer buffer = {data, 2, SEAWAY_F32, SEAWAY_HOST};
  float result[2];
  seaway_buffer out = {result, 2, SEAWAY_F32, SEAWAY_HOST};
  seaway_op* op = (seaway_op*)&op;
  seaway_view* view = (seaway_view*)&view;
  seaway_event event;
  seaway_error error;
  event.struct_size = sizeof event;
  error.struct_size = sizeof error;
  CHECK_STATUS(expected, seaway_join(comm, 0));
  CHECK_STATUS(expected, seaway_leave(comm, 0));
  CHECK_STATUS(expected, seaway_update(comm, &view, 0));
  CHECK(view == NULL);
  CHECK_STATUS(expected, seaway_view_get(comm, &view));
  CHECK(view == NULL);
  CHECK_STATUS(expected, seaway_all_reduce(comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(expected, seaway_all_reduce_start(comm, &op, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK(op == NULL);
  CHECK_STATUS(expected, seaway_reduce_scatter(comm, NULL, &out, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(expected, seaway_reduce_scatter_start(comm, &op, &out, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(expected, seaway_all_gather(comm, NULL, &out, &buffer, 1, NULL));
  CHECK_STATUS(expected, seaway_all_gather_start(comm, &op, &out, &buffer, 1, NULL));
  CHECK_STATUS(expected, seaway_broadcast(comm, NULL, &buffer, 1, 1, NULL));
  CHECK_STATUS(expected, seaway_broadcast_start(comm, &op, &buffer, 1, 1, NULL));
  CHECK_STATUS(expected, seaway_exchange(comm, NULL, NULL, 0, NULL, 0, SEAWAY_F32, NULL));
  CHECK_STATUS(expected, seaway_exchange_start(comm, &op, NULL, 0, NULL, 0, SEAWAY_F32, NULL));
  CHECK_STATUS(expected, seaway_send(comm, NULL, &buffer, 1, 1, NULL));
  CHECK_STATUS(expected, seaway_send_start(comm, &op, &buffer, 1, 1, NULL));
  CHECK_STATUS(expected, seaway_recv(comm, NULL, &out, 1, 1, NULL));
  CHECK_STATUS(expected, seaway_recv_start(comm, &op, &out, 1, 1, NULL));
  CHECK_STATUS(expected, seaway_barrier(comm, NULL, NULL));
  CHECK_STATUS(expected, seaway_barrier_start(comm, &op, NULL));
  CHECK_STATUS(expected, seaway_event_fd(comm, &fd));
  CHECK(fd == -1);
  CHECK_STATUS(expected, seaway_next_event(comm, &event));
  CHECK_STATUS(comm == NULL ? SEAWAY_INVALID : expected, seaway_error_get(comm, NULL, &error));
  CHECK(data[0] == 1 && data[1] == 2);
}

static void every_op_call_returns(int32_t expected, seaway_op* op) {
  seaway_error error;
  error.struct_size = sizeof error;
  CHECK_STATUS(expected, seaway_wait(&op, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(expected, seaway_test(op, NULL));
  CHECK_STATUS(expected, seaway_cancel(op, "why"));
  CHECK_STATUS(op == NULL ? SEAWAY_INVALID : expected, seaway_error_get(NULL, op, &error));
  seaway_free(op);
}

static void every_view_call_returns(int32_t expected, seaway_view* view) {
  seaway_view_info info;
  size_t count = 0;
  seaway_member member;
  info.struct_size = sizeof info;
  member.struct_size = sizeof member;
  CHECK_STATUS(expected, seaway_view_info_get(view, &info));
  CHECK_STATUS(expected, seaway_view_member(view, &member, 0));
  CHECK_STATUS(expected, seaway_view_blocks(view, NULL, 0, &count));
  seaway_view_free(view);
}

CASE(null_handles_are_refused_or_nothing) {
  every_call_returns(SEAWAY_CLOSED, NULL);
  every_op_call_returns(SEAWAY_CLOSED, NULL);
  every_view_call_returns(SEAWAY_CLOSED, NULL);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_master_stop(NULL));
  CHECK(seaway_master_address(NULL) == NULL);
}

CASE(a_destroyed_communicator_is_refused) {
  seaway_comm* comm = make_comm();
  seaway_comm* other;
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
  every_call_returns(SEAWAY_CLOSED, comm);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_destroy(comm));
  other = make_comm();
  CHECK(other != comm);
  every_call_returns(SEAWAY_CLOSED, comm);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(other));
}

CASE(handles_of_another_kind_and_garbage_are_refused) {
  seaway_comm* comm = make_comm();
  int here = 0;
  every_op_call_returns(SEAWAY_CLOSED, (seaway_op*)comm);
  every_view_call_returns(SEAWAY_CLOSED, (seaway_view*)comm);
  CHECK(seaway_master_address((seaway_master*)comm) == NULL);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_master_stop((seaway_master*)comm));
  every_call_returns(SEAWAY_CLOSED, (seaway_comm*)&here);
  every_call_returns(SEAWAY_CLOSED, (seaway_comm*)(UINTPTR_MAX - 7));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_destroy((seaway_comm*)&here));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}

/* Runs the checks in a child; its exit status says whether they held. */
static int checks_in_child_failed;
#define CHECK_IN_CHILD(condition) \
  do {                            \
    if (!(condition)) {           \
      checks_in_child_failed = 1; \
      CHECK(condition);           \
    }                             \
  } while (0)

CASE(after_fork_the_childs_handles_are_refused_and_it_may_make_its_own) {
  int status = 1;
  pid_t child;
  seaway_comm* comm = make_comm();
  seaway_comm* gone = make_comm();
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(gone));
  child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    seaway_comm* own = NULL;
    seaway_config config;
    CHECK_IN_CHILD(seaway_join(comm, -1) == SEAWAY_FORKED);
    CHECK_IN_CHILD(seaway_barrier(comm, NULL, NULL) == SEAWAY_FORKED);
    CHECK_IN_CHILD(seaway_join(gone, -1) == SEAWAY_CLOSED);
    CHECK_IN_CHILD(seaway_destroy(comm) == SEAWAY_FORKED);
    CHECK_IN_CHILD(seaway_destroy(comm) == SEAWAY_CLOSED);
    seaway_config_init(&config, sizeof config);
    config.master = "127.0.0.1:1";
    config.plaintext = 1;
    CHECK_IN_CHILD(seaway_create(&own, &config) == SEAWAY_OK);
    CHECK_IN_CHILD(own != comm);
    CHECK_IN_CHILD(seaway_barrier(own, NULL, NULL) == SEAWAY_NOT_MEMBER);
    CHECK_IN_CHILD(seaway_destroy(own) == SEAWAY_OK);
    _exit(checks_in_child_failed);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK_STATUS(SEAWAY_NOT_MEMBER, seaway_barrier(comm, NULL, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(comm));
}
