/* The wall clock of one process, moved by a test: preloaded, it adds the nanoseconds that stand in the file SEAWAY_WALL_CLOCK to
 * what the system says. The monotonic clock is left alone: that one cannot jump. The file is mapped, so that a jump happens
 * between any two calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t* offset_ns;

__attribute__((constructor)) static void map_offset(void) {
  const char* name = getenv("SEAWAY_WALL_CLOCK");
  int fd = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) {
    return;
  }
  void* at = mmap(NULL, sizeof *offset_ns, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  offset_ns = at == MAP_FAILED ? NULL : at;
}

static void read_clock(clockid_t clock, struct timespec* time) {
  syscall(SYS_clock_gettime, clock, time);
  if (offset_ns != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t ns = (int64_t)time->tv_sec * SECOND + time->tv_nsec + *offset_ns;
    ns = ns < 0 ? 0 : ns;
    time->tv_sec = ns / SECOND;
    time->tv_nsec = ns % SECOND;
  }
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
    static int (*next)(clockid_t, struct timespec*);
    if (next == NULL) {
      *(void**)&next = dlsym(RTLD_NEXT, "clock_gettime");
    }
    return next(clock, time);
  }
  read_clock(clock, time);
  return 0;
}

int timespec_get(struct timespec* time, int base) {
  if (base != TIME_UTC) {
    return 0;
  }
  read_clock(CLOCK_REALTIME, time);
  return base;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  (void)zone;
  struct timespec now;
  read_clock(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* result) {
  struct timespec now;
  read_clock(CLOCK_REALTIME, &now);
  if (result != NULL) {
    *result = now.tv_sec;
  }
  return now.tv_sec;
}
