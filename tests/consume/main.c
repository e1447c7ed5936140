/* Somebody's first program, in C99: a run of one, whose master is in the same process. Built outside of seaway, against
 * what was installed. */
#include <seaway/master.h>
#include <seaway/seaway.h>
#include <stdio.h>
#include <string.h>

static int explain(seaway_comm* comm) {
  seaway_error error;
  error.struct_size = sizeof error;
  if (seaway_error_get(comm, NULL, &error) == SEAWAY_OK) {
    fprintf(stderr, "%s: %s\n", seaway_status_string(error.status), error.text);
  }
  seaway_destroy(comm);
  return 1;
}

int main(void) {
  float gradient[3] = {1, 2, 3};
  seaway_buffer x = {gradient, 3, SEAWAY_F32, SEAWAY_HOST};
  seaway_master* master = NULL;
  seaway_master_config master_config;
  seaway_comm* comm = NULL;
  seaway_config config;
  seaway_result result;

  if (strcmp(seaway_version(), SEAWAY_VERSION_STRING) != 0) {
    fprintf(stderr, "the header is %s, the library %s\n", SEAWAY_VERSION_STRING, seaway_version());
    return 1;
  }
  seaway_master_config_init(&master_config, sizeof master_config);
  master_config.plaintext = 1;
  if (seaway_master_start(&master, &master_config, NULL) != SEAWAY_OK) {
    return 1;
  }
  seaway_config_init(&config, sizeof config);
  config.master = seaway_master_address(master);
  config.listen = "127.0.0.1:0";
  config.plaintext = 1;
  if (seaway_create(&comm, &config) != SEAWAY_OK || seaway_join(comm, 60) != SEAWAY_OK) {
    return explain(comm);
  }
  seaway_result_init(&result, sizeof result);
  if (seaway_update(comm, NULL, 60) != SEAWAY_OK ||
      seaway_all_reduce(comm, &result, NULL, &x, 1, SEAWAY_AVG, NULL) != SEAWAY_OK) {
    return explain(comm);
  }
  printf("seaway %s: averaged over %zu: %g %g %g\n", seaway_version(), result.contributor_count, gradient[0],
         gradient[1], gradient[2]);
  seaway_destroy(comm);
  seaway_master_stop(master);
  return gradient[2] == 3 ? 0 : 1;
}
