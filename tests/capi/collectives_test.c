/* Ops that commit, in real clusters inside this process. */
#include <fenv.h>
#include <poll.h>
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

/* Writes the small integer `value` as an element of this dtype; all results below are exact in each of them. */
static void put(void* data, uint64_t index, int32_t dtype, int value) {
  /* 0 to 31 as binary16; a bfloat16 is the upper half of a float. */
  union {
    float f;
    uint32_t bits;
  } u;
  u.f = (float)value;
  switch (dtype) {
    case SEAWAY_F32:
      ((float*)data)[index] = (float)value;
      break;
    case SEAWAY_F64:
      ((double*)data)[index] = value;
      break;
    case SEAWAY_BF16:
      ((uint16_t*)data)[index] = (uint16_t)(u.bits >> 16);
      break;
    case SEAWAY_F16:
      ((uint16_t*)data)[index] =
          (uint16_t)(value == 0 ? 0 : ((((u.bits >> 23) & 255) - 112) << 10) | ((u.bits >> 13) & 1023));
      break;
    case SEAWAY_I8:
    case SEAWAY_U8:
      ((uint8_t*)data)[index] = (uint8_t)value;
      break;
    case SEAWAY_I16:
    case SEAWAY_U16:
      ((uint16_t*)data)[index] = (uint16_t)value;
      break;
    case SEAWAY_I32:
    case SEAWAY_U32:
      ((uint32_t*)data)[index] = (uint32_t)value;
      break;
    default:
      ((uint64_t*)data)[index] = (uint64_t)value;
      break;
  }
}
static size_t size_of(int32_t dtype) {
  static const size_t sizes[] = {0, 4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8};
  return sizes[dtype];
}

#define ELEMENTS 100

/* Every dtype and reduction: contributions of members 0, 1, 2 are 2, 4 and 6 (and 1, 2, 3 for prod). */
static void reduce_all_dtypes(struct member* member) {
  static const int expected[] = {0, 12, 4, 2, 6, 48};
  int32_t dtype, reduction;
  for (dtype = SEAWAY_F32; dtype <= SEAWAY_U64; ++dtype) {
    for (reduction = SEAWAY_SUM; reduction <= SEAWAY_PROD; ++reduction) {
      uint64_t in_data[ELEMENTS], out_data[ELEMENTS], want[ELEMENTS];
      const size_t bytes = ELEMENTS * size_of(dtype);
      int i;
      seaway_buffer in = {in_data, ELEMENTS, 0, SEAWAY_HOST};
      seaway_buffer out = {out_data, ELEMENTS, 0, SEAWAY_HOST};
      in.dtype = out.dtype = dtype;
      if (reduction == SEAWAY_AVG && dtype >= SEAWAY_I8) {
        continue;
      }
      for (i = 0; i < ELEMENTS; ++i) {
        put(in_data, (uint64_t)i, dtype, 2 * (member->index + 1));
        put(want, (uint64_t)i, dtype, expected[reduction]);
      }
      CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, &out, &in, 1, reduction, NULL));
      CHECK(memcmp(out_data, want, bytes) == 0);
      CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &in, 1, reduction, NULL));
      CHECK(memcmp(in_data, want, bytes) == 0);
    }
  }
}

CASE(every_dtype_and_reduction_gives_the_expected_values_in_and_out_of_place) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, reduce_all_dtypes, NULL);
  cluster_stop(&c);
}

#define LARGE (1 << 20) /* 4 MiB of f32: the direct plan */

static void reduce_many(struct member* member) {
  uint64_t* hashes = member->argument;
  float *data = malloc(LARGE * sizeof *data), small[3] = {1, 2, 3};
  seaway_contributor contributors[3];
  seaway_result result;
  seaway_buffer in[4];
  uint64_t i, wrong = 0;
  for (i = 0; i < LARGE; ++i) {
    data[i] = (float)((int)(i % 1000) * (member->index + 1));
  }
  seaway_result_init(&result, sizeof result);
  result.contributors = contributors, result.contributor_capacity = 3;
  memset(in, 0, sizeof in);
  in[0].data = data, in[0].count = 1001;
  in[1].data = small, in[1].count = 3;
  in[2].data = NULL, in[2].count = 0;
  in[3].data = data + 1001, in[3].count = LARGE - 1001;
  in[0].dtype = in[1].dtype = in[2].dtype = in[3].dtype = SEAWAY_F32;
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, &result, NULL, in, 4, SEAWAY_SUM, NULL));
  for (i = 0; i < LARGE; ++i) {
    wrong += data[i] != (float)((int)(i % 1000) * 6);
  }
  CHECK(wrong == 0);
  CHECK(small[0] == 3 && small[1] == 6 && small[2] == 9);
  CHECK(result.outcome == SEAWAY_COMMITTED && result.plan == SEAWAY_PLAN_DIRECT && result.attempts == 1 &&
        result.lost_count == 0);
  CHECK(result.contributor_count == 3 && result.weight_sum == 3);
  CHECK(result.scratch_bytes == (LARGE + 3) * sizeof *data && result.bytes_sent > 0 && result.seconds > 0);
  CHECK(contributors[rank_of(member->comm)].peer == self_of(member->comm));
  hashes[member->index] = result.hash;
  free(data);
}

CASE(many_buffers_are_one_op_with_one_result_on_everyone) {
  struct cluster c;
  uint64_t hashes[3] = {0, 0, 0};
  REQUIRE(cluster_start(&c, 3));
  each(&c, reduce_many, hashes);
  CHECK(hashes[0] != 0 && hashes[0] == hashes[1] && hashes[1] == hashes[2]);
  cluster_stop(&c);
}

static void broadcast_and_meet(struct member* member) {
  uint64_t root = *(uint64_t*)member->argument;
  uint16_t data[1000];
  int i;
  seaway_buffer buffers[2] = {{data, 400, SEAWAY_BF16, SEAWAY_HOST}, {data + 400, 600, SEAWAY_BF16, SEAWAY_HOST}};
  for (i = 0; i < 1000; ++i) {
    data[i] = (uint16_t)(member->index == 1 ? i + 7 : 0);
  }
  CHECK_OK(member->comm, seaway_broadcast(member->comm, NULL, buffers, 2, root, NULL));
  for (i = 0; i < 1000 && data[i] == i + 7; ++i) {
  }
  CHECK(i == 1000);
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
}

CASE(a_broadcast_gives_the_roots_data_to_everyone_and_a_barrier_lets_all_pass) {
  struct cluster c;
  uint64_t root;
  REQUIRE(cluster_start(&c, 3));
  root = self_of(c.comms[1]);
  CHECK(root != 0);
  each(&c, broadcast_and_meet, &root);
  cluster_stop(&c);
}

static void weigh(struct member* member) {
  double x = member->index == 0 ? 10 : 40;
  seaway_buffer buffer = {&x, 1, SEAWAY_F64, SEAWAY_HOST};
  seaway_options options;
  seaway_result result;
  seaway_options_init(&options, sizeof options);
  seaway_result_init(&result, sizeof result);
  options.weighted = 1;
  options.weight = member->index == 0 ? 1 : 2;
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, &result, NULL, &buffer, 1, SEAWAY_AVG, &options));
  CHECK(x == 30 && result.weight_sum == 3 && result.outcome == SEAWAY_COMMITTED);
  options.weight = 0;
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, &result, NULL, &buffer, 1, SEAWAY_AVG, &options));
  CHECK(x == 30 && result.weight_sum == 0 && result.outcome == SEAWAY_NO_WEIGHT);
}

CASE(weights_weigh_and_without_any_weight_the_input_stays) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, weigh, NULL);
  cluster_stop(&c);
}

static void refuse(struct member* member) {
  float data[8] = {5, 5, 5, 5, 5, 5, 5, 5};
  seaway_buffer buffer = {data, 0, SEAWAY_F32, SEAWAY_HOST};
  buffer.count = member->index == 0 ? 7 : 8;
  CHECK_STATUS(SEAWAY_REFUSED, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK_ERROR(member->comm, SEAWAY_REFUSED, "7");
  CHECK_ERROR(member->comm, SEAWAY_REFUSED, "8");
  CHECK(data[0] == 5 && data[7] == 5);
  buffer.count = 8;
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
  CHECK(data[0] == 10);
}

static void refuse_pieces(struct member* member) {
  float data[8] = {5, 5, 5, 5, 5, 5, 5, 5};
  const uint64_t first = member->index == 0 ? 3 : 4; /* as many in all */
  seaway_buffer buffers[2] = {{data, 0, SEAWAY_F32, SEAWAY_HOST}, {data + 4, 4, SEAWAY_F32, SEAWAY_HOST}};
  buffers[0].count = first;
  buffers[1].count = 7 - first;
  CHECK_STATUS(SEAWAY_REFUSED, seaway_all_reduce(member->comm, NULL, NULL, buffers, 2, SEAWAY_SUM, NULL));
  CHECK_ERROR(member->comm, SEAWAY_REFUSED, "pieces 2");
  CHECK(data[0] == 5 && data[7] == 5);
}

CASE(buffers_whose_counts_have_the_same_sum_are_not_alike) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, refuse_pieces, NULL);
  cluster_stop(&c);
}

CASE(calls_that_differ_are_refused_on_everyone_and_the_text_names_both) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, refuse, NULL);
  cluster_stop(&c);
}

static void many_tags(struct member* member) {
  enum { OPS = 16 };
  float data[OPS];
  seaway_op* ops[OPS];
  int i;
  for (i = 0; i < OPS; ++i) {
    /* The members start them in different orders: tags are independent. */
    const int tag = member->index == 0 ? i : OPS - 1 - i;
    seaway_buffer buffer = {&data[tag], 1, SEAWAY_F32, SEAWAY_HOST};
    seaway_options options;
    seaway_options_init(&options, sizeof options);
    options.tag = (uint64_t)tag;
    data[tag] = (float)tag;
    CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &ops[tag], NULL, &buffer, 1, SEAWAY_SUM, &options));
  }
  CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, OPS, SEAWAY_ANY, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, OPS, SEAWAY_ALL, PATIENCE));
  for (i = 0; i < OPS; ++i) {
    CHECK_STATUS(SEAWAY_OK, seaway_test(ops[i], NULL));
    CHECK(data[i] == (float)(2 * i));
    seaway_free(ops[i]);
  }
}

/* .1 and .7, added up, are rounded: a caller who waits does what the library has to, in his own thread. */
static void average_rounded(struct member* member) {
  const int mode = member->index == 0 ? FE_UPWARD : FE_TONEAREST;
  double x[3] = {1, 2, 3}, y[3] = {0, 0, 0};
  const seaway_buffer in = {x, 3, SEAWAY_F64, SEAWAY_HOST}, out = {y, 3, SEAWAY_F64, SEAWAY_HOST};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.weighted = 1;
  options.weight = member->index == 0 ? .1 : .7;
  options.deadline = 20;
  fesetround(mode);
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, &out, &in, 1, SEAWAY_AVG, &options));
  CHECK(fegetround() == mode);
  fesetround(FE_TONEAREST);
}

CASE(a_callers_rounding_changes_no_result) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, average_rounded, NULL);
  cluster_stop(&c);
}

CASE(ops_of_different_tags_may_be_started_in_any_order) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, many_tags, NULL);
  cluster_stop(&c);
}

/* Takes events until one of `kind` comes; waits by polling the descriptor. 1 if it came. */
static int event_comes(seaway_comm* comm, int32_t kind, seaway_event* event) {
  struct pollfd poller = {0, POLLIN, 0};
  int tries;
  event->struct_size = sizeof *event;
  CHECK_OK(comm, seaway_event_fd(comm, &poller.fd));
  for (tries = 0; tries < 1000; ++tries) {
    CHECK_OK(comm, seaway_next_event(comm, event));
    if (event->kind == kind) {
      return 1;
    }
    if (event->kind == SEAWAY_EVENT_NONE && poll(&poller, 1, (int)(PATIENCE * 1000)) != 1) {
      return 0;
    }
  }
  return 0;
}

CASE(events_tell_of_ops_and_of_the_roster) {
  struct cluster c;
  seaway_event event;
  seaway_op* ops[2] = {NULL, NULL};
  REQUIRE(cluster_start(&c, 2));
  CHECK_OK(c.comms[0], seaway_barrier_start(c.comms[0], &ops[0], NULL));
  CHECK_STATUS(SEAWAY_PENDING, seaway_wait(ops, 1, SEAWAY_ALL, 0));
  CHECK_STATUS(SEAWAY_PENDING, seaway_test(ops[0], NULL));
  CHECK_OK(c.comms[1], seaway_barrier_start(c.comms[1], &ops[1], NULL));
  CHECK(event_comes(c.comms[0], SEAWAY_EVENT_OP_DONE, &event));
  CHECK(event.op == ops[0]);
  CHECK_STATUS(SEAWAY_OK, seaway_test(ops[0], NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&ops[1], 1, SEAWAY_ALL, PATIENCE));
  seaway_free(ops[0]);
  seaway_free(ops[1]);
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(c.comms[1]));
  c.comms[1] = NULL;
  while (world_of(c.comms[0]) != 1 && event_comes(c.comms[0], SEAWAY_EVENT_EPOCH_CHANGED, &event)) {
  }
  CHECK(world_of(c.comms[0]) == 1);
  cluster_stop(&c);
}
