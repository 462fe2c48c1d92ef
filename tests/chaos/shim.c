/* Loaded before the C library of a process (LD_PRELOAD), so that a test moves its clock and slows its
 * disk while it runs. Both are read anew at each call, from a page that the test writes: the file that
 * CHAOS_SHIM names, two 64-bit numbers: by how many nanoseconds the wall clock is moved, and how many
 * microseconds each sync to the disk takes longer.
 *
 * Only the wall clock is moved: a machine's monotonic clock never jumps. The kernel measures waits by the
 * wall clock it knows, so that those of sem_timedwait are moved back.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define S 1000000000LL

static const volatile int64_t still[2];
static const volatile int64_t *told = still;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CHAOS_SHIM");
    int file;
    void *page;
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    if (!path || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return;
    page = mmap(NULL, sizeof still, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        told = page;
}

static int64_t moved(void) { return told[0]; }

static void move(struct timespec *at, int64_t by)
{
    int64_t ns = at->tv_sec * S + at->tv_nsec + by;
    at->tv_sec = ns / S;
    at->tv_nsec = ns % S;
}

int clock_gettime(clockid_t which, struct timespec *at)
{
    int said;
    if (!real_clock_gettime)
        real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    said = real_clock_gettime(which, at);
    if (said == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        move(at, moved());
    return said;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int sem_timedwait(sem_t *restrict one, const struct timespec *restrict until)
{
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec then = *until;
    if (!real)
        real = dlsym(RTLD_NEXT, "sem_timedwait");
    move(&then, -moved());
    return real(one, &then);
}

static void wait_for_disk(void)
{
    int64_t us = told[1];
    int kept = errno;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (us > 0 && nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
    errno = kept;
}

int fsync(int file)
{
    wait_for_disk();
    return real_fsync(file);
}

int fdatasync(int file)
{
    wait_for_disk();
    return real_fdatasync(file);
}
