/* Preloaded, makes the folder of WITHOUT_LOCKS like a bucket's mount: it takes no lock, no fsync and no write at a
   place of one's choice (tests/service/test_backup_odd.py). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int on_mount(int fd) {
    char link[64], path[4096];
    const char *mount = getenv("WITHOUT_LOCKS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (mount == NULL || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, mount, strlen(mount)) == 0 && path[strlen(mount)] == '/';
}

static int refuse(int code) { errno = code; return -1; }

static int is_lock(int command) {
    return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

int flock(int fd, int operation) { return on_mount(fd) ? refuse(ENOLCK) : REAL(flock)(fd, operation); }

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return is_lock(command) && on_mount(fd) ? refuse(ENOLCK) : REAL(fcntl)(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return is_lock(command) && on_mount(fd) ? refuse(ENOLCK) : REAL(fcntl64)(fd, command, argument);
}

int fsync(int fd) { return on_mount(fd) ? refuse(EIO) : REAL(fsync)(fd); }

int fdatasync(int fd) { return on_mount(fd) ? refuse(EIO) : REAL(fdatasync)(fd); }

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    return on_mount(fd) ? refuse(ESPIPE) : REAL(pwrite)(fd, data, size, place);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    return on_mount(fd) ? refuse(ESPIPE) : REAL(pwrite64)(fd, data, size, place);
}
