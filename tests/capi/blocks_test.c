/* Reduce-scatter and all-gather: a block for each member of the generation. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

/* Which block is this member's, and how many there are. */
static size_t my_block(seaway_comm* comm, size_t* count) {
  uint64_t peers[MOST_MEMBERS];
  seaway_view* view = NULL;
  size_t i = 0;
  CHECK_OK(comm, seaway_view_get(comm, &view));
  CHECK_STATUS(SEAWAY_OK, seaway_view_blocks(view, peers, MOST_MEMBERS, count));
  while (i < *count && peers[i] != self_of(comm)) {
    ++i;
  }
  CHECK(i < *count);
  seaway_view_free(view);
  return i;
}

#define FEW 5
#define MANY 100003 /* not a multiple of anything, so that chunks lie across both pieces */

static void gather_two(struct member* member) {
  uint64_t* hashes = member->argument;
  size_t blocks, b;
  const size_t mine = my_block(member->comm, &blocks);
  float few[FEW], all_few[3 * FEW], *many = malloc(MANY * sizeof *many), *all_many = malloc(3 * MANY * sizeof *many);
  seaway_buffer in[2] = {{few, FEW, SEAWAY_F32, SEAWAY_HOST}, {many, MANY, SEAWAY_F32, SEAWAY_HOST}};
  seaway_buffer out[2] = {{all_few, 3 * FEW, SEAWAY_F32, SEAWAY_HOST}, {all_many, 3 * MANY, SEAWAY_F32, SEAWAY_HOST}};
  seaway_result result;
  uint64_t i, wrong = 0;
  seaway_result_init(&result, sizeof result);
  for (i = 0; i < FEW; ++i) {
    few[i] = (float)(1000 * mine + i);
  }
  for (i = 0; i < MANY; ++i) {
    many[i] = (float)(i % 1000 + mine);
  }
  CHECK(blocks == 3);
  CHECK_OK(member->comm, seaway_all_gather(member->comm, &result, out, in, 2, NULL));
  for (b = 0; b < 3; ++b) {
    for (i = 0; i < FEW; ++i) {
      wrong += all_few[b * FEW + i] != (float)(1000 * b + i);
    }
    for (i = 0; i < MANY; ++i) {
      wrong += all_many[b * MANY + i] != (float)(i % 1000 + b);
    }
  }
  CHECK(wrong == 0);
  CHECK(result.contributor_count == 3 && result.scratch_bytes == 0 && result.attempts == 1);
  hashes[member->index] = result.hash;
  free(many);
  free(all_many);
}

CASE(an_all_gather_gives_every_member_every_block_of_each_buffer) {
  struct cluster c;
  uint64_t hashes[3] = {0, 0, 0};
  REQUIRE(cluster_start(&c, 3));
  each(&c, gather_two, hashes);
  CHECK(hashes[0] != 0 && hashes[0] == hashes[1] && hashes[1] == hashes[2]);
  cluster_stop(&c);
}

static void scatter_two(struct member* member) {
  size_t blocks, b;
  const size_t mine = my_block(member->comm, &blocks);
  double few[3 * FEW], my_few[FEW], *many = malloc(3 * MANY * sizeof *many), *my_many = malloc(MANY * sizeof *many);
  seaway_buffer in[2] = {{few, 3 * FEW, SEAWAY_F64, SEAWAY_HOST}, {many, 3 * MANY, SEAWAY_F64, SEAWAY_HOST}};
  seaway_buffer out[2] = {{my_few, FEW, SEAWAY_F64, SEAWAY_HOST}, {my_many, MANY, SEAWAY_F64, SEAWAY_HOST}};
  seaway_options options;
  seaway_result result;
  uint64_t i, wrong = 0;
  seaway_options_init(&options, sizeof options);
  seaway_result_init(&result, sizeof result);
  options.weighted = 1;
  options.weight = (double)(mine + 1); /* 1, 2, 3: of values 0, 6, 12 more than the rest the average is 8 more */
  for (b = 0; b < 3; ++b) {
    for (i = 0; i < FEW; ++i) {
      few[b * FEW + i] = (double)(6 * mine + 100 * b + i);
    }
    for (i = 0; i < MANY; ++i) {
      many[b * MANY + i] = (double)(6 * mine + 100 * b + i % 50);
    }
  }
  CHECK_OK(member->comm, seaway_reduce_scatter(member->comm, &result, out, in, 2, SEAWAY_AVG, &options));
  for (i = 0; i < FEW; ++i) {
    wrong += my_few[i] != (double)(8 + 100 * mine + i);
  }
  for (i = 0; i < MANY; ++i) {
    wrong += my_many[i] != (double)(8 + 100 * mine + i % 50);
  }
  CHECK(wrong == 0);
  CHECK(result.contributor_count == 3 && result.weight_sum == 6 && result.hash != 0);
  CHECK(few[0] == (double)(6 * mine)); /* what goes in stays */
  free(many);
  free(my_many);
}

CASE(a_reduce_scatter_gives_each_member_the_reduction_of_its_block_of_each_buffer) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, scatter_two, NULL);
  cluster_stop(&c);
}

/* One of three is gone before: the number of blocks stays, its own is zeros, and goes to nobody. */
static void without_the_third(struct member* member) {
  size_t blocks, i;
  const size_t mine = my_block(member->comm, &blocks);
  int64_t x[3] = {5, 6, 7}, all[3] = {9, 9, 9}, block = 9;
  seaway_buffer in = {x, 1, SEAWAY_I64, SEAWAY_HOST}, out = {all, 3, SEAWAY_I64, SEAWAY_HOST};
  uint64_t contributors = 0;
  seaway_op* op = NULL;
  if (member->index == 2) {
    return;
  }
  CHECK(blocks == 3);
  CHECK_OK(member->comm, seaway_all_gather_start(member->comm, &op, &out, &in, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_test(op, NULL));
  seaway_free(op);
  for (i = 0; i < 3; ++i) {
    contributors += all[i] == 5;
    CHECK(all[i] == 5 || all[i] == 0);
  }
  CHECK(all[mine] == 5 && contributors == 2);
  in.count = 3, out.data = &block, out.count = 1;
  CHECK_OK(member->comm, seaway_reduce_scatter_start(member->comm, &op, &out, &in, 1, SEAWAY_SUM, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_test(op, NULL));
  seaway_free(op);
  CHECK(block == 2 * x[mine]);
}

CASE(the_number_of_blocks_outlives_a_loss) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  cluster_last_leaves(&c);
  each(&c, without_the_third, NULL);
  cluster_stop(&c);
}

CASE(ops_of_blocks_name_what_is_wrong) {
  struct cluster c;
  float x[8] = {0}, y[8] = {0};
  double z[8] = {0};
  seaway_buffer in = {x, 4, SEAWAY_F32, SEAWAY_HOST}, out = {y, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_op* op = NULL;
  seaway_comm* comm;
  seaway_view* view = NULL;
  size_t count = 0;
  REQUIRE(cluster_start(&c, 2));
  comm = c.comms[0];
  CHECK_INVALID(comm, "out is NULL", seaway_all_gather(comm, NULL, NULL, &in, 1, NULL));
  CHECK_INVALID(comm, "out is NULL", seaway_reduce_scatter(comm, NULL, NULL, &in, 1, SEAWAY_SUM, NULL));
  CHECK_INVALID(comm, "in is NULL", seaway_all_gather(comm, NULL, &out, NULL, 1, NULL));
  CHECK_INVALID(comm, "count is 0", seaway_reduce_scatter(comm, NULL, &out, &in, 0, SEAWAY_SUM, NULL));
  CHECK_INVALID(comm, "op is NULL", seaway_all_gather_start(comm, NULL, &out, &in, 1, NULL));
  CHECK_INVALID(comm, "out[0].count is 4, and in[0].count is 4: it must be 2 times that",
                seaway_all_gather_start(comm, &op, &out, &in, 1, NULL));
  CHECK_INVALID(comm, "in[0].count is 4, and out[0].count is 4: it must be 2 times that",
                seaway_reduce_scatter_start(comm, &op, &out, &in, 1, SEAWAY_SUM, NULL));
  CHECK(op == NULL);
  out.count = 2;
  CHECK_INVALID(comm, "reduction is 9", seaway_reduce_scatter(comm, NULL, &out, &in, 1, 9, NULL));
  out.data = x + 1;
  CHECK_INVALID(comm, "in[0] and out[0] overlap", seaway_reduce_scatter(comm, NULL, &out, &in, 1, SEAWAY_SUM, NULL));
  out.data = z, out.dtype = SEAWAY_F64;
  CHECK_INVALID(comm, "in[0].dtype is f32 but out[0].dtype is f64",
                seaway_reduce_scatter(comm, NULL, &out, &in, 1, SEAWAY_SUM, NULL));
  CHECK_OK(comm, seaway_view_get(comm, &view));
  CHECK_STATUS(SEAWAY_INVALID, seaway_view_blocks(view, NULL, 0, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_view_blocks(view, NULL, 0, &count));
  CHECK(count == 2);
  seaway_view_free(view);
  CHECK_STATUS(SEAWAY_CLOSED, seaway_view_blocks(view, NULL, 0, &count));
  CHECK_STATUS(SEAWAY_CLOSED, seaway_view_blocks(NULL, NULL, 0, &count));
  cluster_stop(&c);
}
