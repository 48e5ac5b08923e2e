/* Stands in for libcuda.so.1 beside stand_in.c: what a program takes is on its card, as long as the program lives, for who reads by NVML.
 *
 * The cards are those of $NVML_STATE, as far as $CUDA_VISIBLE_DEVICES names them by UUID; $CUDA_FAIL is the answer of every cuInit.
 * With $CUDA_LEAK=PID:MIB a program that was served leaves so much in use behind it, as if another one held it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, MOST_CARDS = 16, UUID_BYTES = 16, WORK_US = 2000 };

typedef struct { char uuid[96]; long total, used; } card_t;
static card_t cards[MOST_CARDS];
static int count;

/* $NVML_STATE, else the file beside this library: a lab has an environment of its own. */
static const char *state_path(void) {
  static char beside[512];
  const char *named = getenv("NVML_STATE");
  Dl_info here;
  if (named || !dladdr((void *)state_path, &here)) return named;
  snprintf(beside, sizeof beside, "%s", here.dli_fname);
  char *name = strrchr(beside, '/');
  if (name) snprintf(name + 1, sizeof beside - (size_t)(name + 1 - beside), "state.txt");
  return beside;
}

static int visible(const char *uuid) {
  const char *wanted = getenv("CUDA_VISIBLE_DEVICES");
  return !wanted || (*wanted && strstr(wanted, uuid));
}

static const char *word(const char *line, const char *name) {
  const char *found = strstr(line, name);
  return found ? found + strlen(name) : "0";
}

int cuInit(unsigned flags) {
  const char *fail = getenv("CUDA_FAIL"), *state = state_path();
  FILE *file = fail || !state ? NULL : fopen(state, "r");
  char line[2048];
  count = 0;
  while (file && fgets(line, sizeof line, file)) {
    card_t *card = &cards[count];
    if (sscanf(line, "gpu %95s", card->uuid) != 1 || !visible(card->uuid)) continue;
    card->total = atol(word(line, " total="));
    card->used = atol(word(line, " used="));
    count++;
  }
  if (file) fclose(file);
  return fail ? atoi(fail) : count && !flags ? SUCCESS : NO_DEVICE;
}
int cuDeviceGetCount(int *number) { *number = count; return SUCCESS; }
int cuDeviceGet(int *device, int number) { *device = number; return number < count ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetUuid_v2(unsigned char *to, int device) {
  const char *from = cards[device].uuid + strlen("GPU-");
  for (int one = 0; one < UUID_BYTES; one++, from += 2) {
    unsigned byte = 0;
    if (*from == '-') from++;
    sscanf(from, "%2x", &byte);
    to[one] = (unsigned char)byte;
  }
  return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &cards[device]; return SUCCESS; }
int cuCtxSetCurrent(void *context) { return context ? SUCCESS : INVALID_DEVICE; }

static void write_held(int pid, long mib) {
  char path[512];
  snprintf(path, sizeof path, "%s.held", state_path());
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s.held/%d", state_path(), pid);
  FILE *file = fopen(path, "w");
  if (file) { fprintf(file, "%s %ld\n", cards[0].uuid, mib); fclose(file); }
}
int cuMemAlloc_v2(unsigned long long *memory, size_t bytes) {
  long mib = (long)(bytes >> 20);
  const char *leak = getenv("CUDA_LEAK");
  int other;
  long kept;
  if (mib > cards[0].total - cards[0].used) return OUT_OF_MEMORY;
  write_held(getpid(), mib);
  if (leak && sscanf(leak, "%d:%ld", &other, &kept) == 2) write_held(other, kept);
  *memory = 1;
  return SUCCESS;
}
int cuMemsetD8Async(unsigned long long memory, unsigned char value, size_t bytes, void *stream) { (void)value; return memory && bytes && !stream ? SUCCESS : INVALID_DEVICE; }
int cuCtxSynchronize(void) { usleep(WORK_US); return SUCCESS; }
