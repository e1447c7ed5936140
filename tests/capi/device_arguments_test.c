/* What a call says of buffers on a GPU that it cannot take, and whether there is one. The GPU is none, see fake_device.h. */
#include <seaway/seaway.h>

#include "check.h"
#include "cluster.h"
#include "fake_device.h"

static void refuse(struct member* member) {
  float here[4] = {0, 0, 0, 0};
  float* const there = fake_device_allocate(sizeof here);
  seaway_buffer buffers[2] = {{there, 4, SEAWAY_F32, SEAWAY_CUDA}, {here, 4, SEAWAY_F32, SEAWAY_HOST}};
  seaway_comm* const comm = member->comm;
  seaway_options options;
  seaway_share share = {0, {there, 4, SEAWAY_F32, SEAWAY_CUDA}}, receive = {0, {here, 4, SEAWAY_F32, SEAWAY_HOST}};
  seaway_options_init(&options, sizeof options);
  CHECK_INVALID(comm, "in[1].device", seaway_all_reduce(comm, NULL, NULL, buffers, 2, SEAWAY_SUM, NULL));
  CHECK_INVALID(comm, "lie on one", seaway_all_reduce(comm, NULL, &buffers[1], &buffers[0], 1, SEAWAY_SUM, NULL));
  buffers[1].device = SEAWAY_CUDA;
  CHECK_INVALID(comm, "memory of the host's", seaway_all_reduce(comm, NULL, NULL, buffers, 2, SEAWAY_SUM, NULL));
  options.codec_up = SEAWAY_CODEC_Q8;
  options.residual = here;
  CHECK_INVALID(comm, "options.residual", seaway_all_reduce(comm, NULL, NULL, buffers, 1, SEAWAY_SUM, &options));
  buffers[1].device = SEAWAY_HOST;
  options.codec_up = SEAWAY_CODEC_NONE;
  options.residual = NULL;
  options.stream = here;
  CHECK_INVALID(comm, "options.stream", seaway_all_reduce(comm, NULL, NULL, &buffers[1], 1, SEAWAY_SUM, &options));
  buffers[1].count = 0; /* lies nowhere */
  CHECK_OK(comm, seaway_all_reduce(comm, NULL, NULL, &buffers[1], 1, SEAWAY_SUM, &options));
  share.peer = receive.peer = self_of(comm);
  CHECK_INVALID(comm, "lie on one", seaway_exchange(comm, NULL, &receive, 1, &share, 1, SEAWAY_F32, NULL));
  buffers[0].data = (char*)there + 1;
  CHECK_INVALID(comm, "not aligned", seaway_all_reduce(comm, NULL, NULL, buffers, 1, SEAWAY_SUM, NULL));
}

CASE(whether_there_is_a_device) {
  seaway_error error;
  error.struct_size = sizeof error;
  CHECK_STATUS(SEAWAY_OK, seaway_device_check(SEAWAY_HOST, &error));
  CHECK_STATUS(SEAWAY_OK, seaway_device_check(SEAWAY_CUDA, NULL));
  CHECK_STATUS(SEAWAY_INVALID, seaway_device_check(2, NULL));
  error.struct_size = 8;
  CHECK_STATUS(SEAWAY_INVALID, seaway_device_check(SEAWAY_CUDA, &error));
}

CASE(what_is_not_possible_with_a_device) {
  struct cluster c;
  REQUIRE(cluster_start(&c, 1));
  each(&c, refuse, NULL);
  cluster_stop(&c);
}
