// What a CUDA compiler is to compile for the host and for the device, from one definition.
#pragma once

// Always inlined on the CPU: a copy compiled for AVX2 must never be the one that the linker keeps for everyone.
#ifdef __CUDACC__
#define SEAWAY_HD __host__ __device__
#else
#define SEAWAY_HD [[gnu::always_inline]]
#endif
