/* Ops that commit together, as C sees them. */
#include <seaway/seaway.h>

#include "check.h"
#include "cluster.h"

enum { COUNT = 5000 };

static int is_all(const float* x, float value) {
  int i;
  for (i = 0; i < COUNT && x[i] == value; ++i) {
  }
  return i == COUNT;
}

static void fill(float* x, float value) {
  int i;
  for (i = 0; i < COUNT; ++i) {
    x[i] = value;
  }
}

/* Two all-reduces, one of them in place, and a barrier. Nothing is written before the close. */
static void commit_together(struct member* member) {
  static float inputs[MOST_MEMBERS][COUNT], outputs[MOST_MEMBERS][COUNT], in_places[MOST_MEMBERS][COUNT];
  float* const x = inputs[member->index];
  float* const y = outputs[member->index];
  float* const z = in_places[member->index];
  const seaway_buffer in = {x, COUNT, SEAWAY_F32, SEAWAY_HOST};
  const seaway_buffer out = {y, COUNT, SEAWAY_F32, SEAWAY_HOST};
  const seaway_buffer both = {z, COUNT, SEAWAY_F32, SEAWAY_HOST};
  seaway_op* ops[4] = {NULL, NULL, NULL, NULL};
  seaway_options options;
  seaway_result result;
  int i;
  fill(x, 1);
  fill(y, -1);
  fill(z, (float)(1 << member->index));
  seaway_options_init(&options, sizeof options);
  seaway_result_init(&result, sizeof result);
  CHECK_OK(member->comm, seaway_transaction_create(member->comm, &ops[0], NULL));
  options.transaction = ops[0];
  CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &ops[1], &out, &in, 1, SEAWAY_SUM, &options));
  CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &ops[2], NULL, &both, 1, SEAWAY_SUM, &options));
  CHECK_OK(member->comm, seaway_barrier_start(member->comm, &ops[3], &options));
  CHECK_STATUS(SEAWAY_PENDING, seaway_wait(ops, 4, SEAWAY_ANY, .1));
  CHECK(is_all(y, -1));
  CHECK_STATUS(SEAWAY_BUSY, seaway_update(member->comm, NULL, 0));
  CHECK_ERROR(member->comm, SEAWAY_BUSY, "seaway_transaction_close");
  CHECK_STATUS(SEAWAY_OK, seaway_transaction_close(ops[0]));
  CHECK_STATUS(SEAWAY_OK, seaway_transaction_close(ops[0]));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, 1, SEAWAY_ALL, PATIENCE));
  for (i = 0; i < 4; ++i) {
    CHECK_STATUS(SEAWAY_OK, seaway_test(ops[i], &result));
    CHECK(result.contributor_count == (size_t)member->cluster->count);
  }
  CHECK(is_all(y, (float)member->cluster->count));
  CHECK(is_all(z, (float)((1 << member->cluster->count) - 1)));
  for (i = 0; i < 4; ++i) {
    seaway_free(ops[i]);
  }
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
}

CASE(ops_of_a_transaction_commit_together) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, commit_together, NULL);
  each(&c, commit_together, NULL);
  cluster_stop(&c);
}

/* Member 1 lets go of its transaction without closing it. */
static void abort_together(struct member* member) {
  float x[4] = {1, 1, 1, 1};
  float y[4] = {-1, -1, -1, -1};
  const seaway_buffer in = {x, 4, SEAWAY_F32, SEAWAY_HOST};
  const seaway_buffer out = {y, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_op* transaction = NULL;
  seaway_op* op = NULL;
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  CHECK_OK(member->comm, seaway_transaction_create(member->comm, &transaction, &options));
  options.transaction = transaction;
  CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &op, &out, &in, 1, SEAWAY_SUM, &options));
  if (member->index == 1) {
    seaway_free(transaction);
  } else {
    CHECK_STATUS(SEAWAY_OK, seaway_transaction_close(transaction));
    CHECK_STATUS(SEAWAY_OK, seaway_wait(&transaction, 1, SEAWAY_ALL, PATIENCE));
    CHECK_STATUS(SEAWAY_ABORTED, seaway_test(transaction, NULL));
    seaway_free(transaction);
  }
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_ABORTED, seaway_test(op, NULL));
  CHECK(x[0] == 1 && y[0] == -1 && y[3] == -1);
  seaway_free(op);
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
}

CASE(a_transaction_that_one_gives_up_has_touched_nothing) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, abort_together, NULL);
  cluster_stop(&c);
}

static void refuse(struct member* member) {
  float x[4] = {1, 1, 1, 1};
  const seaway_buffer both = {x, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_comm* const comm = member->comm;
  seaway_op* transaction = NULL;
  seaway_op* op = NULL;
  seaway_op* barrier = NULL;
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  CHECK_OK(comm, seaway_barrier_start(comm, &barrier, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_transaction_close(barrier));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_transaction_close(NULL));
  CHECK_INVALID(comm, "op is NULL", seaway_transaction_create(comm, NULL, NULL));
  options.transaction = barrier;
  CHECK_INVALID(comm, "is another op", seaway_barrier_start(comm, &op, &options));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&barrier, 1, SEAWAY_ALL, PATIENCE));
  seaway_free(barrier);
  CHECK_INVALID(comm, "was freed", seaway_barrier_start(comm, &op, &options));
  options.transaction = NULL;
  CHECK_OK(comm, seaway_transaction_create(comm, &transaction, NULL));
  options.transaction = transaction;
  CHECK_INVALID(comm, "start the op, close the transaction", seaway_barrier(comm, NULL, &options));
  CHECK_INVALID(comm, "two ends", seaway_send_start(comm, &op, &both, 1, 4711, &options));
  CHECK_INVALID(comm, "cannot be in another", seaway_transaction_create(comm, &op, &options));
  options.quorum = 1;
  CHECK_INVALID(comm, "options.quorum", seaway_all_reduce_start(comm, &op, NULL, &both, 1, SEAWAY_SUM, &options));
  options.quorum = 0;
  options.on_loss = SEAWAY_FAIL;
  CHECK_OK(comm, seaway_barrier_start(comm, &op, &options));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_INVALID, seaway_test(op, NULL));
  seaway_free(op);
  options.on_loss = SEAWAY_RESUME;
  CHECK_STATUS(SEAWAY_OK, seaway_transaction_close(transaction));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&transaction, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_test(transaction, NULL)); /* of no op */
  CHECK_OK(comm, seaway_barrier_start(comm, &op, &options));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_INVALID, seaway_test(op, NULL)); /* it has ended */
  seaway_free(op);
  seaway_free(transaction);
  CHECK_OK(comm, seaway_barrier(comm, NULL, NULL));
}

CASE(what_cannot_be_in_a_transaction_is_said_so) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, refuse, NULL);
  cluster_stop(&c);
}
