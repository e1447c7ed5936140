/* Buffers on a GPU, on a device that only looks like one: the host dies when it touches them itself. */
#include <pthread.h>
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"
#include "fake_device.h"

enum { COUNT = 400000, PIECE = 150001 };

/* Before the library looks for it. */
__attribute__((constructor)) static void choose_the_fake(void) { setenv("SEAWAY_CUDA_LIBRARY", FAKE_DEVICE, 1); }

/* Of a member's own: on the device at the even ones, on the host at the others. */
struct memory {
  float* data;
  float* view;
  int32_t device;
};

static struct memory allocate(const struct member* member, size_t count) {
  struct memory memory;
  memory.device = member->index % 2 == 0 ? SEAWAY_CUDA : SEAWAY_HOST;
  if (memory.device == SEAWAY_CUDA) {
    memory.data = fake_device_allocate(count * sizeof(float));
    memory.view = fake_device_view(memory.data);
  } else {
    memory.data = memory.view = calloc(count, sizeof(float));
  }
  return memory;
}

static void deallocate(struct memory* memory) {
  if (memory->device == SEAWAY_HOST) {
    free(memory->data);
  }
}

static void fill(float* x, int member) {
  int i;
  for (i = 0; i < COUNT; ++i) {
    x[i] = (float)(i % 1000 * (member + 1));
  }
}

static int all_sums(const float* x, int members) {
  int i, weights = members * (members + 1) / 2;
  for (i = 0; i < COUNT && x[i] == (float)(i % 1000 * weights); ++i) {
  }
  return i == COUNT;
}

/* Out of place, in two pieces and in place, and over a codec: the bits are those of the host's members. */
static void reduce(struct member* member) {
  const int32_t codec = *(const int32_t*)member->argument;
  const int members = member->cluster->count;
  struct memory x = allocate(member, COUNT), y = allocate(member, COUNT), residual = allocate(member, COUNT);
  seaway_buffer in[2] = {{x.data, PIECE, SEAWAY_F32, x.device}, {x.data + PIECE, COUNT - PIECE, SEAWAY_F32, x.device}};
  seaway_buffer out[2] = {{y.data, PIECE, SEAWAY_F32, y.device}, {y.data + PIECE, COUNT - PIECE, SEAWAY_F32, y.device}};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.codec_up = codec;
  options.codec_down = codec;
  options.rounding = codec == SEAWAY_CODEC_NONE ? SEAWAY_NEAREST : SEAWAY_STOCHASTIC;
  options.residual = codec == SEAWAY_CODEC_NONE ? NULL : residual.data;
  fill(x.view, member->index);
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, out, in, 2, SEAWAY_SUM, &options));
  CHECK(codec != SEAWAY_CODEC_NONE || all_sums(y.view, members));
  CHECK(x.view[999] == (float)(999 * (member->index + 1)));
  if (codec != SEAWAY_CODEC_NONE) { /* what was lost was kept, for the next time */
    int i, kept = 0;
    for (i = 0; i < COUNT; ++i) {
      kept += residual.view[i] != 0;
    }
    CHECK(kept > 0);
  }
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, in, 2, SEAWAY_SUM, &options));
  CHECK(codec != SEAWAY_CODEC_NONE || all_sums(x.view, members));
  CHECK(are_everybodys(member->comm, y.view, COUNT));
  CHECK(are_everybodys(member->comm, x.view, COUNT));
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
  deallocate(&x);
  deallocate(&y);
  deallocate(&residual);
}

CASE(an_all_reduce_between_devices_and_hosts) {
  struct cluster c;
  int32_t codec;
  int members;
  for (members = 2; members <= 3; ++members) {
    REQUIRE(cluster_start(&c, members));
    for (codec = SEAWAY_CODEC_NONE; codec <= SEAWAY_CODEC_Q4; ++codec) {
      each(&c, reduce, &codec);
    }
    cluster_stop(&c);
  }
}

static pthread_mutex_t come_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t come_changed = PTHREAD_COND_INITIALIZER;
static int come_done;

/* Member 2 posts when the others are done: its library holds the result, in the host's memory, and then brings it to its device. */
static void come_late(struct member* member) {
  struct memory x = allocate(member, COUNT);
  const seaway_buffer buffer = {x.data, COUNT, SEAWAY_F32, x.device};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.codec_up = options.codec_down = *(const int32_t*)member->argument;
  options.quorum = 2;
  fill(x.view, member->index);
  pthread_mutex_lock(&come_mutex);
  while (member->index == 2 && come_done < 2) {
    pthread_cond_wait(&come_changed, &come_mutex);
  }
  pthread_mutex_unlock(&come_mutex);
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, &options));
  pthread_mutex_lock(&come_mutex);
  ++come_done;
  pthread_cond_broadcast(&come_changed);
  pthread_mutex_unlock(&come_mutex);
  CHECK(x.view[999] > 2.9F * 999 && x.view[999] < 3.1F * 999);
  CHECK(are_everybodys(member->comm, x.view, COUNT));
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
  deallocate(&x);
}

CASE(whoever_comes_late_with_a_device_gets_what_was_held) {
  struct cluster c;
  int32_t codec;
  REQUIRE(cluster_start(&c, 3));
  for (codec = SEAWAY_CODEC_NONE; codec <= SEAWAY_CODEC_Q8; ++codec) {
    come_done = 0;
    each(&c, come_late, &codec);
  }
  cluster_stop(&c);
}

/* Where the device has no memory for the library the host's serves. */
CASE(an_all_reduce_when_the_device_is_full) {
  struct cluster c;
  int32_t codec;
  REQUIRE(cluster_start(&c, 3));
  fake_device_is_full(1);
  for (codec = SEAWAY_CODEC_NONE; codec <= SEAWAY_CODEC_Q4; ++codec) {
    each(&c, reduce, &codec);
  }
  fake_device_is_full(0);
  cluster_stop(&c);
}

/* Some at once, again and again, and the requests for memory of each round. */
static void repeat(struct member* member) {
  enum { AT_ONCE = 3, ROUNDS = 6 };
  size_t* const requests = member->argument;
  struct memory x[AT_ONCE];
  seaway_op* ops[AT_ONCE];
  seaway_options options;
  int i, round;
  seaway_options_init(&options, sizeof options);
  options.codec_up = options.codec_down = SEAWAY_CODEC_Q8;
  for (i = 0; i < AT_ONCE; ++i) {
    x[i] = allocate(member, COUNT);
  }
  for (round = 0; round < ROUNDS; ++round) {
    for (i = 0; i < AT_ONCE; ++i) {
      const seaway_buffer buffer = {x[i].data, COUNT, SEAWAY_F32, x[i].device};
      options.tag = (uint64_t)i;
      CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &ops[i], NULL, &buffer, 1, SEAWAY_AVG, &options));
    }
    CHECK_STATUS(SEAWAY_OK, seaway_wait(ops, AT_ONCE, SEAWAY_ALL, PATIENCE));
    for (i = 0; i < AT_ONCE; ++i) {
      CHECK_STATUS(SEAWAY_OK, seaway_test(ops[i], NULL));
      seaway_free(ops[i]);
    }
    CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
    if (x[0].device == SEAWAY_CUDA) {
      requests[round] = fake_device_requests();
    }
  }
  for (i = 0; i < AT_ONCE; ++i) {
    deallocate(&x[i]);
  }
}

/* Also where more is in use at once than is kept of the host's. */
CASE(ops_that_come_again_take_no_new_memory) {
  struct cluster c;
  size_t requests[6] = {0};
  cluster_kept_bytes = 1;
  REQUIRE(cluster_start(&c, 2));
  each(&c, repeat, requests);
  cluster_stop(&c);
  CHECK(requests[0] > 0);
  CHECK(requests[5] - requests[2] <= 2); /* as many are not at work at once in every round */
}

/* A large op once, then smaller ones again and again, one after the other. */
static void repeat_smaller(struct member* member) {
  enum { ROUNDS = 6 };
  size_t* const requests = member->argument;
  struct memory x = allocate(member, COUNT);
  seaway_options options;
  int round;
  seaway_options_init(&options, sizeof options);
  options.codec_up = options.codec_down = SEAWAY_CODEC_Q8;
  for (round = 0; round < ROUNDS; ++round) {
    const seaway_buffer buffer = {x.data, round == 0 ? COUNT : COUNT / 3, SEAWAY_F32, x.device};
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_AVG, &options));
    CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
    if (x.device == SEAWAY_CUDA) {
      requests[round] = fake_device_requests();
    }
  }
  deallocate(&x);
}

CASE(smaller_ops_that_come_again_after_a_large_one_take_no_new_memory) {
  struct cluster c;
  size_t requests[6] = {0};
  cluster_kept_bytes = 1;
  REQUIRE(cluster_start(&c, 2));
  each(&c, repeat_smaller, requests);
  cluster_stop(&c);
  CHECK(requests[0] > 0);
  CHECK(requests[5] == requests[2]);
}

static void other_ops(struct member* member) {
  const int members = member->cluster->count;
  struct memory x = allocate(member, COUNT), all = allocate(member, (size_t)COUNT * (size_t)members);
  const seaway_buffer block = {x.data, COUNT, SEAWAY_F32, x.device};
  const seaway_buffer whole = {all.data, (uint64_t)COUNT * (uint64_t)members, SEAWAY_F32, all.device};
  const uint32_t rank = rank_of(member->comm);
  const uint64_t self = self_of(member->comm);
  seaway_view* view = NULL;
  seaway_member other;
  uint32_t i;
  memset(&other, 0, sizeof other);
  other.struct_size = sizeof other;
  CHECK_OK(member->comm, seaway_view_get(member->comm, &view));
  CHECK_STATUS(SEAWAY_OK, seaway_view_member(view, &other, 0));
  fill(x.view, (int)rank);
  CHECK_OK(member->comm, seaway_all_gather(member->comm, NULL, &whole, &block, 1, NULL));
  for (i = 0; i < (uint32_t)members; ++i) {
    CHECK(all.view[(size_t)i * COUNT + 999] == (float)(999 * (i + 1)));
  }
  CHECK_OK(member->comm, seaway_reduce_scatter(member->comm, NULL, &block, &whole, 1, SEAWAY_SUM, NULL));
  CHECK(x.view[999] == (float)(999 * (rank + 1)) * (float)members);
  CHECK_OK(member->comm, seaway_broadcast(member->comm, NULL, &block, 1, other.peer, NULL));
  CHECK(x.view[999] == (float)(999 * members));
  if (self == other.peer) {
    CHECK_STATUS(SEAWAY_OK, seaway_view_member(view, &other, 1));
    CHECK_OK(member->comm, seaway_send(member->comm, NULL, &block, 1, other.peer, NULL));
  } else if (rank == 1) {
    fill(x.view, 5);
    CHECK_OK(member->comm, seaway_recv(member->comm, NULL, &block, 1, other.peer, NULL));
    CHECK(x.view[999] == (float)(999 * members));
  }
  seaway_view_free(view);
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
  deallocate(&x);
  deallocate(&all);
}

CASE(the_other_ops_from_and_to_devices) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, other_ops, NULL);
  cluster_stop(&c);
}

/* Blocks over a codec: a reduce-scatter's are those of the all-reduce, whose contributions travel in the same way and which the host
 * adds up; of an all-gather everybody has the same. */
static void blocks(struct member* member) {
  enum { BLOCK = 300 * 256 };
  const int32_t codec = *(const int32_t*)member->argument;
  const int members = member->cluster->count;
  const uint32_t rank = rank_of(member->comm);
  const size_t count = (size_t)BLOCK * (size_t)members;
  struct memory x = allocate(member, count), y = allocate(member, count), z = allocate(member, BLOCK);
  const seaway_buffer input = {x.data, count, SEAWAY_F32, x.device}, sums = {y.data, count, SEAWAY_F32, y.device};
  const seaway_buffer block = {z.data, BLOCK, SEAWAY_F32, z.device};
  seaway_options options;
  size_t i;
  seaway_options_init(&options, sizeof options);
  options.codec_up = codec;
  for (i = 0; i < count; ++i) {
    x.view[i] = (float)((int)(i * 7919 % 1009) - 500) * (float)(rank + 1);
  }
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, &sums, &input, 1, SEAWAY_AVG, &options));
  CHECK_OK(member->comm, seaway_reduce_scatter(member->comm, NULL, &block, &input, 1, SEAWAY_AVG, &options));
  CHECK(memcmp(z.view, y.view + (size_t)BLOCK * rank, (size_t)BLOCK * sizeof(float)) == 0);
  CHECK_OK(member->comm, seaway_all_gather(member->comm, NULL, &sums, &block, 1, &options));
  for (i = 0; i < COUNT && i < count; ++i) {
    x.view[i] = y.view[i];
  }
  CHECK(count < COUNT || are_everybodys(member->comm, x.view, COUNT));
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
  deallocate(&x);
  deallocate(&y);
  deallocate(&z);
}

CASE(blocks_between_devices_and_hosts_over_codecs) {
  struct cluster c;
  int32_t codec;
  REQUIRE(cluster_start(&c, 6));
  for (codec = SEAWAY_CODEC_NONE; codec <= SEAWAY_CODEC_Q4; ++codec) {
    each(&c, blocks, &codec);
  }
  cluster_stop(&c);
}

/* Few elements: a chunk's hash is another function then. */
static void few(struct member* member) {
  const int members = member->cluster->count;
  struct memory x = allocate(member, 60);
  seaway_buffer buffer = {x.data, 0, SEAWAY_F32, x.device};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.codec_up = options.codec_down = SEAWAY_CODEC_BF16;
  for (buffer.count = 0; buffer.count <= 60; buffer.count += 4) {
    uint64_t i;
    for (i = 0; i < buffer.count; ++i) {
      x.view[i] = (float)i;
    }
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, &options));
    for (i = 0; i < buffer.count; ++i) {
      CHECK(x.view[i] == (float)i * (float)members);
    }
  }
  deallocate(&x);
}

CASE(few_elements_between_devices_and_hosts) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, few, NULL);
  cluster_stop(&c);
}

/* Between two devices, what is encoded there: a quarter of the bytes that cross the bus otherwise. */
static void cross(struct member* member) {
  const int32_t codec = *(const int32_t*)member->argument;
  float* const data = fake_device_allocate(COUNT * sizeof(float));
  const seaway_buffer buffer = {data, COUNT, SEAWAY_F32, SEAWAY_CUDA};
  seaway_options options;
  seaway_options_init(&options, sizeof options);
  options.codec_up = options.codec_down = codec;
  fill(fake_device_view(data), member->index);
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, &options));
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
}

CASE(of_q8_a_quarter_crosses_the_bus) {
  struct cluster c;
  int32_t codec = SEAWAY_CODEC_NONE;
  size_t plain, encoded;
  REQUIRE(cluster_start(&c, 2));
  plain = fake_device_crossed();
  each(&c, cross, &codec);
  plain = fake_device_crossed() - plain;
  codec = SEAWAY_CODEC_Q8;
  encoded = fake_device_crossed();
  each(&c, cross, &codec);
  encoded = fake_device_crossed() - encoded;
  CHECK(plain == 2 * 2 * COUNT * sizeof(float));
  CHECK((double)encoded <= .26 * (double)plain);
  CHECK((double)encoded > .25 * (double)plain);
  cluster_stop(&c);
}

/* What a stream has still to write is waited for. */
static void race(struct member* member) {
  struct memory x = allocate(member, COUNT);
  const seaway_buffer buffer = {x.data, COUNT, SEAWAY_F32, x.device};
  seaway_options options;
  int i;
  seaway_options_init(&options, sizeof options);
  for (i = 1; i <= 3; ++i) {
    void* const stream = x.device == SEAWAY_CUDA ? fake_stream_open() : NULL;
    int at = 0;
    if (stream != NULL) {
      fake_stream_fill(stream, x.data, COUNT, (float)i, .05);
    } else {
      for (at = 0; at < COUNT; ++at) {
        x.view[at] = (float)i;
      }
    }
    options.stream = stream;
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, &options));
    for (at = 0; at < COUNT && x.view[at] == (float)(i * member->cluster->count); ++at) {
    }
    CHECK(at == COUNT);
    if (stream != NULL) {
      fake_stream_close(stream);
    }
  }
  deallocate(&x);
}

CASE(a_stream_is_waited_for) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, race, NULL);
  cluster_stop(&c);
}

/* A shared state: two tensors and a small one, which members have on the device or on the host. Member 2 joins the others' state late:
 * one leaf of its weights differs, and all of its bias. Stream order counts here, too. */
static void sync_state(struct member* member) {
  enum { LEAF = 256 * 1024 / sizeof(float) };
  struct memory weights = allocate(member, COUNT), bias = allocate(member, 7), none = allocate(member, 1);
  const seaway_buffer buffers[] = {{weights.data, COUNT, SEAWAY_F32, weights.device},
                                   {bias.data, 7, SEAWAY_F32, bias.device},
                                   {none.data, 0, SEAWAY_F32, none.device}};
  void* const stream = weights.device == SEAWAY_CUDA ? fake_stream_open() : NULL;
  const size_t crossed = fake_device_crossed();
  seaway_sync_options options;
  seaway_sync_result result;
  seaway_state* state = NULL;
  int i;
  seaway_sync_options_init(&options, sizeof options);
  seaway_sync_result_init(&result, sizeof result);
  options.stream = stream;
  fill(weights.view, 1);
  for (i = 0; i < 7; ++i) {
    bias.view[i] = member->index == 2 ? -1 : (float)i;
  }
  if (member->index == 2) {
    fake_stream_fill(stream, weights.data + LEAF, 10, 5, .05);
  }
  CHECK_OK(member->comm, seaway_state_create(member->comm, &state));
  CHECK_OK(member->comm, seaway_state_add(state, "weights", &buffers[0]));
  CHECK_OK(member->comm, seaway_state_add(state, "bias", &buffers[1]));
  CHECK_OK(member->comm, seaway_state_add(state, "none", &buffers[2]));
  CHECK_OK(member->comm, seaway_state_sync(state, &result, 3, &options, PATIENCE));
  CHECK(result.bytes_changed == (member->index == 2 ? LEAF * sizeof(float) + 7 * sizeof(float) : 0));
  for (i = 0; i < 7; ++i) {
    CHECK(bias.view[i] == (float)i);
  }
  CHECK(weights.view[LEAF + 5] == (float)((LEAF + 5) % 1000 * 2));
  CHECK(are_everybodys(member->comm, weights.view, COUNT));
  /* Of a megabyte and a half: hashes, a leaf out at one member and in at another. */
  CHECK(fake_device_crossed() - crossed < 3 * LEAF * sizeof(float));
  CHECK_OK(member->comm, seaway_state_sync(state, &result, 4, &options, PATIENCE));
  CHECK(result.bytes_changed == 0 && result.revision == 4);
  CHECK_STATUS(SEAWAY_OK, seaway_state_free(state));
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
  if (stream != NULL) {
    fake_stream_close(stream);
  }
  deallocate(&weights);
  deallocate(&bias);
  deallocate(&none);
}

CASE(a_shared_state_on_devices_and_hosts) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 3));
  each(&c, sync_state, NULL);
  cluster_stop(&c);
}

/* Member 0's device fails in the middle: its op is undecided, and the other goes on without it. */
static void fail(struct member* member) {
  struct memory x = allocate(member, COUNT);
  const seaway_buffer buffer = {x.data, COUNT, SEAWAY_F32, x.device};
  fill(x.view, member->index);
  if (member->index == 0) {
    seaway_op* op = NULL;
    seaway_error error;
    memset(&error, 0, sizeof error);
    error.struct_size = sizeof error;
    CHECK_OK(member->comm, seaway_all_reduce_start(member->comm, &op, NULL, &buffer, 1, SEAWAY_SUM, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_wait(&op, 1, SEAWAY_ALL, PATIENCE));
    CHECK_STATUS(SEAWAY_UNDECIDED, seaway_test(op, NULL));
    CHECK_STATUS(SEAWAY_OK, seaway_error_get(NULL, op, &error));
    CHECK_CONTAINS(error.text, "the fake device was told to fail");
    CHECK(x.view[999] == 999);
    seaway_free(op);
  } else {
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &buffer, 1, SEAWAY_SUM, NULL));
    CHECK(x.view[999] == 2 * 999);
  }
  deallocate(&x);
}

CASE(a_device_that_fails_is_the_end_of_one_member) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 2));
  fake_device_fails_after(1);
  each(&c, fail, NULL);
  fake_device_fails_after(-1);
  cluster_stop(&c);
}
