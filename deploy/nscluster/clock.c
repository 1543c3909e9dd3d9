/* The wall clock of one process, off by as many nanoseconds as a shared file says: loaded before a node's
 * libraries (LD_PRELOAD) where fault tests let its clock jump. libfaketime does the same, but allocates
 * memory while it starts, and jemalloc asks for the time while it does: the two wait for each other.
 *
 * Here nothing is allocated: the time is asked of the kernel, and the offset is a word in a mapped file,
 * so that a jump is seen at once. The monotonic clocks stay true, as on a machine whose clock is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
/* A time of the monotonic clock is never so late, and one of the wall clock never so early. */
#define WALL_SECONDS_MIN 1000000000LL

static volatile int64_t *offset;
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void map_offset(void) {
    real_wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    const char *path = getenv("SHARDLAKE_CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        offset = mapped;
}

static void shift(struct timespec *time, int64_t by) {
    int64_t all = time->tv_sec * SECOND + time->tv_nsec + by;
    time->tv_sec = all / SECOND;
    time->tv_nsec = all % SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        shift(time, *offset);
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed) {
        time->tv_sec = now.tv_sec;
        time->tv_usec = now.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

/* The kernel wakes by its own clock: the end of a wait is told in its terms. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    struct timespec end = *until;
    if (offset && end.tv_sec >= WALL_SECONDS_MIN)
        shift(&end, -*offset);
    return real_wait(condition, mutex, &end);
}
