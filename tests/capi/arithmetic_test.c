/* The outer step, linear combinations, squared norms and hashes: their known answers, and what they refuse. No run is needed. */
#include <fenv.h>
#include <math.h>
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define ROUNDS 3

/* theta 1, lr .7, the gradients .5, .5, -.25. */
static const double gradients[ROUNDS] = {.5, .5, -.25};
static const struct {
  const char* name;
  double momentum;
  int32_t nesterov;
  double thetas[ROUNDS];
} known[] = {
    {"SGD", 0, 0, {.65, .3, .475}},
    {"heavy ball", .9, 0, {.65, -.015, -.4385}},
    {"Nesterov", .9, 1, {.335, -.6135, -.81965}},
};

#define WIDE 77 /* several rows of any kernel, and a rest */

CASE(outer_steps_have_their_known_answers_in_both_dtypes) {
  size_t which, round, i;
  for (which = 0; which < sizeof known / sizeof *known; ++which) {
    float theta[WIDE], buf[WIDE] = {0}, gradient[WIDE];
    double theta64[WIDE], buf64[WIDE] = {0}, gradient64[WIDE];
    const seaway_buffer t = {theta, WIDE, SEAWAY_F32, SEAWAY_HOST}, b = {buf, WIDE, SEAWAY_F32, SEAWAY_HOST},
                        g = {gradient, WIDE, SEAWAY_F32, SEAWAY_HOST};
    const seaway_buffer t64 = {theta64, WIDE, SEAWAY_F64, SEAWAY_HOST}, b64 = {buf64, WIDE, SEAWAY_F64, SEAWAY_HOST},
                        g64 = {gradient64, WIDE, SEAWAY_F64, SEAWAY_HOST};
    const double momentum = known[which].momentum;
    double expected = 1, expected_buf = 0;
    for (i = 0; i < WIDE; ++i) {
      theta[i] = 1;
      theta64[i] = 1;
    }
    for (round = 0; round < ROUNDS; ++round) {
      uint64_t wrong = 0;
      for (i = 0; i < WIDE; ++i) {
        gradient[i] = (float)gradients[round];
        gradient64[i] = gradients[round];
      }
      CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&t, &b, &g, .7, momentum, known[which].nesterov, NULL));
      CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&t64, &b64, &g64, .7, momentum, known[which].nesterov, NULL));
      expected_buf = momentum * expected_buf + gradients[round];
      expected -= .7 * (known[which].nesterov ? momentum * expected_buf + gradients[round] : expected_buf);
      for (i = 0; i < WIDE; ++i) {
        wrong += theta64[i] != expected || buf64[i] != expected_buf; /* to the last bit */
        wrong += fabs(theta64[i] - known[which].thetas[round]) > 1e-15;
        wrong += fabs(theta[i] - known[which].thetas[round]) > 1e-6;
      }
      CHECK(wrong == 0);
    }
  }
}

CASE(a_linear_combination_is_a_fold_from_the_left_and_may_be_in_place) {
  float x[WIDE], y[WIDE], odd[WIDE + 1];
  double big[3] = {0x1p53, 0x1p53, 0x1p53}, one[3] = {1, 1, 1}, sum[3];
  const seaway_buffer terms[2] = {{x, WIDE, SEAWAY_F32, SEAWAY_HOST}, {y, WIDE, SEAWAY_F32, SEAWAY_HOST}};
  const seaway_buffer rising[3] = {
      {one, 3, SEAWAY_F64, SEAWAY_HOST}, {one, 3, SEAWAY_F64, SEAWAY_HOST}, {big, 3, SEAWAY_F64, SEAWAY_HOST}};
  const seaway_buffer falling[3] = {rising[2], rising[0], rising[1]};
  const seaway_buffer out = {sum, 3, SEAWAY_F64, SEAWAY_HOST};
  /* No alignment is needed. */
  const seaway_buffer aside = {(char*)odd + 1, WIDE, SEAWAY_F32, SEAWAY_HOST};
  const double half[2] = {.5, .5}, ones[3] = {1, 1, 1};
  size_t i;
  uint64_t wrong = 0;
  for (i = 0; i < WIDE; ++i) {
    x[i] = (float)i;
    y[i] = 3;
  }
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&aside, terms, half, 2, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&terms[1], terms, half, 2, NULL));
  for (i = 0; i < WIDE; ++i) {
    float at;
    memcpy(&at, (char*)odd + 1 + i * sizeof at, sizeof at);
    wrong += y[i] != ((float)i + 3) / 2 || at != y[i] || x[i] != (float)i;
  }
  CHECK(wrong == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&out, rising, ones, 3, NULL));
  CHECK(sum[0] == 0x1p53 + 2 && sum[2] == sum[0]);
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&out, falling, ones, 3, NULL));
  CHECK(sum[0] == 0x1p53);
  one[0] = NAN;
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&out, rising, (const double[]){0, 0, 0}, 3, NULL));
  CHECK(isnan(sum[0]) && sum[1] == 0);
}

CASE(the_callers_rounding_changes_no_bit) {
  const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  const double lr = .7, momentum = .9, factors[2] = {.1, 1. / 3};
  float theta[4][WIDE], buf[4][WIDE], mean[4][WIDE], gradient[WIDE];
  double sum[4];
  size_t mode, i;
  for (i = 0; i < WIDE; ++i) {
    gradient[i] = 1 / (float)(i + 3);
  }
  for (mode = 0; mode < 4; ++mode) {
    const seaway_buffer t = {theta[mode], WIDE, SEAWAY_F32, SEAWAY_HOST},
                        b = {buf[mode], WIDE, SEAWAY_F32, SEAWAY_HOST}, g = {gradient, WIDE, SEAWAY_F32, SEAWAY_HOST},
                        m = {mean[mode], WIDE, SEAWAY_F32, SEAWAY_HOST};
    const seaway_buffer terms[2] = {g, t};
    for (i = 0; i < WIDE; ++i) {
      theta[mode][i] = (float)i;
      buf[mode][i] = 1;
    }
    fesetround(modes[mode]);
    CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&t, &b, &g, lr, momentum, 1, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&m, terms, factors, 2, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum[mode], &g, NULL));
    CHECK(fegetround() == modes[mode]);
    fesetround(FE_TONEAREST);
    CHECK(memcmp(theta[mode], theta[0], sizeof theta[0]) == 0);
    CHECK(memcmp(buf[mode], buf[0], sizeof buf[0]) == 0);
    CHECK(memcmp(mean[mode], mean[0], sizeof mean[0]) == 0);
    CHECK(memcmp(&sum[mode], &sum[0], sizeof sum[0]) == 0);
  }
}

CASE(a_squared_norm_adds_up_by_blocks) {
  enum { BLOCK = 16384 };
  float* const x = calloc(2 * BLOCK + 2, sizeof *x);
  const seaway_buffer all = {x, 2 * BLOCK + 2, SEAWAY_F32, SEAWAY_HOST},
                      rest = {x + 1, 2 * BLOCK + 1, SEAWAY_F32, SEAWAY_HOST};
  double sum = 0;
  x[0] = 0x1p27f;
  x[BLOCK] = x[BLOCK + 1] = x[2 * BLOCK] = x[2 * BLOCK + 1] = 1;
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &all, NULL));
  CHECK(sum == 0x1p54); /* and 2 is a tie, and so once more */
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &rest, NULL));
  CHECK(sum == 4);
  x[5] = -3e38f; /* beyond f32 when squared */
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &rest, NULL));
  CHECK(sum == (double)x[5] * x[5]);
  x[5] = NAN;
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &rest, NULL));
  CHECK(isnan(sum));
  free(x);
}

/* A leaf is 256 KiB: the digest is that of its hash alone. */
CASE(a_hash_is_of_bytes_and_of_leaves) {
  enum { LEAF = 256 * 1024 };
  uint8_t* const x = calloc(2 * LEAF + 1, 1);
  seaway_buffer of = {x, LEAF, SEAWAY_U8, SEAWAY_HOST};
  uint64_t first[2], digest[2], last[2];
  CHECK_STATUS(SEAWAY_OK, seaway_hash(first, &of, NULL));
  of.dtype = SEAWAY_F64, of.count = LEAF / 8;
  CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &of, NULL));
  CHECK(digest[0] == first[0] && digest[1] == first[1]);
  of.dtype = SEAWAY_U8, of.count = 2 * LEAF;
  CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &of, NULL));
  CHECK(digest[0] != first[0] && digest[1] != first[1]);
  of.count = 2 * LEAF + 1;
  CHECK_STATUS(SEAWAY_OK, seaway_hash(last, &of, NULL));
  x[2 * LEAF] = 1;
  CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &of, NULL));
  CHECK(digest[0] != last[0] && digest[1] != last[1]);
  free(x);
}

CASE(vectors_without_elements_are_no_error) {
  const seaway_buffer none = {NULL, 0, SEAWAY_F32, SEAWAY_HOST};
  const double factor = 1;
  double sum = 1;
  uint64_t digest[2];
  CHECK_STATUS(SEAWAY_OK, seaway_outer_step(&none, &none, &none, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_lincomb(&none, &none, &factor, 1, NULL));
  CHECK_STATUS(SEAWAY_OK, seaway_sqnorm(&sum, &none, NULL));
  CHECK(sum == 0);
  CHECK_STATUS(SEAWAY_OK, seaway_hash(digest, &none, NULL));
  CHECK(digest[0] == 0x99aa06d3014798d8 && digest[1] == 0x6001c324468d497f); /* XXH3-128 of nothing */
}

CASE(arithmetic_refuses_what_it_cannot_do_and_writes_nothing) {
  float x[4] = {1, 2, 3, 4}, y[4] = {5, 6, 7, 8}, z[4] = {9, 10, 11, 12};
  const float before[4] = {1, 2, 3, 4};
  const seaway_buffer a = {x, 4, SEAWAY_F32, SEAWAY_HOST}, b = {y, 4, SEAWAY_F32, SEAWAY_HOST},
                      c = {z, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer wrong;
  const double factors[2] = {1, 1}, infinite[2] = {1, INFINITY}, large[2] = {1, 1e39};
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(NULL, &b, &c, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, NULL, &c, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, NULL, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &a, &c, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &a, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &b, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &c, NAN, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &c, .7, INFINITY, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &c, 1e39, .9, 1, NULL)); /* more than an f32 holds */
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &c, .7, .9, 2, NULL));
  wrong = c, wrong.count = 3;
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &wrong, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, &wrong, factors, 1, NULL));
  wrong = c, wrong.dtype = SEAWAY_I32;
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &wrong, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&wrong, &wrong, factors, 1, NULL));
  wrong = c, wrong.device = 1;
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &wrong, .7, .9, 1, NULL));
  wrong = c, wrong.data = NULL;
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &wrong, .7, .9, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(NULL, &b, factors, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, NULL, factors, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, &b, NULL, 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, &b, factors, 0, NULL));
  {
    const seaway_buffer both[2] = {b, c}, aside = {x + 1, 3, SEAWAY_F32, SEAWAY_HOST},
                        part = {x, 3, SEAWAY_F32, SEAWAY_HOST};
    CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, both, infinite, 2, NULL));
    CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, both, large, 2, NULL));
    CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&part, &aside, factors, 1, NULL));
    CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&aside, &part, factors, 1, NULL));
  }
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, &b, factors, (size_t)(1 << 20) + 1, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_lincomb(&a, &b, factors, 1, x)); /* the host has no streams */
  CHECK_STATUS(SEAWAY_INVALID, seaway_outer_step(&a, &b, &c, .7, .9, 1, x));
  CHECK(memcmp(x, before, sizeof x) == 0);
}

CASE(norms_and_hashes_refuse_what_they_cannot_do_and_write_nothing) {
  float x[4] = {1, 2, 3, 4};
  const seaway_buffer a = {x, 4, SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer wrong = a;
  double sum = 7;
  uint64_t digest[2] = {7, 8};
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(NULL, &a, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, NULL, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &a, x));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(NULL, &a, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, NULL, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &a, x));
  wrong.dtype = SEAWAY_F64;
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  wrong.dtype = 99;
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &wrong, NULL));
  wrong = a, wrong.device = 2;
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &wrong, NULL));
  wrong = a, wrong.data = NULL;
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &wrong, NULL));
  wrong = a, wrong.count = UINT64_MAX;
  CHECK_STATUS(SEAWAY_INVALID, seaway_sqnorm(&sum, &wrong, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_hash(digest, &wrong, NULL));
  CHECK(sum == 7 && digest[0] == 7 && digest[1] == 8);
}
