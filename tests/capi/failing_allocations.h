/* operator new of seaway_capi_fake: it fails on demand. */
#ifndef SEAWAY_TESTS_CAPI_FAILING_ALLOCATIONS_H
#define SEAWAY_TESTS_CAPI_FAILING_ALLOCATIONS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The `at`-th allocation from now on fails, counted from 1; 0: none does. */
void fail_allocation(int at);

#ifdef __cplusplus
}
#endif

#endif
