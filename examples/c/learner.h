/* What is trained: logistic regression on points that each replica draws for itself. It knows nothing of seaway. */
#ifndef LEARNER_H
#define LEARNER_H

#include <stdint.h>

enum { PARAMETERS = 65, BATCH = 32 }; /* 64 weights and a bias */

typedef struct learner {
  float weights[PARAMETERS];
  float velocity[PARAMETERS]; /* of SGD with momentum */
  float gradient[PARAMETERS]; /* of the last batch */
  uint64_t random;
} learner;

/* Small random weights; `shard` draws other ones, and other points, than those of another shard. */
void learner_init(learner* self, uint64_t shard);
/* Fills gradient from a new batch. Returns the batch's mean loss, in nats. */
double learner_gradient(learner* self);
/* One step of SGD with what gradient holds. */
void learner_step(learner* self);
/* A hash of the weights and the velocity: equal bits, equal hash. */
uint64_t learner_hash(const learner* self);

#endif
