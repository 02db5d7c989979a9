/* Records what a program does to the files below a folder, for power_disk.py; see there.

   Loaded before the C library (LD_PRELOAD). RECORD_ROOT names the folder, RECORD_FILE the file that
   is written: a line for each operation, and behind a W as many bytes as it says. What ends in -shm
   is memory that SQLite shares, and no part of what is on disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 4096
#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char recorded[DESCRIPTORS];
static FILE *record;

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

static int of_ours(const char *path) {
  const char *root = getenv("RECORD_ROOT");
  size_t length = path ? strlen(path) : 0;
  if (!root || strncmp(path ? path : "", root, strlen(root))) return 0;
  return length < 4 || strcmp(path + length - 4, "-shm");
}

static void say(const char *format, ...) {
  va_list arguments;
  if (!record) record = fopen(getenv("RECORD_FILE"), "ab");
  if (!record) abort();
  va_start(arguments, format);
  vfprintf(record, format, arguments);
  va_end(arguments);
  fputc('\n', record);
  fflush(record);
}

/* The program says that something was acknowledged. */
void power_mark(const char *text) {
  pthread_mutex_lock(&turn);
  say("A\t%s", text);
  pthread_mutex_unlock(&turn);
}

static int is_ours(int fd) { return fd >= 0 && fd < DESCRIPTORS && recorded[fd]; }

static unsigned long inode(int fd) {
  struct stat found;
  return fstat(fd, &found) ? 0 : (unsigned long)found.st_ino;
}

static int opened(int fd, const char *path, int flags, int was_there) {
  if (fd >= 0 && fd < DESCRIPTORS) {
    recorded[fd] = of_ours(path);
    if (recorded[fd] && (flags & O_CREAT) && !was_there) say("C\t%lu\t%s", inode(fd), path);
    if (recorded[fd] && (flags & O_TRUNC) && was_there) say("L\t%lu\t0", inode(fd));
  }
  return fd;
}

#define OPEN(name)                                                        \
  int name(const char *path, int flags, ...) {                            \
    va_list arguments;                                                    \
    struct stat found;                                                    \
    mode_t mode = 0;                                                      \
    int fd;                                                               \
    va_start(arguments, flags);                                           \
    if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(arguments, mode_t);  \
    va_end(arguments);                                                    \
    pthread_mutex_lock(&turn);                                            \
    int was_there = !lstat(path, &found);                                 \
    fd = opened(REAL(name)(path, flags, mode), path, flags, was_there);   \
    pthread_mutex_unlock(&turn);                                          \
    return fd;                                                            \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  if (fd >= 0 && fd < DESCRIPTORS) recorded[fd] = 0;
  return REAL(close)(fd);
}

static void wrote(int fd, off_t at, const void *data, ssize_t size) {
  if (size <= 0) return;
  say("W\t%lu\t%ld\t%ld", inode(fd), (long)at, (long)size);
  fwrite(data, 1, (size_t)size, record);
  fflush(record);
}

ssize_t write(int fd, const void *data, size_t size) {
  struct stat found;
  ssize_t done;
  off_t at;
  if (!is_ours(fd)) return REAL(write)(fd, data, size);
  pthread_mutex_lock(&turn);
  fstat(fd, &found);
  at = fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
  done = REAL(write)(fd, data, size);
  wrote(fd, at, data, done);
  pthread_mutex_unlock(&turn);
  return done;
}

#define PWRITE(name)                                                      \
  ssize_t name(int fd, const void *data, size_t size, off_t at) {         \
    ssize_t done;                                                         \
    if (!is_ours(fd)) return REAL(name)(fd, data, size, at);              \
    pthread_mutex_lock(&turn);                                            \
    done = REAL(name)(fd, data, size, at);                                \
    wrote(fd, at, data, done);                                            \
    pthread_mutex_unlock(&turn);                                          \
    return done;                                                          \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

/* A write in parts would escape: the programs that are recorded make none. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (is_ours(fd)) abort();
  return REAL(writev)(fd, parts, count);
}

#define ON_DESCRIPTOR(name, parameters, arguments, ...)                   \
  int name parameters {                                                   \
    int failed;                                                           \
    pthread_mutex_lock(&turn);                                            \
    failed = REAL(name) arguments;                                        \
    if (!failed && is_ours(fd)) say(__VA_ARGS__);                         \
    pthread_mutex_unlock(&turn);                                          \
    return failed;                                                        \
  }
ON_DESCRIPTOR(ftruncate, (int fd, off_t size), (fd, size), "L\t%lu\t%ld", inode(fd), (long)size)
ON_DESCRIPTOR(ftruncate64, (int fd, off_t size), (fd, size), "L\t%lu\t%ld", inode(fd), (long)size)
ON_DESCRIPTOR(fsync, (int fd), (fd), "S\t%lu", inode(fd))
ON_DESCRIPTOR(fdatasync, (int fd), (fd), "S\t%lu", inode(fd))

#define ON_PATH(name, parameters, arguments, path, ...)                   \
  int name parameters {                                                   \
    int failed;                                                           \
    pthread_mutex_lock(&turn);                                            \
    failed = REAL(name) arguments;                                        \
    if (!failed && of_ours(path)) say(__VA_ARGS__);                       \
    pthread_mutex_unlock(&turn);                                          \
    return failed;                                                        \
  }
ON_PATH(rename, (const char *old, const char *new), (old, new), new, "R\t%s\t%s", old, new)
ON_PATH(link, (const char *old, const char *new), (old, new), new, "K\t%s\t%s", old, new)
ON_PATH(linkat, (int a, const char *old, int b, const char *new, int flags),
        (a, old, b, new, flags), new, "K\t%s\t%s", old, new)
ON_PATH(unlink, (const char *path), (path), path, "U\t%s", path)
ON_PATH(rmdir, (const char *path), (path), path, "U\t%s", path)

int mkdir(const char *path, mode_t mode) {
  struct stat found;
  int failed;
  pthread_mutex_lock(&turn);
  failed = REAL(mkdir)(path, mode);
  if (!failed && of_ours(path) && !stat(path, &found))
    say("M\t%lu\t%s", (unsigned long)found.st_ino, path);
  pthread_mutex_unlock(&turn);
  return failed;
}
