/* Exchange, send and receive. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

#define MEMBERS 3
#define MANY 300007 /* several chunks */

static uint64_t peer_of(const struct member* member, int index) { return self_of(member->cluster->comms[index]); }

/* What `from` sends to `to`: so many elements, of which element i is this. */
static uint64_t count_of(int from, int to) { return from == 0 && to == 1 ? MANY : (uint64_t)(10 * from + to); }
static float value_of(int from, int to, uint64_t i) { return (float)(1000 * from + 100 * to) + (float)(i % 50); }

static void all_to_all(struct member* member) {
  const int me = member->index;
  seaway_share sends[MEMBERS + 1], receives[MEMBERS];
  seaway_result result;
  uint64_t lost[MEMBERS], wrong = 0, i;
  int other;
  seaway_result_init(&result, sizeof result);
  result.lost = lost, result.lost_capacity = MEMBERS;
  for (other = 0; other < MEMBERS; ++other) {
    const uint64_t gives = count_of(me, other), takes = count_of(other, me);
    float *out = malloc((takes + 1) * sizeof *out), *in = malloc((gives + 1) * sizeof *in);
    for (i = 0; i < gives; ++i) {
      in[i] = value_of(me, other, i);
    }
    sends[other].peer = receives[other].peer = peer_of(member, other);
    sends[other].buffer = (seaway_buffer){in, gives, SEAWAY_F32, SEAWAY_HOST};
    receives[other].buffer = (seaway_buffer){out, takes, SEAWAY_F32, SEAWAY_HOST};
  }
  /* Two shares of one peer are one piece: the last element of member 1's goes apart, at the other end of the list. */
  sends[MEMBERS] = sends[1];
  if (me != 0) {
    sends[1].buffer.count -= 1;
    sends[MEMBERS].buffer.data = (float*)sends[1].buffer.data + sends[1].buffer.count;
    sends[MEMBERS].buffer.count = 1;
  }
  CHECK_OK(member->comm,
           seaway_exchange(member->comm, &result, receives, MEMBERS, sends, MEMBERS + (me != 0), SEAWAY_F32, NULL));
  for (other = 0; other < MEMBERS; ++other) {
    for (i = 0; i < count_of(other, me); ++i) {
      wrong += ((float*)receives[other].buffer.data)[i] != value_of(other, me, i);
    }
    free(receives[other].buffer.data);
    free(sends[other].buffer.data);
  }
  CHECK(wrong == 0);
  CHECK(result.contributor_count == MEMBERS && result.lost_count == 0 && result.attempts == 1);
  CHECK(result.hash != 0);
}

/* One has nothing to send and receives nothing, and calls all the same. */
static void idle_one(struct member* member) {
  int64_t x[2] = {4, 5}, y[2] = {0, 0};
  seaway_share to, from;
  const int other = 1 - member->index;
  if (member->index == 2) {
    CHECK_OK(member->comm, seaway_exchange(member->comm, NULL, NULL, 0, NULL, 0, SEAWAY_I64, NULL));
    return;
  }
  to.peer = from.peer = peer_of(member, other);
  to.buffer = (seaway_buffer){x, 2, SEAWAY_I64, SEAWAY_HOST};
  from.buffer = (seaway_buffer){y, 2, SEAWAY_I64, SEAWAY_HOST};
  CHECK_OK(member->comm, seaway_exchange(member->comm, NULL, &from, 1, &to, 1, SEAWAY_I64, NULL));
  CHECK(y[0] == 4 && y[1] == 5);
}

CASE(an_exchange_gives_every_pair_its_own) {
  struct cluster c;
  REQUIRE(cluster_start(&c, MEMBERS));
  each(&c, all_to_all, NULL);
  each(&c, idle_one, NULL);
  cluster_stop(&c);
}

/* Members 0 and 1 differ in what goes from the one to the other; member 2 has nothing to do with it. */
static void differ(struct member* member) {
  float x[4] = {1, 2, 3, 4}, y[4] = {0};
  seaway_share share;
  seaway_error error;
  seaway_op* op = NULL;
  const int sends = member->index == 0, receives = member->index == 1;
  error.struct_size = sizeof error;
  share.peer = peer_of(member, 1 - member->index % 2);
  share.buffer = (seaway_buffer){sends ? x : y, sends ? 4 : 3, SEAWAY_F32, SEAWAY_HOST};
  CHECK_OK(member->comm, seaway_exchange_start(member->comm, &op, receives ? &share : NULL, (size_t)receives,
                                               sends ? &share : NULL, (size_t)sends, SEAWAY_F32, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_ABORTED, seaway_test(op, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, op, &error));
  CHECK(strstr(error.text, "sends 4 elements to") != NULL && strstr(error.text, "receives 3 from it") != NULL);
  seaway_free(op);
  CHECK(x[0] == 1 && x[3] == 4);
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL)); /* all of them go on */
}

CASE(counts_that_differ_abort_an_exchange_and_say_both) {
  struct cluster c;
  REQUIRE(cluster_start(&c, MEMBERS));
  each(&c, differ, NULL);
  cluster_stop(&c);
}

static uint64_t gone; /* the incarnation of a member that has left */

static void without_the_third(struct member* member) {
  int32_t x[2] = {7, 8}, to_gone = 1, y[2] = {9, 9}, z = 9;
  seaway_share sends[2], receives[2];
  seaway_result result;
  seaway_buffer one = {&z, 1, SEAWAY_I32, SEAWAY_HOST};
  uint64_t lost[2] = {0, 0};
  seaway_result_init(&result, sizeof result);
  result.lost = lost, result.lost_capacity = 2;
  sends[0].peer = receives[0].peer = peer_of(member, 1 - member->index);
  sends[1].peer = receives[1].peer = gone;
  sends[0].buffer = (seaway_buffer){x, 2, SEAWAY_I32, SEAWAY_HOST};
  sends[1].buffer = (seaway_buffer){&to_gone, 1, SEAWAY_I32, SEAWAY_HOST};
  receives[0].buffer = (seaway_buffer){y, 2, SEAWAY_I32, SEAWAY_HOST};
  receives[1].buffer = one;
  CHECK_OK(member->comm, seaway_exchange(member->comm, &result, receives, 2, sends, 2, SEAWAY_I32, NULL));
  CHECK(y[0] == 7 && y[1] == 8 && z == 0);
  CHECK(result.lost_count == 1 && lost[0] == gone && result.contributor_count == 2);
  CHECK_STATUS(SEAWAY_REFUSED, seaway_send(member->comm, NULL, &one, 1, gone, NULL));
  CHECK_STATUS(SEAWAY_REFUSED, seaway_recv(member->comm, NULL, &one, 1, gone, NULL));
}

CASE(a_member_that_is_gone_gives_zeros_to_an_exchange_and_nothing_to_a_receive) {
  struct cluster c;
  REQUIRE(cluster_start(&c, MEMBERS));
  gone = self_of(c.comms[2]);
  cluster_last_leaves(&c);
  each(&c, without_the_third, NULL);
  cluster_stop(&c);
}

/* 0 sends to 2 and 2 to 0, of the same tag, at once; 1 takes no part. */
static void across(struct member* member) {
  const int me = member->index, other = 2 - me;
  float *x = malloc(MANY * sizeof *x), *y = malloc(MANY * sizeof *y), few[3] = {1, 2, 3}, more[3] = {0};
  seaway_buffer in[2], out[2];
  seaway_op* ops[2] = {NULL, NULL};
  seaway_result result;
  uint64_t i, wrong = 0;
  if (me != 1) {
    const uint64_t peer = peer_of(member, other);
    for (i = 0; i < MANY; ++i) {
      x[i] = value_of(me, other, i);
    }
    in[0] = (seaway_buffer){x, MANY, SEAWAY_F32, SEAWAY_HOST},
    out[0] = (seaway_buffer){y, MANY, SEAWAY_F32, SEAWAY_HOST};
    in[1] = (seaway_buffer){few, 3, SEAWAY_F32, SEAWAY_HOST},
    out[1] = (seaway_buffer){more, 3, SEAWAY_F32, SEAWAY_HOST};
    CHECK_OK(member->comm, seaway_send_start(member->comm, &ops[0], in, 2, peer, NULL));
    CHECK_OK(member->comm, seaway_recv_start(member->comm, &ops[1], out, 2, peer, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, 2, SEAWAY_ALL, PATIENCE));
    seaway_result_init(&result, sizeof result);
    CHECK_STATUS(SEAWAY_OK, seaway_test(ops[0], NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_test(ops[1], &result));
    CHECK(result.contributor_count == 1 && result.bytes_received >= MANY * sizeof *x);
    for (i = 0; i < MANY; ++i) {
      wrong += y[i] != value_of(other, me, i);
    }
    CHECK(wrong == 0 && more[2] == 3);
    seaway_free(ops[0]);
    seaway_free(ops[1]);
  }
  free(x);
  free(y);
}

/* The blocking forms, in their order. */
static void in_order(struct member* member) {
  int64_t x = 0;
  seaway_buffer buffer = {&x, 1, SEAWAY_I64, SEAWAY_HOST};
  int64_t i;
  for (i = 0; i < 20 && member->index != 2; ++i) {
    if (member->index == 0) {
      x = i;
      CHECK_OK(member->comm, seaway_send(member->comm, NULL, &buffer, 1, peer_of(member, 1), NULL));
    } else {
      CHECK_OK(member->comm, seaway_recv(member->comm, NULL, &buffer, 1, peer_of(member, 0), NULL));
      CHECK(x == i);
    }
  }
}

static void ends_differ(struct member* member) {
  float x[3] = {0};
  seaway_buffer three = {x, 3, SEAWAY_F32, SEAWAY_HOST}, two = {x, 2, SEAWAY_F32, SEAWAY_HOST};
  seaway_error error;
  error.struct_size = sizeof error;
  if (member->index == 0) {
    CHECK_STATUS(SEAWAY_REFUSED, seaway_send(member->comm, NULL, &three, 1, peer_of(member, 1), NULL));
  } else if (member->index == 1) {
    CHECK_STATUS(SEAWAY_REFUSED, seaway_recv(member->comm, NULL, &two, 1, peer_of(member, 0), NULL));
  } else {
    return;
  }
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(member->comm, NULL, &error));
  CHECK(strstr(error.text, "count 3") != NULL && strstr(error.text, "count 2") != NULL);
}

CASE(a_send_and_its_receive_are_an_op_of_two) {
  struct cluster c;
  REQUIRE(cluster_start(&c, MEMBERS));
  each(&c, across, NULL);
  each(&c, in_order, NULL);
  each(&c, ends_differ, NULL);
  cluster_stop(&c);
}

CASE(exchange_send_and_receive_name_what_is_wrong) {
  struct cluster c;
  float x[8] = {0};
  seaway_share one, two[2];
  seaway_buffer buffer = {x, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_options options;
  seaway_op* op = (seaway_op*)&op;
  seaway_comm* comm;
  uint64_t self;
  REQUIRE(cluster_start(&c, 2));
  comm = c.comms[0];
  self = self_of(comm);
  seaway_options_init(&options, sizeof options);
  one.peer = self_of(c.comms[1]), one.buffer = buffer;
  two[0] = two[1] = one;
  CHECK_INVALID(comm, "op is NULL", seaway_exchange_start(comm, NULL, NULL, 0, NULL, 0, SEAWAY_F32, NULL));
  CHECK_INVALID(comm, "dtype is 99", seaway_exchange_start(comm, &op, NULL, 0, NULL, 0, 99, NULL));
  CHECK(op == NULL);
  CHECK_INVALID(comm, "sends is NULL, and its count is 1",
                seaway_exchange(comm, NULL, NULL, 0, NULL, 1, SEAWAY_F32, NULL));
  CHECK_INVALID(comm, "receives is NULL", seaway_exchange(comm, NULL, NULL, 2, NULL, 0, SEAWAY_F32, NULL));
  CHECK_INVALID(comm, "receives has 1048577 shares",
                seaway_exchange(comm, NULL, &one, 1048577, NULL, 0, SEAWAY_F32, NULL));
  CHECK_INVALID(comm, "sends[0].buffer.dtype is 1 but dtype is 2",
                seaway_exchange(comm, NULL, NULL, 0, &one, 1, SEAWAY_F64, NULL));
  CHECK_INVALID(comm, "receives[0] and receives[1] overlap",
                seaway_exchange(comm, NULL, two, 2, NULL, 0, SEAWAY_F32, NULL));
  CHECK_INVALID(comm, "overlap", seaway_exchange(comm, NULL, &one, 1, &one, 1, SEAWAY_F32, NULL));
  two[1].peer = 0;
  CHECK_INVALID(comm, "sends[1].peer is 0", seaway_exchange(comm, NULL, NULL, 0, two, 2, SEAWAY_F32, NULL));
  two[1].peer = 12345;
  CHECK_INVALID(comm, "no member of this generation", seaway_exchange(comm, NULL, NULL, 0, two, 2, SEAWAY_F32, NULL));
  one.peer = self;
  CHECK_INVALID(comm, "4 elements for this member itself",
                seaway_exchange(comm, NULL, NULL, 0, &one, 1, SEAWAY_F32, NULL));
  one.buffer.data = NULL;
  CHECK_INVALID(comm, "sends[0].data is NULL", seaway_exchange(comm, NULL, NULL, 0, &one, 1, SEAWAY_F32, NULL));
  options.weighted = 1;
  CHECK_INVALID(comm, "SEAWAY_AVG only", seaway_exchange(comm, NULL, NULL, 0, NULL, 0, SEAWAY_F32, &options));
  CHECK_INVALID(comm, "SEAWAY_AVG only", seaway_send(comm, NULL, &buffer, 1, 1, &options));
  options.weighted = 0, options.codec_up = SEAWAY_CODEC_Q8;
  CHECK_INVALID(comm, "codec_up", seaway_exchange(comm, NULL, NULL, 0, NULL, 0, SEAWAY_F32, &options));
  CHECK_INVALID(comm, "codec_up", seaway_recv(comm, NULL, &buffer, 1, 1, &options));
  CHECK_INVALID(comm, "to is 0", seaway_send(comm, NULL, &buffer, 1, 0, NULL));
  CHECK_INVALID(comm, "from is 0", seaway_recv(comm, NULL, &buffer, 1, 0, NULL));
  CHECK_INVALID(comm, "in is NULL", seaway_send(comm, NULL, NULL, 1, 1, NULL));
  CHECK_INVALID(comm, "out is NULL", seaway_recv(comm, NULL, NULL, 1, 1, NULL));
  CHECK_INVALID(comm, "count is 0", seaway_send(comm, NULL, &buffer, 0, 1, NULL));
  CHECK_INVALID(comm, "op is NULL", seaway_send_start(comm, NULL, &buffer, 1, 1, NULL));
  CHECK_INVALID(comm, "op is NULL", seaway_recv_start(comm, NULL, &buffer, 1, 1, NULL));
  CHECK_INVALID(comm, "who sends is who receives", seaway_send(comm, NULL, &buffer, 1, self, NULL));
  CHECK_INVALID(comm, "who sends is who receives", seaway_recv(comm, NULL, &buffer, 1, self, NULL));
  CHECK_STATUS(SEAWAY_REFUSED, seaway_send(comm, NULL, &buffer, 1, 12345, NULL));
  cluster_stop(&c);
}
