/* Members behind home routers: nobody can dial them, and they reach one another over a third. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

#define COUNT 300000 /* several chunks */

/* How many of its lines say so. */
static int lines_with(seaway_comm* comm, const char* part) {
  seaway_event event;
  int lines = 0;
  event.struct_size = sizeof event;
  while (seaway_next_event(comm, &event) == SEAWAY_OK && event.kind != SEAWAY_EVENT_NONE) {
    lines += event.kind == SEAWAY_EVENT_LOG && strstr(event.text, part) != NULL;
  }
  return lines;
}

static void update_and_reduce(struct member* member) {
  float* values = malloc(COUNT * sizeof *values);
  seaway_buffer x = {NULL, COUNT, SEAWAY_F32, SEAWAY_HOST};
  int i, steps = 0, wrong = 0;
  REQUIRE(values != NULL);
  x.data = values;
  values[0] = 0;
  if (member->index > 0) {
    CHECK_OK(member->comm, seaway_join(member->comm, PATIENCE));
  }
  while (values[0] < 3 && steps++ < 1000000) {
    for (i = 0; i < COUNT; ++i) {
      values[i] = (float)(1 + i);
    }
    CHECK_OK(member->comm, seaway_update(member->comm, NULL, PATIENCE));
    CHECK_OK(member->comm, seaway_all_reduce(member->comm, NULL, NULL, &x, 1, SEAWAY_SUM, NULL));
  }
  for (i = 0; i < COUNT; ++i) {
    wrong += values[i] != 3 * (float)(1 + i);
  }
  CHECK(wrong == 0);
  free(values);
}

CASE(members_whom_nobody_can_dial_meet_at_one_that_they_reach) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 1));
  c.comms[1] = cluster_comm_at(&c, 1, "127.0.0.1:1"); /* nobody listens there */
  c.comms[2] = cluster_comm_at(&c, 1, "127.0.0.1:1");
  c.count = 3;
  each(&c, update_and_reduce, NULL);
  CHECK(lines_with(c.comms[0], "a relay for peers") == 2);
  CHECK(lines_with(c.comms[1], "is reached over peer") == 2);
  CHECK(lines_with(c.comms[2], "is reached over peer") == 2);
  cluster_stop(&c);
}
