/* Data-parallel SGD in C99, of members that come and go.
 *
 *     trainer --steps 2000 --world 3 --shard 0                    starts the run's master too, and prints its join string
 *     SEAWAY_JOIN=... trainer --steps 2000 --world 3 --shard 1    joins it: before the others have begun, or at any time later
 *
 * The run begins when --world members are there. A member that dies is missed by nobody: the all-reduce in which it died ends over
 * the others. It ends when --steps steps are made and --world members are there (again), so that somebody who comes late has
 * something to do. */
#include <inttypes.h>
#include <seaway/master.h>
#include <seaway/seaway.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "learner.h"

typedef struct trainer {
  learner model;
  int64_t step;
  uint64_t steps;
  uint32_t world;
  uint64_t shard;
  seaway_comm* comm;
  seaway_state* state;
  uint32_t generation; /* the one in which the state was shared */
  uint64_t self;       /* and the incarnation */
} trainer;

static int explain(seaway_comm* comm, const char* doing) {
  seaway_error error;
  error.struct_size = sizeof error;
  if (seaway_error_get(comm, NULL, &error) == SEAWAY_OK) {
    fprintf(stderr, "trainer: %s: %s: %s\n", doing, seaway_status_string(error.status), error.text);
  }
  return 1;
}

/* Registers what all members share. */
static seaway_status share(trainer* self) {
  seaway_buffer weights = {self->model.weights, PARAMETERS, SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer velocity = {self->model.velocity, PARAMETERS, SEAWAY_F32, SEAWAY_HOST};
  seaway_buffer step = {&self->step, 1, SEAWAY_I64, SEAWAY_HOST};
  seaway_status status = seaway_state_create(self->comm, &self->state);
  if (status == SEAWAY_OK) status = seaway_state_add(self->state, "weights", &weights);
  if (status == SEAWAY_OK) status = seaway_state_add(self->state, "velocity", &velocity);
  if (status == SEAWAY_OK) status = seaway_state_add(self->state, "step", &step);
  return status;
}

/* The one point where others join. If somebody did, everybody gets the newest state; a newcomer's is the oldest. */
static seaway_status admit(trainer* self) {
  seaway_view* view = NULL;
  seaway_view_info info;
  seaway_status status = seaway_update(self->comm, &view, -1);
  if (status != SEAWAY_OK) {
    return status;
  }
  info.struct_size = sizeof info;
  status = seaway_view_info_get(view, &info);
  seaway_view_free(view);
  if (status != SEAWAY_OK) {
    return status;
  }
  if (info.generation != self->generation || info.self != self->self) {
    seaway_sync_result result;
    seaway_sync_result_init(&result, sizeof result);
    status = seaway_state_sync(self->state, &result, (uint64_t)self->step, NULL, -1);
    if (status != SEAWAY_OK) {
      return status;
    }
    self->generation = info.generation;
    self->self = info.self;
    printf("step %" PRId64 ": %u members%s\n", self->step, info.world_size,
           result.bytes_changed > 0 ? ", caught up" : "");
  }
  return SEAWAY_OK;
}

static seaway_status train_step(trainer* self, size_t* contributors) {
  seaway_buffer gradient = {self->model.gradient, PARAMETERS, SEAWAY_F32, SEAWAY_HOST};
  seaway_result result;
  double loss = learner_gradient(&self->model);
  seaway_status status;
  seaway_result_init(&result, sizeof result);
  status = seaway_all_reduce(self->comm, &result, NULL, &gradient, 1, SEAWAY_AVG, NULL);
  if (status != SEAWAY_OK) {
    return status;
  }
  *contributors = result.contributor_count;
  learner_step(&self->model);
  self->step++;
  if (result.lost_count > 0 || self->step % 250 == 0) {
    printf("step %" PRId64 ": loss %.4f, %zu contributed, %zu lost\n", self->step, loss, result.contributor_count,
           result.lost_count);
  }
  return SEAWAY_OK;
}

static int train(trainer* self) {
  for (;;) {
    size_t contributors = 0;
    seaway_status status = admit(self);
    if (status == SEAWAY_OK) {
      status = train_step(self, &contributors);
    }
    /* How many contributed is the same at everybody, so all end at the same point. A view is each one's own. */
    if (status == SEAWAY_OK && self->step >= (int64_t)self->steps && contributors >= self->world) {
      return 0;
    }
    switch (status) {
      case SEAWAY_OK:
      case SEAWAY_ABORTED: /* the gradient is lost, on everybody: the next one will do */
        break;
      case SEAWAY_EVICTED: /* this machine was asleep, for example: come back, and get the others' state */
      case SEAWAY_UNDECIDED:
      case SEAWAY_NOT_MEMBER:
        if (seaway_join(self->comm, 60) == SEAWAY_OK) {
          break;
        }
        return explain(self->comm, "joining again");
      default:
        return explain(self->comm, "training");
    }
  }
}

static int usage(void) {
  fprintf(stderr, "usage: trainer [--steps N] [--world N] [--shard N]\n");
  return 2;
}

static int read_options(trainer* self, int argc, char** argv) {
  int i;
  self->steps = 2000;
  self->world = 1;
  for (i = 1; i + 1 < argc; i += 2) {
    char* end = NULL;
    unsigned long long number = strtoull(argv[i + 1], &end, 10);
    if (end == argv[i + 1] || *end != '\0') {
      return usage();
    }
    if (strcmp(argv[i], "--steps") == 0) {
      self->steps = number;
    } else if (strcmp(argv[i], "--world") == 0) {
      self->world = (uint32_t)number;
    } else if (strcmp(argv[i], "--shard") == 0) {
      self->shard = number;
    } else {
      return usage();
    }
  }
  return i < argc ? usage() : 0;
}

int main(int argc, char** argv) {
  static trainer self;
  seaway_master* master = NULL;
  seaway_config config;
  int failed = read_options(&self, argc, argv);
  if (failed) {
    return failed;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  learner_init(&self.model, self.shard);

  seaway_config_init(&config, sizeof config);
  config.min_world = self.world;
  config.listen = "127.0.0.1:0"; /* between machines: leave it out */
  if (getenv("SEAWAY_JOIN") == NULL) {
    seaway_master_config master_config;
    seaway_master_config_init(&master_config, sizeof master_config);
    if (seaway_master_start(&master, &master_config, NULL) != SEAWAY_OK) {
      fprintf(stderr, "trainer: the master did not start\n");
      return 1;
    }
    config.join = seaway_master_join_string(master);
    printf("join string: %s\n", config.join);
  }
  failed = 1;
  if (seaway_create(&self.comm, &config) != SEAWAY_OK || seaway_join(self.comm, 60) != SEAWAY_OK) {
    explain(self.comm, "joining");
  } else if (share(&self) != SEAWAY_OK) {
    explain(self.comm, "sharing the state");
  } else {
    failed = train(&self);
  }
  if (!failed) {
    printf("done: step %" PRId64 ", state %016" PRIx64 "\n", self.step, learner_hash(&self.model));
    seaway_leave(self.comm, 2);
  }
  seaway_state_free(self.state);
  seaway_destroy(self.comm);
  seaway_master_stop(master);
  return failed;
}
