/* Whole ops between members whose buffers are on a GPU and members whose are on the host, and the arithmetic: all have the same bits. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "capi/check.h"
#include "capi/cluster.h"
#include "gpu/e2e/memory.h"

enum { COUNT = 1 << 20 };

/* Nothing passes without one. */
__attribute__((constructor)) static void leave_without_a_gpu(void) {
  if (!gpu_is_there()) {
    exit(77);
  }
}

/* A member's vector, and where the library is to find it: on the GPU at the even ones. */
struct vector {
  float* here;
  seaway_buffer buffer;
};

static void open_vector(struct vector* v, const struct member* member) {
  v->here = malloc(COUNT * sizeof(float));
  v->buffer.count = COUNT;
  v->buffer.dtype = SEAWAY_F32;
  v->buffer.device = member->index % 2 == 0 ? SEAWAY_CUDA : SEAWAY_HOST;
  v->buffer.data = v->buffer.device == SEAWAY_CUDA ? gpu_allocate(COUNT * sizeof(float)) : v->here;
}

static void put(struct vector* v) {
  if (v->buffer.data != v->here) {
    gpu_copy(v->buffer.data, v->here, COUNT * sizeof(float));
  }
}

static void get(struct vector* v) {
  if (v->buffer.data != v->here) {
    gpu_copy(v->here, v->buffer.data, COUNT * sizeof(float));
  }
}

static void close_vector(struct vector* v) {
  if (v->buffer.data != v->here) {
    gpu_free(v->buffer.data);
  }
  free(v->here);
}

static void reduce(struct member* member) {
  const int members = member->cluster->count;
  struct vector x, y;
  int32_t codec;
  int i;
  open_vector(&x, member);
  open_vector(&y, member);
  for (codec = SEAWAY_CODEC_NONE; codec <= SEAWAY_CODEC_Q4; ++codec) {
    seaway_options options;
    seaway_options_init(&options, sizeof options);
    options.codec_up = options.codec_down = codec;
    options.rounding = codec == SEAWAY_CODEC_NONE ? SEAWAY_NEAREST : SEAWAY_STOCHASTIC;
    for (i = 0; i < COUNT; ++i) {
      x.here[i] = (float)((i % 2003 - 1000) * (member->index + 1));
    }
    put(&x);
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, &y.buffer, &x.buffer, 1, SEAWAY_SUM, &options));
    get(&y);
    for (i = 0; codec == SEAWAY_CODEC_NONE && i < COUNT; ++i) {
      CHECK(y.here[i] == (float)((i % 2003 - 1000) * (members * (members + 1) / 2)));
    }
    CHECK(are_everybodys(member->comm, y.here, COUNT));
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &x.buffer, 1, SEAWAY_AVG, &options));
    get(&x);
    CHECK(are_everybodys(member->comm, x.here, COUNT));
  }
  close_vector(&x);
  close_vector(&y);
}

CASE(all_reduces_between_a_gpu_and_hosts) {
  struct cluster c;
  int members;
  for (members = 2; members <= 3; ++members) {
    REQUIRE(cluster_start(&c, members));
    each(&c, reduce, NULL);
    cluster_stop(&c);
  }
}

static void sync_state(struct member* member) {
  struct vector x;
  seaway_state* state = NULL;
  seaway_sync_result result;
  int i;
  seaway_sync_result_init(&result, sizeof result);
  open_vector(&x, member);
  for (i = 0; i < COUNT; ++i) {
    x.here[i] = (float)i;
  }
  x.here[COUNT / 2] += member->index == 2 ? 1.0f : 0.0f;
  put(&x);
  CHECK_OK(member->comm, seaway_state_create(member->comm, &state));
  CHECK_OK(member->comm, seaway_state_add(state, "x", &x.buffer));
  CHECK_OK(member->comm, seaway_state_sync(state, &result, 1, NULL, PATIENCE));
  CHECK(result.bytes_changed == (member->index == 2 ? 256 * 1024 : 0));
  get(&x);
  CHECK(x.here[COUNT / 2] == (float)(COUNT / 2));
  CHECK(are_everybodys(member->comm, x.here, COUNT));
  CHECK_STATUS(SEAWAY_OK, seaway_state_free(state));
  close_vector(&x);
}

CASE(a_shared_state_between_a_gpu_and_hosts) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, sync_state, NULL);
  cluster_stop(&c);
}

/* In the default stream, which is waited for where a number is asked for. */
CASE(arithmetic_has_the_bits_of_the_host) {
  const double factors[3] = {1. / 3, -2.5, 1e-40};
  struct vector x[3];
  seaway_buffer here[3], there[3];
  size_t i;
  for (i = 0; i < 3; ++i) {
    struct member member;
    int at;
    member.index = 0;
    open_vector(&x[i], &member);
    there[i] = here[i] = x[i].buffer;
    here[i].data = x[i].here;
    here[i].device = SEAWAY_HOST;
    for (at = 0; at < COUNT; ++at) {
      x[i].here[at] = (float)((at + (int)i) % 20011 * 7919 % 20011 - 10000) / 77;
    }
    put(&x[i]);
  }
  CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&there[0], &there[1], &there[2], .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&here[0], &here[1], &here[2], .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&there[2], there, factors, 3, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&here[2], here, factors, 3, NULL));
  for (i = 0; i < 3; ++i) {
    double sums[2] = {0, 1};
    uint64_t digests[2][2] = {{0, 0}, {1, 1}};
    CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sums[0], &there[i], NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sums[1], &here[i], NULL));
    CHECK(sums[0] == sums[1]);
    CHECK_STATUS(SEAWAY_OK, seaway_hash(digests[0], &there[i], NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_hash(digests[1], &here[i], NULL));
    CHECK(memcmp(digests[0], digests[1], sizeof digests[0]) == 0);
    close_vector(&x[i]);
  }
}
