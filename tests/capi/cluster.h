/* A run inside one process: a master and up to 8 communicators, each member's program on a thread of its own.
 *
 *     struct cluster c;
 *     if (!cluster_start(&c, 3)) return;
 *     each(&c, program, argument);       // program(struct member *), once per member, at the same time
 *     cluster_stop(&c);
 */
#ifndef SEAWAY_TESTS_CLUSTER_H
#define SEAWAY_TESTS_CLUSTER_H

#include <seaway/master.h>
#include <seaway/seaway.h>

#define MOST_MEMBERS 8
#define PATIENCE 60.0 /* seconds; no wait is longer */

struct cluster {
  seaway_master* master;
  int count;
  seaway_comm* comms[MOST_MEMBERS];
};

struct member {
  struct cluster* cluster;
  int index; /* in cluster.comms; not the rank */
  seaway_comm* comm;
  void* argument;
};

/* The labels of their sites that the members of the next cluster state, in turn; NULL: none. Reset when it has started. */
extern const char* const* cluster_sites;
/* Their seaway_config.kept_bytes; 0: the default. Reset likewise. */
extern uint64_t cluster_kept_bytes;
/* Starts a master and lets `count` members join, all in the first roster. 1 if all went well. */
int cluster_start(struct cluster* cluster, int count);
/* A communicator for this run that has not joined. */
seaway_comm* cluster_comm(struct cluster* cluster, uint32_t min_world);
/* The same, which tells others that it can be reached at `advertise`. */
seaway_comm* cluster_comm_at(struct cluster* cluster, uint32_t min_world, const char* advertise);
void each(struct cluster* cluster, void (*program)(struct member*), void* argument);
/* The last of them leaves, and is destroyed. */
void cluster_last_leaves(struct cluster* cluster);
void cluster_stop(struct cluster* cluster);

/* Whether all members have these bits. A collective call. */
int are_everybodys(seaway_comm* comm, const float* x, size_t count);

/* The incarnation, and the rank, of a member. */
uint64_t self_of(seaway_comm* comm);
uint32_t rank_of(seaway_comm* comm);
uint32_t world_of(seaway_comm* comm);

#endif
