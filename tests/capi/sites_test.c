/* Members that say that they share a site. */
#include <seaway/seaway.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cluster.h"

#define LARGE (1 << 20) /* 4 MiB of f32: no one-shot plan */

static const char* const kSites[] = {"west", "west", "east", "east"};

/* What member `index` has, so that the order of additions shows. */
static float of(int index, uint64_t i) {
  return (float)((i * 7 + (uint64_t)index * 13) % 1000) / 3.0F * (index % 2 == 0 ? 1.0F : 1e4F);
}

struct outcome {
  seaway_result result;
  uint64_t wrong;
  char site[65];
  uint32_t rank;
};

static void reduce(struct member* member) {
  struct outcome* outcome = (struct outcome*)member->argument + member->index;
  float *in = malloc(LARGE * sizeof *in), *out = malloc(LARGE * sizeof *out);
  int index[MOST_MEMBERS], rank, i;
  seaway_view* view = NULL;
  seaway_member info;
  uint64_t at;
  seaway_buffer from = {in, LARGE, SEAWAY_F32, SEAWAY_HOST}, to = {out, LARGE, SEAWAY_F32, SEAWAY_HOST};
  for (at = 0; at < LARGE; ++at) {
    in[at] = of(member->index, at);
  }
  CHECK_OK(member->comm, seaway_view_get(member->comm, &view));
  info.struct_size = sizeof info;
  for (rank = 0; rank < 4; ++rank) {
    CHECK_STATUS(SEAWAY_OK, seaway_view_member(view, &info, (uint32_t)rank));
    for (i = 0; i < 4; ++i) {
      if (self_of(member->cluster->comms[i]) == info.peer) {
        index[rank] = i;
        CHECK(strcmp(info.site, kSites[i]) == 0);
      }
    }
  }
  seaway_view_free(view);
  seaway_result_init(&outcome->result, sizeof outcome->result);
  CHECK_OK(member->comm, seaway_all_reduce(member->comm, &outcome->result, &to, &from, 1, SEAWAY_SUM, NULL));
  /* Each site in the order of admission, then the sites: with two of them it does not matter which is first. */
  for (at = 0; at < LARGE; ++at) {
    float sums[2] = {0, 0};
    int some[2] = {0, 0};
    for (rank = 0; rank < 4; ++rank) {
      const int site = index[rank] / 2;
      sums[site] = some[site]++ == 0 ? of(index[rank], at) : sums[site] + of(index[rank], at);
    }
    outcome->wrong += out[at] != sums[0] + sums[1];
  }
  free(in);
  free(out);
}

CASE(members_that_share_a_site_sum_there_first) {
  struct cluster c;
  struct outcome outcomes[4];
  uint64_t sent = 0;
  int i;
  memset(outcomes, 0, sizeof outcomes);
  cluster_sites = kSites;
  REQUIRE(cluster_start(&c, 4));
  each(&c, reduce, outcomes);
  for (i = 0; i < 4; ++i) {
    CHECK(outcomes[i].wrong == 0);
    CHECK(outcomes[i].result.plan == SEAWAY_PLAN_HIERARCHICAL);
    CHECK(outcomes[i].result.hash == outcomes[0].result.hash && outcomes[i].result.contributor_count == 4);
    CHECK(outcomes[i].result.scratch_bytes == LARGE * sizeof(float)); /* its site's sums */
    sent += outcomes[i].result.bytes_sent;
  }
  /* At home everybody's chunks but the collectors' own, and the results of all; over the trunk the data once each way. */
  CHECK(sent == (2 + 2 + 2) * (uint64_t)LARGE * sizeof(float));
  cluster_stop(&c);
}

CASE(a_site_is_stated_by_the_config_or_by_the_environment) {
  seaway_config config;
  seaway_comm* comm = NULL;
  seaway_error error;
  char label[66];
  error.struct_size = sizeof error;
  memset(label, 'x', sizeof label);
  label[65] = 0;
  seaway_config_init(&config, sizeof config);
  config.master = "127.0.0.1:1";
  config.plaintext = 1;
  config.site = label;
  CHECK_STATUS(SEAWAY_INVALID, seaway_create(&comm, &config));
  CHECK_STATUS(SEAWAY_OK, seaway_error_get(comm, NULL, &error));
  CHECK(strstr(error.text, "site") != NULL && strstr(error.text, "64") != NULL);
  seaway_destroy(comm);
  label[64] = 0;
  CHECK_STATUS(SEAWAY_OK, seaway_create(&comm, &config));
  seaway_destroy(comm);
  label[64] = 'x';
  config.site = NULL;
  CHECK(setenv("SEAWAY_SITE", label, 1) == 0);
  CHECK_STATUS(SEAWAY_INVALID, seaway_create(&comm, &config));
  seaway_destroy(comm);
  config.site = "";
  CHECK_STATUS(SEAWAY_OK, seaway_create(&comm, &config));
  seaway_destroy(comm);
  CHECK(unsetenv("SEAWAY_SITE") == 0);
}
