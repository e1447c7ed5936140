/* A device that is none: src/device/table.h over memory of the host's, which the host cannot read or write by its address. Whoever
 * does dies, and so does a kernel that is given memory of the host's that is not pinned. Copies and the bodies of the kernels run on
 * a thread of each queue, a moment later than they could. */
#ifndef SEAWAY_TESTS_FAKE_DEVICE_H
#define SEAWAY_TESTS_FAKE_DEVICE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of the device, zeros. It is never given back. */
void* fake_device_allocate(size_t bytes);
/* The same memory, where a test may look. */
void* fake_device_view(const void* memory);

/* A stream of the caller's: what is put in runs in its order, some time later. NULL below is the default one. */
void* fake_stream_open(void);
void fake_stream_close(void* stream); /* waits */
void fake_stream_fill(void* stream, float* memory, size_t count, float value, double seconds);
/* As while a graph is captured: no mark can be made there. */
void fake_stream_is_captured(void* stream, int captured);
/* What is put in from now on runs once what this gives has been released. */
void* fake_stream_hold(void* stream);
void fake_stream_release(void* held);

/* The copy or kernel after so many more fails, and each after it; -1: none. */
void fake_device_fails_after(long calls);
/* How long each copy and kernel takes from now on; 0: as in the beginning. */
void fake_device_delays(double seconds);
/* Whether the library gets no memory there. */
void fake_device_is_full(int full);
/* How often the library has asked for memory there, and for pinned memory of the host's. */
size_t fake_device_requests(void);
/* Bytes that have gone from the host to the device or back, copied or reached by kernels. */
size_t fake_device_crossed(void);

#ifdef __cplusplus
}
#endif

#endif
