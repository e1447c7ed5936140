#include "learner.h"

#include <math.h>
#include <string.h>

/* xorshift64*: a number in [-1, 1). */
static float draw(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (float)((double)((*state * 2685821657736338717u) >> 40) / (1 << 23) - 1);
}

void learner_init(learner* self, uint64_t shard) {
  int i;
  memset(self, 0, sizeof *self);
  self->random = (shard + 1) * 0x9e3779b97f4a7c15u;
  for (i = 0; i < PARAMETERS; i++) {
    self->weights[i] = 0.1f * draw(&self->random);
  }
}

double learner_gradient(learner* self) {
  double loss = 0;
  int i, n;
  memset(self->gradient, 0, sizeof self->gradient);
  for (n = 0; n < BATCH; n++) {
    float x[PARAMETERS], logit = 0, truth = 0, label, probability;
    for (i = 0; i < PARAMETERS; i++) {
      x[i] = i + 1 < PARAMETERS ? draw(&self->random) : 1;
      logit += self->weights[i] * x[i];
      truth += (i % 2 != 0 ? 1.0f : -1.0f) * x[i]; /* what is to be found */
    }
    label = truth > 0 ? 1 : 0;
    probability = 1 / (1 + expf(-logit));
    loss -= log((label > 0 ? probability : 1 - probability) + 1e-9);
    for (i = 0; i < PARAMETERS; i++) {
      self->gradient[i] += (probability - label) * x[i] / BATCH;
    }
  }
  return loss / BATCH;
}

void learner_step(learner* self) {
  int i;
  for (i = 0; i < PARAMETERS; i++) {
    self->velocity[i] = 0.9f * self->velocity[i] + self->gradient[i];
    self->weights[i] -= 0.05f * self->velocity[i];
  }
}

static uint64_t fnv1a(uint64_t hash, const void* data, size_t size) {
  const unsigned char* bytes = data;
  while (size-- > 0) {
    hash = (hash ^ *bytes++) * 0x100000001b3u;
  }
  return hash;
}

uint64_t learner_hash(const learner* self) {
  return fnv1a(fnv1a(0xcbf29ce484222325u, self->weights, sizeof self->weights), self->velocity, sizeof self->velocity);
}
