/* The tests of the C API are written in C. This is all of their harness.
 *
 *     CASE(a_property_that_holds) {
 *       CHECK(1 + 1 == 2);                               // counts and goes on
 *       REQUIRE(pointer != NULL);                        // counts and leaves the function
 *       CHECK_STATUS(SEAWAY_CLOSED, seaway_join(comm, 0));
 *       CHECK_OK(comm, seaway_join(comm, 10));           // says why not
 *     }
 *
 * Cases register themselves. Each has a bound of time (CASE_SECONDS); none sleeps. Checks may be made from any thread.
 */
#ifndef SEAWAY_TESTS_CHECK_H
#define SEAWAY_TESTS_CHECK_H

#include <seaway/seaway.h>

#define CASE_SECONDS 120

struct check_case {
  const char* name;
  void (*run)(void);
  struct check_case* next;
};

void check_register(struct check_case* entry);
void check_failed(const char* file, int line, const char* what);
/* Each returns 1 if it held. */
int check_status(const char* file, int line, const char* call, int32_t expected, int32_t got);
int check_ok(const char* file, int line, const char* call, seaway_comm* comm, int32_t got);
int check_contains(const char* file, int line, const char* text, const char* part);
/* The last error of comm has this status, its class, and a text that contains `part`. */
int check_error(const char* file, int line, seaway_comm* comm, int32_t status, const char* part);

#define CASE(name)                                                 \
  static void name(void);                                          \
  __attribute__((constructor)) static void register_##name(void) { \
    static struct check_case entry = {#name, name, 0};             \
    check_register(&entry);                                        \
  }                                                                \
  static void name(void)

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_STATUS(expected, call) ((void)check_status(__FILE__, __LINE__, #call, (expected), (call)))
#define CHECK_OK(comm, call) ((void)check_ok(__FILE__, __LINE__, #call, (comm), (call)))
#define CHECK_CONTAINS(text, part) ((void)check_contains(__FILE__, __LINE__, (text), (part)))
#define CHECK_ERROR(comm, status, part) ((void)check_error(__FILE__, __LINE__, (comm), (status), (part)))
/* The call is refused as INVALID, and the last error says this. */
#define CHECK_INVALID(comm, part, call)      \
  do {                                       \
    CHECK_STATUS(SEAWAY_INVALID, call);      \
    CHECK_ERROR(comm, SEAWAY_INVALID, part); \
  } while (0)

#define REQUIRE(condition)                          \
  do {                                              \
    if (!(condition)) {                             \
      check_failed(__FILE__, __LINE__, #condition); \
      return;                                       \
    }                                               \
  } while (0)

#endif
