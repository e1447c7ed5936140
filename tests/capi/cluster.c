#include "cluster.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

const char* const* cluster_sites;
uint64_t cluster_kept_bytes;

/* Everything is tested as it is used, encrypted, and once more in plaintext. */
static int in_plaintext(void) { return getenv("SEAWAY_TEST_PLAINTEXT") != NULL; }

static seaway_comm* made(struct cluster* cluster, uint32_t min_world, const char* advertise, const char* site);

seaway_comm* cluster_comm(struct cluster* cluster, uint32_t min_world) {
  return cluster_comm_at(cluster, min_world, NULL);
}

seaway_comm* cluster_comm_at(struct cluster* cluster, uint32_t min_world, const char* advertise) {
  return made(cluster, min_world, advertise, NULL);
}

static seaway_comm* made(struct cluster* cluster, uint32_t min_world, const char* advertise, const char* site) {
  seaway_comm* comm = NULL;
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  if (in_plaintext()) {
    config.master = seaway_master_address(cluster->master);
    config.plaintext = 1;
  } else {
    config.join = seaway_master_join_string(cluster->master);
  }
  config.listen = "127.0.0.1:0";
  config.advertise = advertise == NULL ? NULL : &advertise;
  config.advertise_count = advertise != NULL;
  config.min_world = min_world;
  config.site = site;
  config.kept_bytes = cluster_kept_bytes == 0 ? config.kept_bytes : cluster_kept_bytes;
  CHECK_OK(comm, seaway_create(&comm, &config));
  return comm;
}

static void join(struct member* member) { CHECK_OK(member->comm, seaway_join(member->comm, PATIENCE)); }

int cluster_start(struct cluster* cluster, int count) {
  seaway_master_config config;
  seaway_error error;
  int i;
  memset(cluster, 0, sizeof *cluster);
  error.struct_size = sizeof error;
  seaway_master_config_init(&config, sizeof config);
  config.plaintext = in_plaintext();
  if (seaway_master_start(&cluster->master, &config, &error) != SEAWAY_OK) {
    check_failed(__FILE__, __LINE__, error.text);
    return 0;
  }
  cluster->count = count;
  for (i = 0; i < count; ++i) {
    cluster->comms[i] = made(cluster, (uint32_t)count, NULL, cluster_sites == NULL ? NULL : cluster_sites[i]);
  }
  cluster_sites = NULL;
  cluster_kept_bytes = 0;
  each(cluster, join, NULL);
  for (i = 0; i < count; ++i) {
    if (world_of(cluster->comms[i]) != (uint32_t)count) {
      check_failed(__FILE__, __LINE__, "not everybody is in the first roster");
      cluster_stop(cluster);
      return 0;
    }
  }
  return 1;
}

struct start {
  struct member member;
  void (*program)(struct member*);
};

static void* run(void* argument) {
  struct start* start = argument;
  start->program(&start->member);
  return NULL;
}

void each(struct cluster* cluster, void (*program)(struct member*), void* argument) {
  pthread_t threads[MOST_MEMBERS];
  struct start starts[MOST_MEMBERS];
  int i;
  for (i = 0; i < cluster->count; ++i) {
    starts[i].member.cluster = cluster;
    starts[i].member.index = i;
    starts[i].member.comm = cluster->comms[i];
    starts[i].member.argument = argument;
    starts[i].program = program;
    CHECK(pthread_create(&threads[i], NULL, run, &starts[i]) == 0);
  }
  for (i = 0; i < cluster->count; ++i) {
    pthread_join(threads[i], NULL);
  }
}

void cluster_last_leaves(struct cluster* cluster) {
  seaway_comm** last = &cluster->comms[--cluster->count];
  CHECK_STATUS(SEAWAY_OK, seaway_leave(*last, PATIENCE));
  CHECK_STATUS(SEAWAY_OK, seaway_destroy(*last));
  *last = NULL;
}

void cluster_stop(struct cluster* cluster) {
  int i;
  for (i = 0; i < cluster->count; ++i) {
    if (cluster->comms[i] != NULL) {
      CHECK_STATUS(SEAWAY_OK, seaway_destroy(cluster->comms[i]));
    }
  }
  CHECK_STATUS(SEAWAY_OK, seaway_master_stop(cluster->master));
}

static seaway_view_info info_of(seaway_comm* comm) {
  seaway_view* view = NULL;
  seaway_view_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  if (seaway_view_get(comm, &view) == SEAWAY_OK) {
    CHECK_STATUS(SEAWAY_OK, seaway_view_info_get(view, &info));
    seaway_view_free(view);
  }
  return info;
}

int are_everybodys(seaway_comm* comm, const float* x, size_t count) {
  uint64_t sums[2] = {0, 0};
  const seaway_buffer least = {&sums[0], 1, SEAWAY_U64, SEAWAY_HOST};
  const seaway_buffer most = {&sums[1], 1, SEAWAY_U64, SEAWAY_HOST};
  size_t i;
  for (i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    sums[0] = sums[0] * 31 + bits;
  }
  sums[1] = sums[0];
  CHECK_OK(comm, seaway_all_reduce(comm, NULL, NULL, &least, 1, SEAWAY_MIN, NULL));
  CHECK_OK(comm, seaway_all_reduce(comm, NULL, NULL, &most, 1, SEAWAY_MAX, NULL));
  return sums[0] == sums[1];
}

uint64_t self_of(seaway_comm* comm) { return info_of(comm).self; }
uint32_t rank_of(seaway_comm* comm) { return info_of(comm).rank; }
uint32_t world_of(seaway_comm* comm) { return info_of(comm).world_size; }
