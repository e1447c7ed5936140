/* Ops that do not wait for everybody, as C sees them. */
#include <pthread.h>
#include <seaway/seaway.h>
#include <stdlib.h>

#include "check.h"
#include "cluster.h"

enum { COUNT = 300 * 1000 }; /* large enough that members share the roots: the straggler is one of them */

struct call {
  int in_place;
  double grace;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int done; /* members that have the result */
};

#define A_CALL(in_place, grace) {in_place, grace, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static int is_all(const float* x, int count, float value) {
  int i;
  for (i = 0; i < count && x[i] == value; ++i) {
  }
  return i == count;
}

static void have_done(struct call* call) {
  pthread_mutex_lock(&call->mutex);
  ++call->done;
  pthread_cond_broadcast(&call->changed);
  pthread_mutex_unlock(&call->mutex);
}

static void wait_for_two(struct call* call) {
  pthread_mutex_lock(&call->mutex);
  while (call->done < 2) {
    pthread_cond_wait(&call->changed, &call->mutex);
  }
  pthread_mutex_unlock(&call->mutex);
}

/* Member 2 comes when the others are done, or all wait for it by their grace. */
static void reduce_late(struct member* member) {
  struct call* call = member->argument;
  const int late = member->index == 2;
  const float own = (float)(1 << member->index);
  const int waits = call->grace > 0;
  float* x = malloc(COUNT * sizeof *x);
  float* y = malloc(COUNT * sizeof *y);
  seaway_contributor contributors[MOST_MEMBERS];
  seaway_buffer in = {x, COUNT, SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer out = {y, COUNT, SEAWAY_F32, SEAWAY_HOST};
  seaway_options options;
  seaway_result result;
  int i;
  REQUIRE(x != NULL && y != NULL);
  for (i = 0; i < COUNT; ++i) {
    x[i] = own;
  }
  seaway_options_init(&options, sizeof options);
  options.quorum = 2;
  options.grace_s = call->grace;
  seaway_result_init(&result, sizeof result);
  result.contributors = contributors;
  result.contributor_capacity = MOST_MEMBERS;
  if (late && !waits) {
    wait_for_two(call);
  }
  CHECK_OK(member->comm,
           seaway_all_reduce(member->comm, &result, call->in_place ? NULL : &out, &in, 1, SEAWAY_SUM, &options));
  have_done(call);
  CHECK(is_all(call->in_place ? x : y, COUNT, waits ? 7.0F : 3.0F));
  CHECK(call->in_place || is_all(x, COUNT, own));
  CHECK(result.contributor_count == (waits ? 3u : 2u) && result.weight_sum == (waits ? 3 : 2));
  for (i = 0; i < (int)result.contributor_count; ++i) {
    CHECK(waits || !late || contributors[i].peer != self_of(member->comm));
  }
  free(x);
  free(y);
}

CASE(a_straggler_gets_the_result_that_its_library_has_held) {
  struct call calls[2] = {A_CALL(0, 0), A_CALL(1, 0)};
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, reduce_late, &calls[0]);
  each(&c, reduce_late, &calls[1]);
  cluster_stop(&c);
}

CASE(whoever_starts_within_the_grace_contributes) {
  struct call call = A_CALL(0, PATIENCE);
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, reduce_late, &call);
  cluster_stop(&c);
}

/* It is refused alone: the others had what they needed. Then all go on. */
static void differ_late(struct member* member) {
  struct call* call = member->argument;
  const int late = member->index == 2;
  float x[100] = {1};
  seaway_buffer in = {x, 100, SEAWAY_F32, SEAWAY_HOST};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.quorum = 2;
  if (late) {
    wait_for_two(call);
    options.layout = 7;
    CHECK_STATUS(SEAWAY_REFUSED, seaway_all_reduce(member->comm, NULL, NULL, &in, 1, SEAWAY_SUM, &options));
    CHECK(x[0] == 1);
  } else {
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &in, 1, SEAWAY_SUM, &options));
    CHECK(x[0] == 2);
    have_done(call);
  }
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
}

CASE(a_straggler_that_differs_is_refused_alone) {
  struct call call = A_CALL(0, 0);
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, differ_late, &call);
  cluster_stop(&c);
}
