/* The shared state: syncs in real clusters inside this process. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

#define NUMBERS 2000000 /* of f32: 31 leaves, enough for the direct plan */

/* One member's copy, and what it says of it. */
struct copy {
  float* weights;
  uint64_t steps;
  uint64_t revision;
  int32_t role;
  int32_t expected;
  seaway_sync_result result;
  uint64_t donors[MOST_MEMBERS];
};

static void copy_init(struct copy* copy, float value, uint64_t revision) {
  int i;
  memset(copy, 0, sizeof *copy);
  copy->weights = malloc(NUMBERS * sizeof(float));
  for (i = 0; i < NUMBERS; ++i) {
    copy->weights[i] = value + (float)i;
  }
  copy->steps = revision * 10;
  copy->revision = revision;
}

static int is_like(const struct copy* copy, float value) {
  int i;
  for (i = 0; i < NUMBERS; ++i) {
    if (copy->weights[i] != value + (float)i) {
      return 0;
    }
  }
  return 1;
}

static seaway_state* registered(seaway_comm* comm, struct copy* copy) {
  seaway_state* state = NULL;
  seaway_buffer weights = {NULL, NUMBERS, SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer steps = {NULL, 1, SEAWAY_U64, SEAWAY_HOST};
  weights.data = copy->weights;
  steps.data = &copy->steps;
  CHECK_OK(comm, seaway_state_create(comm, &state));
  CHECK_OK(comm, seaway_state_add(state, "weights", &weights));
  CHECK_OK(comm, seaway_state_add(state, "steps", &steps));
  return state;
}

static seaway_status sync_once(seaway_state* state, struct copy* copy, double timeout) {
  seaway_sync_options options;
  seaway_sync_options_init(&options, sizeof options);
  seaway_sync_result_init(&copy->result, sizeof copy->result);
  options.role = copy->role;
  copy->result.donors = copy->donors;
  copy->result.donor_capacity = MOST_MEMBERS;
  return seaway_state_sync(state, &copy->result, copy->revision, &options, timeout);
}

/* argument: struct copy[], one per member. */
static void sync_program(struct member* member) {
  struct copy* copy = (struct copy*)member->argument + member->index;
  seaway_state* state = registered(member->comm, copy);
  CHECK_STATUS(copy->expected, sync_once(state, copy, PATIENCE));
  CHECK_OK(member->comm, seaway_state_free(state));
}

CASE(a_sync_gives_everybody_the_newest_copy) {
  struct cluster c;
  struct copy copies[3];
  int i;
  REQUIRE(cluster_start(&c, 3));
  copy_init(&copies[0], 1, 4);
  copy_init(&copies[1], 2, 5);
  copy_init(&copies[2], 3, 5);
  memcpy(copies[2].weights, copies[1].weights, NUMBERS * sizeof(float)); /* two have the newest */
  each(&c, sync_program, copies);
  for (i = 0; i < 3; ++i) {
    const seaway_sync_result* result = &copies[i].result;
    CHECK(is_like(&copies[i], 2));
    CHECK(copies[i].steps == 50);
    CHECK(result->revision == 5 && result->rounds == 1);
    CHECK(result->bytes == NUMBERS * 4 + 8);
    CHECK(result->digest[0] == copies[0].result.digest[0] && result->digest[1] == copies[0].result.digest[1]);
    CHECK(result->donor_count == 2 && result->seconds > 0);
    CHECK((result->bytes_changed > 0) == (i == 0));
  }
  CHECK(copies[0].result.bytes_received >= (uint64_t)NUMBERS * 4);
  CHECK(copies[1].result.bytes_received + copies[2].result.bytes_received < 5000); /* the tables, no leaf */
  CHECK(copies[1].result.bytes_sent > NUMBERS);
  CHECK(copies[2].result.bytes_sent > NUMBERS); /* all donors send */
  /* Again: all are alike, no payload moves. */
  for (i = 0; i < 3; ++i) {
    copies[i].revision = 5;
  }
  each(&c, sync_program, copies);
  for (i = 0; i < 3; ++i) {
    CHECK(copies[i].result.bytes_changed == 0 && copies[i].result.donor_count == 3);
    CHECK(copies[i].result.bytes_sent < 1000 && copies[i].result.bytes_received < 1000);
    free(copies[i].weights);
  }
  cluster_stop(&c);
}

CASE(only_leaves_that_differ_are_sent) {
  struct cluster c;
  struct copy copies[2];
  int i;
  REQUIRE(cluster_start(&c, 2));
  copy_init(&copies[0], 1, 7);
  copy_init(&copies[1], 1, 6);
  copies[1].steps = 70;
  copies[1].weights[NUMBERS - 1] = -1;
  each(&c, sync_program, copies);
  CHECK(is_like(&copies[1], 1));
  CHECK(copies[1].result.bytes_changed == NUMBERS * 4 % (256 * 1024)); /* the last leaf */
  for (i = 0; i < 2; ++i) {
    free(copies[i].weights);
  }
  cluster_stop(&c);
}

CASE(roles_say_whose_copy_may_be_elected) {
  struct cluster c;
  struct copy copies[3];
  int i;
  REQUIRE(cluster_start(&c, 3));
  for (i = 0; i < 3; ++i) {
    copy_init(&copies[i], (float)i, 9);
  }
  copies[1].role = SEAWAY_SEND_ONLY;
  copies[1].revision = 3;
  copies[2].role = SEAWAY_RECEIVE_ONLY;
  each(&c, sync_program, copies);
  for (i = 0; i < 3; ++i) {
    CHECK(is_like(&copies[i], 1) && copies[i].result.revision == 3);
    CHECK(copies[i].result.donor_count == 1);
    copies[i].role = SEAWAY_RECEIVE_ONLY;
    copies[i].expected = SEAWAY_REFUSED;
  }
  each(&c, sync_program, copies);
  CHECK_ERROR(c.comms[0], SEAWAY_REFUSED, "only receives");
  copies[0].role = copies[1].role = SEAWAY_SEND_ONLY;
  copies[1].weights[5] = 5;
  each(&c, sync_program, copies);
  CHECK_ERROR(c.comms[0], SEAWAY_REFUSED, "only send");
  CHECK(copies[0].weights[5] == 6 && copies[1].weights[5] == 5);
  for (i = 0; i < 3; ++i) {
    free(copies[i].weights);
  }
  cluster_stop(&c);
}

static void other_tensors(struct member* member) {
  struct copy* copy = (struct copy*)member->argument + member->index;
  seaway_state* state = registered(member->comm, copy);
  seaway_buffer more = {NULL, 1, SEAWAY_U64, SEAWAY_HOST};
  more.data = &copy->revision;
  if (member->index == 1) {
    CHECK_OK(member->comm, seaway_state_add(state, "more", &more));
  }
  CHECK_STATUS(SEAWAY_REFUSED, sync_once(state, copy, PATIENCE));
  CHECK_ERROR(member->comm, SEAWAY_REFUSED, "different tensors");
  CHECK_OK(member->comm, seaway_state_free(state));
}

CASE(different_tensors_are_refused) {
  struct cluster c;
  struct copy copies[2];
  REQUIRE(cluster_start(&c, 2));
  copy_init(&copies[0], 1, 7);
  copy_init(&copies[1], 2, 6);
  each(&c, other_tensors, copies);
  CHECK(is_like(&copies[0], 1) && is_like(&copies[1], 2));
  free(copies[0].weights);
  free(copies[1].weights);
  cluster_stop(&c);
}

/* Member 2 joins a run that has synced. */
static void newcomer_program(struct member* member) {
  struct copy* copy = (struct copy*)member->argument + member->index;
  seaway_state* state = registered(member->comm, copy);
  seaway_result result;
  seaway_contributor contributors[MOST_MEMBERS];
  seaway_buffer x = {NULL, 1, SEAWAY_F32, SEAWAY_HOST};
  float value = 1;
  int round;
  x.data = &value;
  if (member->index == 2) {
    CHECK_OK(member->comm, seaway_join(member->comm, PATIENCE));
  } else {
    CHECK_OK(member->comm, sync_once(state, copy, PATIENCE));
    copy->revision = copy->result.revision;
    CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
    while (world_of(member->comm) < 3) {
      CHECK_OK(member->comm, seaway_update(member->comm, NULL, PATIENCE));
    }
  }
  for (round = 0; round < 2; ++round) { /* before and after its sync */
    seaway_result_init(&result, sizeof result);
    result.contributors = contributors;
    result.contributor_capacity = MOST_MEMBERS;
    value = 1;
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, &result, NULL, &x, 1, SEAWAY_SUM, NULL));
    CHECK(value == (float)(2 + round) && result.contributor_count == (size_t)(2 + round));
    if (round == 0) {
      CHECK_OK(member->comm, sync_once(state, copy, PATIENCE));
      CHECK(is_like(copy, 1) && copy->result.revision == 3);
    }
  }
  CHECK_OK(member->comm, seaway_state_free(state));
}

CASE(a_newcomer_counts_from_its_first_sync_on) {
  struct cluster c;
  struct copy copies[3];
  int i;
  REQUIRE(cluster_start(&c, 2));
  c.comms[2] = cluster_comm(&c, 1);
  c.count = 3;
  copy_init(&copies[0], 1, 3);
  copy_init(&copies[1], 2, 2);
  copy_init(&copies[2], 3, 99); /* whatever it says, it is not elected */
  each(&c, newcomer_program, copies);
  for (i = 0; i < 3; ++i) {
    free(copies[i].weights);
  }
  cluster_stop(&c);
}

/* Members 0 and 1 have it, member 2 wants it, member 0 goes in the middle. */
static void donor_goes(struct member* member) {
  struct copy* copy = (struct copy*)member->argument + member->index;
  seaway_state* state = registered(member->comm, copy);
  seaway_status status;
  if (member->index == 0) {
    CHECK_STATUS(SEAWAY_PENDING, sync_once(state, copy, 0));
    CHECK_STATUS(SEAWAY_BUSY, seaway_update(member->comm, NULL, 0));
    CHECK_STATUS(SEAWAY_BUSY, seaway_state_free(state));
    (void)sync_once(state, copy, 0.01); /* it may be over by then */
    CHECK_STATUS(SEAWAY_OK, seaway_destroy(member->comm));
    member->cluster->comms[0] = NULL;
    status = sync_once(state, copy, PATIENCE); /* what became of it: OK if it had committed before */
    CHECK(status == SEAWAY_UNDECIDED || status == SEAWAY_OK || status == SEAWAY_CLOSED);
    CHECK_STATUS(SEAWAY_CLOSED, sync_once(state, copy, PATIENCE));
  } else {
    CHECK_OK(member->comm, sync_once(state, copy, PATIENCE));
    CHECK(is_like(copy, 1));
    CHECK_OK(member->comm, seaway_update(member->comm, NULL, PATIENCE));
  }
  CHECK_STATUS(SEAWAY_OK, seaway_state_free(state));
}

CASE(a_sync_goes_on_when_a_donor_goes) {
  struct cluster c;
  struct copy copies[3];
  int i;
  REQUIRE(cluster_start(&c, 3));
  copy_init(&copies[0], 1, 3);
  copy_init(&copies[1], 1, 3);
  copy_init(&copies[2], 2, 1);
  each(&c, donor_goes, copies);
  for (i = 0; i < 3; ++i) {
    free(copies[i].weights);
  }
  cluster_stop(&c);
}

CASE(arguments_of_a_shared_state) {
  struct cluster c;
  seaway_state* state = NULL;
  seaway_comm* comm;
  seaway_sync_options options;
  seaway_sync_result result;
  float numbers[4] = {0, 0, 0, 0};
  seaway_buffer buffer = {NULL, 4, SEAWAY_F32, SEAWAY_HOST};
  REQUIRE(cluster_start(&c, 1));
  comm = c.comms[0];
  CHECK_INVALID(comm, "state", seaway_state_create(comm, NULL));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_state_create(NULL, &state));
  CHECK(state == NULL);
  CHECK_OK(comm, seaway_state_create(comm, &state));
  CHECK_INVALID(comm, "name", seaway_state_add(state, NULL, &buffer));
  CHECK_INVALID(comm, "name", seaway_state_add(state, "", &buffer));
  CHECK_INVALID(comm, "buffer", seaway_state_add(state, "x", NULL));
  CHECK_INVALID(comm, "data is NULL", seaway_state_add(state, "x", &buffer));
  buffer.data = numbers;
  CHECK_OK(comm, seaway_state_add(state, "x", &buffer));
  CHECK_OK(comm, seaway_state_add(state, "x", &buffer)); /* it lies there now */
  buffer.count = 3;
  CHECK_INVALID(comm, "registered already", seaway_state_add(state, "x", &buffer));
  seaway_sync_options_init(&options, sizeof options);
  seaway_sync_result_init(&result, sizeof result);
  options.role = 3;
  CHECK_INVALID(comm, "role", seaway_state_sync(state, &result, 1, &options, PATIENCE));
  options.role = 0;
  result.struct_size = 1;
  CHECK_INVALID(comm, "struct_size", seaway_state_sync(state, &result, 1, &options, PATIENCE));
  seaway_sync_result_init(&result, sizeof result);
  CHECK_OK(comm, seaway_state_sync(state, &result, 8, &options, PATIENCE)); /* alone */
  CHECK(result.revision == 8 && result.bytes == 16 && result.donor_count == 1);
  CHECK_OK(comm, seaway_state_sync(state, NULL, 9, NULL, -1));
  CHECK_OK(comm, seaway_leave(comm, PATIENCE));
  CHECK_STATUS(SEAWAY_NOT_MEMBER, seaway_state_sync(state, NULL, 9, NULL, -1));
  CHECK_OK(comm, seaway_state_free(state));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_state_sync(state, NULL, 9, NULL, -1));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_state_free(state));
  CHECK_STATUS(SEAWAY_OK, seaway_state_free(NULL));
  cluster_stop(&c);
}
