/* Lets the disk be full: the writes to regular files below GRADUS_FULL_BELOW from number GRADUS_FULL_FROM on, and
 * GRADUS_FULL_FOR of them, fail as on a full disk. At the end it says how many there were, in GRADUS_FULL_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long writes;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

/* Whether this write is to fail. */
static int is_full(int descriptor) {
    const char *below = getenv("GRADUS_FULL_BELOW");
    struct stat what;
    char link[64], path[4096];
    if (!below || fstat(descriptor, &what) != 0 || !S_ISREG(what.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, below, strlen(below)) != 0) return 0;
    long now = atomic_fetch_add(&writes, 1) + 1, from = number("GRADUS_FULL_FROM", 0);
    return from > 0 && now >= from && now < from + number("GRADUS_FULL_FOR", 1);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (!is_full(descriptor)) return real(descriptor, bytes, count);
    /* Half of it still fits, as it does on a disk that becomes full. */
    if (count > 1) real(descriptor, bytes, count / 2);
    errno = ENOSPC;
    return -1;
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("GRADUS_FULL_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", atomic_load(&writes));
    fclose(file);
}
