/* An exchange between members of which some have their buffers on a GPU. The GPU is none, see fake_device.h. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"
#include "fake_device.h"

enum { MEMBERS = 3, UNIT = 30011, STRIDE = (MEMBERS + 1) * UNIT };

/* Everybody sends to everybody, itself included: to the member of rank r, from that of rank s, (r + 1) * UNIT numbers r + 10 s. */
static void exchange(struct member* member) {
  const size_t bytes = MEMBERS * STRIDE * sizeof(float);
  const int is_on_device = member->index != 1;
  const int32_t device = is_on_device ? SEAWAY_CUDA : SEAWAY_HOST;
  float* const given = is_on_device ? fake_device_allocate(bytes) : calloc(1, bytes);
  float* const taken = is_on_device ? fake_device_allocate(bytes) : calloc(1, bytes);
  float* const gives = is_on_device ? fake_device_view(given) : given;
  const float* const takes = is_on_device ? fake_device_view(taken) : taken;
  const uint32_t rank = rank_of(member->comm);
  const size_t got = (size_t)(rank + 1) * UNIT;
  seaway_share sends[MEMBERS], receives[MEMBERS];
  seaway_view* view = NULL;
  uint32_t i;
  size_t at;
  CHECK_OK(member->comm, seaway_view_get(member->comm, &view));
  for (i = 0; i < MEMBERS; ++i) {
    const size_t sent = (size_t)(i + 1) * UNIT;
    const seaway_share send = {0, {given + i * STRIDE, sent, SEAWAY_F32, device}};
    const seaway_share receive = {0, {taken + i * STRIDE, got, SEAWAY_F32, device}};
    seaway_member other;
    memset(&other, 0, sizeof other);
    other.struct_size = sizeof other;
    CHECK_STATUS(SEAWAY_OK, seaway_view_member(view, &other, i));
    sends[i] = send;
    receives[i] = receive;
    sends[i].peer = receives[i].peer = other.peer;
    for (at = 0; at < sent; ++at) {
      gives[i * STRIDE + at] = (float)(i + 10 * rank);
    }
  }
  seaway_view_free(view);
  CHECK_OK(member->comm, seaway_exchange(member->comm, NULL, receives, MEMBERS, sends, MEMBERS, SEAWAY_F32, NULL));
  for (i = 0; i < MEMBERS; ++i) {
    const float* const from = takes + i * STRIDE;
    for (at = 0; at < got && from[at] == (float)(rank + 10 * i); ++at) {
    }
    CHECK(at == got);
    CHECK(from[got] == 0);
  }
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
  if (!is_on_device) {
    free(given);
    free(taken);
  }
}

CASE(an_exchange_between_devices_and_hosts) {
  struct cluster c;
  REQUIRE(cluster_start(&c, MEMBERS));
  each(&c, exchange, NULL);
  cluster_stop(&c);
}

/* Member 0 only sends, member 2 only receives, both on a GPU; member 1 does neither. Then the other way round, with an empty share. */
static void one_way(struct member* member) {
  const uint64_t* const peers = member->argument;
  float* const there = fake_device_allocate(UNIT * sizeof(float));
  float* const seen = fake_device_view(there);
  int turn;
  size_t at;
  for (turn = 0; turn < 2; ++turn) {
    const int from = turn == 0 ? 0 : 2, to = 2 - from;
    seaway_share shares[2] = {{0, {there, UNIT, SEAWAY_F32, SEAWAY_CUDA}}, {0, {NULL, 0, SEAWAY_F32, SEAWAY_CUDA}}};
    shares[0].peer = peers[member->index == from ? to : from];
    shares[1].peer = peers[1];
    for (at = 0; at < UNIT; ++at) {
      seen[at] = member->index == from ? (float)(at + 1) : 0;
    }
    CHECK_OK(member->comm, seaway_exchange(member->comm, NULL, shares, member->index == to ? 2 : 0, shares,
                                           member->index == from ? 2 : 0, SEAWAY_F32, NULL));
    for (at = 0; at < UNIT && seen[at] == (member->index == 1 ? 0 : (float)(at + 1)); ++at) {
    }
    CHECK(at == UNIT);
  }
  CHECK_OK(member->comm, seaway_barrier(member->comm, NULL, NULL));
}

CASE(an_exchange_in_which_a_member_with_a_device_only_sends_or_only_receives) {
  struct cluster c;
  uint64_t peers[MEMBERS];
  int i;
  REQUIRE(cluster_start(&c, MEMBERS));
  for (i = 0; i < MEMBERS; ++i) {
    peers[i] = self_of(c.comms[i]);
  }
  each(&c, one_way, peers);
  cluster_stop(&c);
}
