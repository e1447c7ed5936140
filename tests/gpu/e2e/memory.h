/* Memory of GPU 0, through the library that SEAWAY_CUDA_LIBRARY names. Each call is over when it returns. */
#ifndef SEAWAY_TESTS_GPU_MEMORY_H
#define SEAWAY_TESTS_GPU_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

int gpu_is_there(void);
void* gpu_allocate(size_t bytes);
void gpu_free(void* memory);
void gpu_copy(void* to, const void* from, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
