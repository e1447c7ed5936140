/* Runs the cases and counts them: check [PART OF A NAME]. */
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct check_case* first;
static struct check_case** last = &first;
static const char* volatile running = "";
static int failures; /* of the running case; any thread */

void check_register(struct check_case* entry) {
  *last = entry;
  last = &entry->next;
}

void check_failed(const char* file, int line, const char* what) {
  __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
  printf("%s:%d: %s: FAILED: %s\n", file, line, running, what);
}

int check_status(const char* file, int line, const char* call, int32_t expected, int32_t got) {
  char what[512];
  if (expected == got) {
    return 1;
  }
  snprintf(what, sizeof what, "%s is %s, not %s", call, seaway_status_string(got), seaway_status_string(expected));
  check_failed(file, line, what);
  return 0;
}

int check_ok(const char* file, int line, const char* call, seaway_comm* comm, int32_t got) {
  seaway_error error;
  if (check_status(file, line, call, SEAWAY_OK, got)) {
    return 1;
  }
  error.struct_size = sizeof error;
  if (seaway_error_get(comm, NULL, &error) == SEAWAY_OK) {
    printf("  %s: %s\n", seaway_status_string(error.status), error.text);
  }
  return 0;
}

int check_contains(const char* file, int line, const char* text, const char* part) {
  char what[2048];
  if (strstr(text, part) != NULL) {
    return 1;
  }
  snprintf(what, sizeof what, "\"%s\" does not contain \"%s\"", text, part);
  check_failed(file, line, what);
  return 0;
}

int check_error(const char* file, int line, seaway_comm* comm, int32_t status, const char* part) {
  seaway_error error;
  error.struct_size = sizeof error;
  return check_status(file, line, "seaway_error_get", SEAWAY_OK, seaway_error_get(comm, NULL, &error)) &&
         check_status(file, line, "error.status", status, error.status) &&
         check_status(file, line, "error.error_class", status / 100, error.error_class) &&
         check_contains(file, line, error.text, part);
}

static void out_of_time(int number) {
  static const char text[] = ": FAILED: out of time\n";
  (void)number;
  if (write(1, running, strlen(running)) < 0 || write(1, text, sizeof text - 1) < 0) {
    _exit(4);
  }
  _exit(3);
}

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  struct check_case* entry;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, out_of_time);
  for (entry = first; entry != NULL; entry = entry->next) {
    if (argc > 1 && strstr(entry->name, argv[1]) == NULL) {
      continue;
    }
    running = entry->name;
    failures = 0;
    alarm(CASE_SECONDS);
    entry->run();
    alarm(0);
    if (failures == 0) {
      ++passed;
    } else {
      ++failed;
    }
  }
  printf("[capi] test cases: %d | %d passed | %d failed\n", passed + failed, passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
