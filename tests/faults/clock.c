/* A library for LD_PRELOAD: the wall clock of one process is wrong by the seconds in FAULTS_CLOCK_ERROR, or in the file
 * that FAULTS_CLOCK_FILE names, which is read at each look, so that a test can make the clock jump. The monotonic clock
 * stays as it is: as on a machine whose administrator sets the time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long wrong_by(void)
{
    const char *path = getenv("FAULTS_CLOCK_FILE");
    const char *given = getenv("FAULTS_CLOCK_ERROR");
    char text[32];
    if (path) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            ssize_t size = read(file, text, sizeof text - 1);
            close(file);
            if (size > 0) {
                text[size] = 0;
                return strtol(text, NULL, 10);
            }
        }
    }
    return given ? strtol(given, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *result)
{
    static int (*right)(clockid_t, struct timespec *);
    if (!right)
        right = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = right(clock, result);
    if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        result->tv_sec += wrong_by();
    return answer;
}

int gettimeofday(struct timeval *result, void *zone)
{
    struct timespec now;
    int answer = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
