/*
 * A disk that keeps only what was synced. Preloaded into a process, it copies every write to a file under KEYTURN_DISK_FROM into
 * KEYTURN_DISK_TO, but only when the file is synced; what was never synced is never there. The process itself sees its files as
 * always. When it is killed, KEYTURN_DISK_TO is what a machine would find after its power was cut.
 *
 * Build: cc -shared -fPIC -O2 -o power-cut.so power-cut.c -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FILES = 16, DESCRIPTORS = 4096 };

struct change {
  struct change *next;
  off_t at;
  size_t length;
  int truncates;
  unsigned char bytes[];
};

struct file {
  char name[128];
  struct change *first, **last;
};

static struct file files[FILES];
static struct file *open_files[DESCRIPTORS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, #name))

static struct file *file_at(const char *path) {
  const char *from = getenv("KEYTURN_DISK_FROM");
  if (from == NULL || path == NULL || strncmp(path, from, strlen(from)) != 0 || path[strlen(from)] != '/') return NULL;
  const char *name = path + strlen(from) + 1;
  if (*name == 0 || strchr(name, '/') != NULL || strlen(name) >= sizeof files[0].name) return NULL;
  for (int index = 0; index < FILES; index++) {
    if (files[index].name[0] == 0) {
      strcpy(files[index].name, name);
      files[index].last = &files[index].first;
    }
    if (strcmp(files[index].name, name) == 0) return &files[index];
  }
  abort();
}

static int kept(struct file *file, int flags) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", getenv("KEYTURN_DISK_TO"), file->name);
  return REAL(open, int (*)(const char *, int, ...))(path, flags, 0600);
}

static void note(struct file *file, off_t at, const void *bytes, size_t length, int truncates) {
  struct change *change = malloc(sizeof *change + (truncates ? 0 : length));
  *change = (struct change){.at = at, .length = length, .truncates = truncates};
  if (!truncates) memcpy(change->bytes, bytes, length);
  *file->last = change;
  file->last = &change->next;
}

static void sync_file(struct file *file) {
  int to = kept(file, O_WRONLY | O_CREAT);
  if (to < 0) abort();
  struct change *change = file->first;
  while (change != NULL) {
    int failed = change->truncates ? REAL(ftruncate64, int (*)(int, off_t))(to, change->at) != 0
                                   : REAL(pwrite64, ssize_t (*)(int, const void *, size_t, off_t))(to, change->bytes, change->length, change->at) !=
                                         (ssize_t)change->length;
    if (failed) abort();
    struct change *next = change->next;
    free(change);
    change = next;
  }
  file->first = NULL;
  file->last = &file->first;
  REAL(close, int (*)(int))(to);
}

static struct file *tracked(int fd) { return fd >= 0 && fd < DESCRIPTORS ? open_files[fd] : NULL; }

static int opened(int fd, const char *path, int flags) {
  if (fd < 0 || fd >= DESCRIPTORS) return fd;
  pthread_mutex_lock(&mutex);
  open_files[fd] = file_at(path);
  if (open_files[fd] != NULL && (flags & O_TRUNC)) note(open_files[fd], 0, NULL, 0, 1);
  pthread_mutex_unlock(&mutex);
  return fd;
}

#define OPEN(name)                                                                                     \
  int name(const char *path, int flags, ...) {                                                         \
    va_list rest;                                                                                      \
    va_start(rest, flags);                                                                             \
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;                        \
    va_end(rest);                                                                                      \
    return opened(REAL(name, int (*)(const char *, int, ...))(path, flags, mode), path, flags);        \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  pthread_mutex_lock(&mutex);
  if (tracked(fd) != NULL) open_files[fd] = NULL;
  pthread_mutex_unlock(&mutex);
  return REAL(close, int (*)(int))(fd);
}

#define PWRITE(name)                                                                                   \
  ssize_t name(int fd, const void *bytes, size_t length, off_t at) {                                   \
    ssize_t written = REAL(name, ssize_t (*)(int, const void *, size_t, off_t))(fd, bytes, length, at); \
    pthread_mutex_lock(&mutex);                                                                        \
    if (written > 0 && tracked(fd) != NULL) note(tracked(fd), at, bytes, (size_t)written, 0);          \
    pthread_mutex_unlock(&mutex);                                                                      \
    return written;                                                                                    \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t written = REAL(write, ssize_t (*)(int, const void *, size_t))(fd, bytes, length);
  pthread_mutex_lock(&mutex);
  if (written > 0 && tracked(fd) != NULL) note(tracked(fd), lseek(fd, 0, SEEK_CUR) - written, bytes, (size_t)written, 0);
  pthread_mutex_unlock(&mutex);
  return written;
}

#define TRUNCATE(name)                                                                                 \
  int name(int fd, off_t length) {                                                                     \
    int result = REAL(name, int (*)(int, off_t))(fd, length);                                          \
    pthread_mutex_lock(&mutex);                                                                        \
    if (result == 0 && tracked(fd) != NULL) note(tracked(fd), length, NULL, 0, 1);                     \
    pthread_mutex_unlock(&mutex);                                                                      \
    return result;                                                                                     \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(name)                                                                                     \
  int name(int fd) {                                                                                   \
    pthread_mutex_lock(&mutex);                                                                        \
    struct file *file = tracked(fd);                                                                   \
    if (file != NULL) sync_file(file);                                                                 \
    pthread_mutex_unlock(&mutex);                                                                      \
    return file != NULL ? 0 : REAL(name, int (*)(int))(fd);                                            \
  }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
  int result = REAL(unlink, int (*)(const char *))(path);
  pthread_mutex_lock(&mutex);
  struct file *file = result == 0 ? file_at(path) : NULL;
  if (file != NULL) {
    char kept_path[1024];
    snprintf(kept_path, sizeof kept_path, "%s/%s", getenv("KEYTURN_DISK_TO"), file->name);
    REAL(unlink, int (*)(const char *))(kept_path);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}
