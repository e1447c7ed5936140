/* Codecs, as C sees them. The numbers are such that q8 says them exactly: each block's largest is 127 times a whole scale. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

enum {
  COUNT = 700 * 1000,
  FIRST = 1000,
  SECOND = 33
}; /* large enough that members share the roots; cut across blocks */

static float ramp(uint64_t i, int scale) { return (float)(((int)(i % 255) - 127) * scale); }

static void reduce_encoded(struct member* member) {
  float* x = malloc(COUNT * sizeof *x);
  float* residual = calloc(COUNT, sizeof *residual);
  seaway_buffer pieces[3];
  seaway_options options;
  seaway_result result;
  uint64_t i;
  REQUIRE(x != NULL && residual != NULL);
  for (i = 0; i < COUNT; ++i) {
    x[i] = ramp(i, member->index + 1);
  }
  for (i = 0; i < 3; ++i) {
    pieces[i].dtype = SEAWAY_F32;
    pieces[i].device = SEAWAY_HOST;
  }
  pieces[0].data = x, pieces[0].count = FIRST;
  pieces[1].data = x + FIRST, pieces[1].count = SECOND;
  pieces[2].data = x + FIRST + SECOND, pieces[2].count = COUNT - FIRST - SECOND;
  seaway_options_init(&options, sizeof options);
  seaway_result_init(&result, sizeof result);
  options.codec_up = options.codec_down = SEAWAY_CODEC_Q8;
  options.residual = residual;
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, &result, NULL, pieces, 3, SEAWAY_SUM, &options));
  for (i = 0; i < COUNT && x[i] == ramp(i, 6) && residual[i] == 0; ++i) {
  }
  CHECK(i == COUNT);
  CHECK(result.plan == SEAWAY_PLAN_DIRECT);
  CHECK(result.bytes_sent <= COUNT * sizeof(float) * 40 / 100); /* of 4/3 and a chunk */
  CHECK(result.scratch_bytes >= COUNT * sizeof(float));
  free(x);
  free(residual);
}

CASE(contributions_and_results_travel_encoded) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, reduce_encoded, NULL);
  cluster_stop(&c);
}

/* A quarter of a step is lost in each op, and made up for by the third. */
static void feed_back(struct member* member) {
  static const float lost[4] = {.25F, .5F, -.25F, 0};
  float x[2];
  float residual[2] = {0, 0};
  float sum = 0;
  seaway_buffer piece = {x, 2, SEAWAY_F32, SEAWAY_HOST};
  seaway_options options;
  int op;
  seaway_options_init(&options, sizeof options);
  options.codec_up = SEAWAY_CODEC_Q8;
  options.residual = residual;
  for (op = 0; op < 4; ++op) {
    x[0] = 127, x[1] = .25F;
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &piece, 1, SEAWAY_AVG, &options));
    CHECK(residual[0] == 0 && residual[1] == lost[op]);
    sum += x[1];
  }
  CHECK(sum == 1);
}

CASE(what_encoding_loses_is_sent_later) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, feed_back, NULL);
  cluster_stop(&c);
}

static void differ(struct member* member) {
  float x[4] = {1, 2, 3, 4};
  float residual[4] = {5, 5, 5, 5};
  seaway_buffer piece = {x, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.codec_up = member->index == 0 ? SEAWAY_CODEC_Q4 : SEAWAY_CODEC_Q8;
  options.residual = residual;
  CHECK_STATUS(SEAWAY_REFUSED, seaway_all_reduce(member->comm, NULL, NULL, &piece, 1, SEAWAY_SUM, &options));
  CHECK_ERROR(member->comm, SEAWAY_REFUSED, "codec q4");
  CHECK_ERROR(member->comm, SEAWAY_REFUSED, "codec q8");
  CHECK(x[3] == 4 && residual[0] == 5 && residual[3] == 5);
}

CASE(codecs_that_differ_are_refused_and_change_nothing) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  each(&c, differ, NULL);
  cluster_stop(&c);
}
