/* The wall clock of a process, moved by the seconds that stand in a file: a shared library for LD_PRELOAD.

   The file that SOAK_CLOCK names holds one 64-bit number. It is mapped, so that a change is seen at once by all processes
   and costs no call. Clocks that cannot be set (CLOCK_MONOTONIC and its like) stay as they are. A wait until a time of
   day is given to the kernel as the time of day that the kernel knows. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Seconds since the epoch are more than this, seconds since the start of a machine are less. */
#define A_TIME_OF_DAY 1000000000

static volatile const int64_t *moved;

__attribute__((constructor)) static void find(void) {
    const char *path = getenv("SOAK_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) moved = mapped;
    close(file);
}

static int64_t by(void) { return moved ? *moved : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += by();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    if (!failed) *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

static struct timespec as_the_kernel_knows(const struct timespec *until) {
    return (struct timespec){until->tv_sec > A_TIME_OF_DAY ? until->tv_sec - by() : until->tv_sec, until->tv_nsec};
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) {
        /* Without a version x86-64 gives the condition variables of 2002. */
        void *found = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
        if (!found) found = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
        real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))found;
    }
    struct timespec known = as_the_kernel_knows(until);
    return real(condition, mutex, &known);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec known = as_the_kernel_knows(until);
    return real(semaphore, &known);
}

#define MOVED_ALONG(name, parameters, arguments)                                   \
    int name parameters {                                                          \
        static int (*real) parameters;                                             \
        if (!real) real = (int (*) parameters)dlsym(RTLD_NEXT, #name);             \
        int failed = real arguments;                                               \
        if (!failed) found->st_mtim.tv_sec += by(), found->st_ctim.tv_sec += by(); \
        return failed;                                                             \
    }

MOVED_ALONG(stat64, (const char *path, struct stat64 *found), (path, found))
MOVED_ALONG(lstat64, (const char *path, struct stat64 *found), (path, found))
MOVED_ALONG(fstat64, (int file, struct stat64 *found), (file, found))
MOVED_ALONG(fstatat64, (int folder, const char *path, struct stat64 *found, int flags), (folder, path, found, flags))
