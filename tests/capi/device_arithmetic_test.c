/* Arithmetic and hashes on a GPU that only looks like one: the host's bits, in the order of the caller's stream. */
#include <math.h>
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"
#include "fake_device.h"

enum { MANY = 3 * 16384 + 77, LEAF = 256 * 1024 / sizeof(float) };

/* The same numbers on the host and on the device. */
struct pair {
  seaway_buffer here;
  seaway_buffer there;
  void* view;
};

static struct pair make_pair(uint64_t count, int32_t dtype, unsigned seed) {
  const size_t size = dtype == SEAWAY_F64 ? sizeof(double) : sizeof(float);
  struct pair pair = {{calloc(count, size), count, dtype, SEAWAY_HOST},
                      {fake_device_allocate(count * size), count, dtype, SEAWAY_CUDA},
                      NULL};
  uint64_t i;
  for (i = 0; i < count; ++i) {
    const double number = (double)((int)((i + seed) * 7919 % 20011) - 10000) / 77;
    if (dtype == SEAWAY_F64) {
      ((double*)pair.here.data)[i] = number;
    } else {
      ((float*)pair.here.data)[i] = (float)number;
    }
  }
  pair.view = fake_device_view(pair.there.data);
  memcpy(pair.view, pair.here.data, count * size);
  return pair;
}

static int is_alike(const struct pair* pair) {
  return memcmp(pair->view, pair->here.data,
                pair->here.count * (pair->here.dtype == SEAWAY_F64 ? sizeof(double) : sizeof(float))) == 0;
}

CASE(arithmetic_on_a_device_has_the_bits_of_the_host) {
  const double factors[4] = {1. / 3, -2.5, 1e-40, 0};
  const int32_t dtypes[2] = {SEAWAY_F32, SEAWAY_F64};
  size_t which, i;
  for (which = 0; which < 2; ++which) {
    struct pair x[4];
    seaway_buffer here[4], there[4];
    void* const stream = fake_stream_open();
    int32_t nesterov;
    for (i = 0; i < 4; ++i) {
      x[i] = make_pair(MANY, dtypes[which], (unsigned)i);
      here[i] = x[i].here;
      there[i] = x[i].there;
    }
    for (nesterov = 0; nesterov <= 1; ++nesterov) {
      CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&here[0], &here[1], &here[2], .7, .9, nesterov, NULL));
      CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&there[0], &there[1], &there[2], .7, .9, nesterov, stream));
    }
    CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&here[3], here, factors, 4, NULL)); /* in place, what was just written */
    CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&there[3], there, factors, 4, stream));
    fake_stream_close(stream);
    for (i = 0; i < 4; ++i) {
      CHECK(is_alike(&x[i]));
      free(x[i].here.data);
    }
  }
}

CASE(norms_and_hashes_on_a_device_are_those_of_the_host) {
  const uint64_t counts[] = {1, 60, 61, 16384, MANY, LEAF, 2 * LEAF + 5};
  size_t i;
  for (i = 0; i < sizeof counts / sizeof *counts; ++i) {
    struct pair x = make_pair(counts[i], SEAWAY_F32, 3);
    double here = 0, there = 1;
    uint64_t digest[2] = {0, 0}, same[2] = {1, 1};
    const size_t crossed = fake_device_crossed();
    CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&here, &x.here, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&there, &x.there, NULL));
    CHECK(memcmp(&here, &there, sizeof here) == 0 && here > 0);
    CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &x.here, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_hash(same, &x.there, NULL));
    CHECK(digest[0] == same[0] && digest[1] == same[1]);
    CHECK(fake_device_crossed() - crossed < 300); /* a leaf of 240 bytes is hashed by the host */
    free(x.here.data);
  }
}

/* While the stream is held nothing is done and nothing is waited for; what comes after it in the stream finds its result. */
CASE(arithmetic_is_in_the_order_of_the_stream) {
  void* const stream = fake_stream_open();
  void* const held = fake_stream_hold(stream);
  struct pair x = make_pair(MANY, SEAWAY_F32, 0), y = make_pair(MANY, SEAWAY_F32, 1),
              z = make_pair(MANY, SEAWAY_F32, 2);
  const double twice = 2, half = .5;
  double sum = 0;
  uint64_t digest[2], same[2];
  size_t i;
  fake_stream_fill(stream, x.there.data, MANY, 3, 0);
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&y.there, &x.there, &twice, 1, stream));
  fake_stream_fill(stream, x.there.data, MANY, 100, 0);
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&z.there, &y.there, &half, 1, stream));
  CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&z.there, &x.there, &y.there, 1, 0, 0, stream));
  CHECK(is_alike(&x) && is_alike(&y) && is_alike(&z));
  fake_stream_release(held);
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &z.there, stream)); /* waits */
  CHECK(sum == 9. * MANY);
  for (i = 0; i < MANY; ++i) {
    ((float*)x.here.data)[i] = ((float*)y.here.data)[i] = 6;
    ((float*)z.here.data)[i] = -3;
  }
  CHECK(is_alike(&x) && is_alike(&y) && is_alike(&z));
  fake_stream_fill(stream, y.there.data, MANY, -3, .05);
  CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &y.there, stream));
  CHECK_STATUS(SEAWAY_OK, seaway_hash(same, &z.here, NULL));
  CHECK(digest[0] == same[0] && digest[1] == same[1]);
  fake_stream_close(stream);
  free(x.here.data);
  free(y.here.data);
  free(z.here.data);
}

/* A graph would write the answer again, whenever it runs. */
CASE(nothing_is_asked_in_a_stream_that_is_captured) {
  void* const stream = fake_stream_open();
  struct pair x = make_pair(MANY, SEAWAY_F32, 0), y = make_pair(MANY, SEAWAY_F32, 0);
  const double twice = 2;
  double sum = 7;
  uint64_t digest[2] = {7, 8};
  const size_t crossed = fake_device_crossed();
  fake_stream_is_captured(stream, 1);
  CHECK_STATUS(SEAWAY_NO_DEVICE, seaway_sqnorm(&sum, &x.there, stream));
  CHECK_STATUS(SEAWAY_NO_DEVICE, seaway_hash(digest, &x.there, stream));
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&y.there, &x.there, &twice, 1, stream));
  fake_stream_is_captured(stream, 0);
  CHECK(fake_device_crossed() == crossed);
  CHECK(sum == 7 && digest[0] == 7 && digest[1] == 8);
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&x.here, &x.here, &twice, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &y.there, stream));
  CHECK(memcmp(y.view, x.here.data, MANY * sizeof(float)) == 0);
  fake_stream_close(stream);
  free(x.here.data);
  free(y.here.data);
}

/* Without a stream: the default one. */
CASE(arithmetic_in_the_default_stream) {
  struct pair x = make_pair(1000, SEAWAY_F32, 0), y = make_pair(1000, SEAWAY_F32, 1);
  const double minus = -1;
  double sum = 0;
  fake_stream_fill(NULL, x.there.data, 1000, 4, .05);
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&y.there, &x.there, &minus, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &y.there, NULL));
  CHECK(sum == 16000);
  CHECK(((float*)y.view)[999] == -4);
  free(x.here.data);
  free(y.here.data);
}

static void share(struct member* member) {
  struct pair x = make_pair(2 * LEAF + 7, SEAWAY_F32, 5);
  const seaway_buffer* const buffers[2] = {&x.here, &x.there};
  size_t i;
  for (i = 0; i < 2; ++i) {
    seaway_state* state = NULL;
    seaway_sync_result result;
    uint64_t digest[2];
    seaway_sync_result_init(&result, sizeof result);
    CHECK_OK(member->comm, seaway_state_create(member->comm, &state));
    CHECK_OK(member->comm, seaway_state_add(state, "x", buffers[i]));
    CHECK_OK(member->comm, seaway_state_sync(state, &result, 1, NULL, PATIENCE));
    CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, buffers[1 - i], NULL));
    CHECK(digest[0] == result.digest[0] && digest[1] == result.digest[1]);
    CHECK_STATUS(SEAWAY_OK, seaway_state_free(state));
  }
  free(x.here.data);
}

CASE(a_hash_is_the_digest_of_a_shared_state_of_one_tensor) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 1));
  each(&c, share, NULL);
  cluster_stop(&c);
}

CASE(arithmetic_refuses_what_a_device_cannot_do) {
  enum { TERMS = 257 };
  struct pair x = make_pair(4, SEAWAY_F32, 0), y = make_pair(4, SEAWAY_F32, 1), z = make_pair(4, SEAWAY_F32, 2);
  seaway_buffer many[TERMS], mixed[2], wrong;
  double factors[TERMS], sum = 7;
  uint64_t digest[2] = {7, 8};
  size_t i;
  for (i = 0; i < TERMS; ++i) {
    many[i] = y.there;
    factors[i] = 1;
  }
  mixed[0] = y.there;
  mixed[1] = y.here;
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&x.there, many, factors, TERMS, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&x.there, mixed, factors, 2, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&x.here, mixed, factors, 2, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&x.there, &y.there, &z.here, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&x.here, &y.there, &z.there, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&x.there, &y.there, &z.there, INFINITY, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&x.there, &y.there, &y.there, .7, .9, 1, NULL));
  factors[0] = NAN;
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&x.there, many, factors, 1, NULL));
  factors[0] = 1;
  wrong = y.here, wrong.device = SEAWAY_CUDA; /* and it is not there */
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&x.there, &wrong, factors, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &wrong, NULL));
  wrong = y.there, wrong.data = (char*)y.there.data + 1, wrong.count = 3; /* not aligned */
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &wrong, NULL));
  CHECK(is_alike(&x) && is_alike(&y) && is_alike(&z));
  CHECK(sum == 7 && digest[0] == 7 && digest[1] == 8);
  /* As many terms as there may be; without elements it does not matter where. */
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&x.there, many, factors, TERMS - 1, NULL));
  for (i = 0; i < TERMS; ++i) {
    many[i] = y.here;
  }
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&x.here, many, factors, TERMS - 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &x.there, NULL)); /* waits */
  CHECK(is_alike(&x));
  wrong = y.there, wrong.data = NULL, wrong.count = 0;
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&wrong, &wrong, factors, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&wrong, &wrong, &wrong, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK(sum == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &wrong, NULL));
  CHECK(digest[0] == 0x99aa06d3014798d8);
  free(x.here.data);
  free(y.here.data);
  free(z.here.data);
}

CASE(a_device_that_fails_is_said_by_the_call_and_the_next_works) {
  struct pair x = make_pair(1000, SEAWAY_F32, 0), y = make_pair(1000, SEAWAY_F32, 1),
              z = make_pair(1000, SEAWAY_F32, 2);
  const double factor = 1;
  double sum = 7, right = 0;
  uint64_t digest[2] = {7, 8};
  fake_device_fails_after(0);
  CHECK_STATUS(SEAWAY_NO_DEVICE, seaway_lincomb(&x.there, &y.there, &factor, 1, NULL));
  CHECK_STATUS(SEAWAY_NO_DEVICE, seaway_outer_step(&x.there, &y.there, &z.there, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_NO_DEVICE, seaway_sqnorm(&sum, &x.there, NULL));
  CHECK_STATUS(SEAWAY_NO_DEVICE, seaway_hash(digest, &x.there, NULL));
  fake_device_fails_after(-1);
  CHECK(sum == 7 && digest[0] == 7 && digest[1] == 8);
  CHECK(is_alike(&x) && is_alike(&y) && is_alike(&z));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &x.there, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&right, &x.here, NULL));
  CHECK(sum == right);
  free(x.here.data);
  free(y.here.data);
  free(z.here.data);
}
