/* Stands in for libnvidia-ml.so.1 in the tests, so that the real pynvml code path runs on a machine without a GPU.
 *
 * The state is a text file, named by $NVML_STATE (else state.txt beside the library) and read again at every call. Its lines:
 *   driver fail=CODE hang=SECONDS          what nvmlInit answers, and how long every call takes
 *   gpu UUID name=.. total=MIB used=MIB util=PCT temp=C power=MW [fail=CODE] [metric=CODE] [proc=PID:MIB]...
 *     [reserved=MIB]   what the driver keeps for itself: the older question for memory counts it in
 *     [pci=BUS_ID] [ecc=ERRORS] [xid=SERIAL:CODE]   SERIAL grows; each is told once to who registered
 *     [mig=1] [slice=UUID:PROFILE:SLICES:MIB]...   in MIG mode, with these slices
 *   far INDEX INDEX LEVEL                  how far two cards are apart (-1: NVLink; cards are 50 apart where nothing is said)
 * Programs that stand_in_cuda.c serves are on their cards, too, as long as they live: each is a file in $NVML_STATE.held, named by its
 * process id, of the line `UUID MIB`.
 * `fail` is the answer of every call on that card, its handle too when it is `handle=CODE`; `metric` only of its power.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, UNKNOWN = 999 };
enum { MOST_CARDS = 16, MOST_PROCESSES = 16, MOST_SLICES = 7, MIB_SHIFT = 20, SLICE = 100, P2P_NOT_SUPPORTED = 5, NVLINK = -1, SYSTEM = 50 };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned processors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices; unsigned long long memory_mib; } attributes_t;
typedef struct { char uuid[96], profile[32]; unsigned slices; long mib; } slice_t;
typedef struct {
  char uuid[96], name[96];
  int mig, slices;
  slice_t slice[MOST_SLICES];
  char pci[32];
  long total, used, reserved, util, temperature, power, ecc;
  int xid_serial, xid;
  int fail, handle_fail, power_fail, processes;
  process_t process[MOST_PROCESSES];
} card_t;

static card_t cards[MOST_CARDS];
static int far[MOST_CARDS][MOST_CARDS];
static int count, driver_fail, hang_seconds, initialized;

static void read_card(char *line) {
  card_t *card = &cards[count++];
  memset(card, 0, sizeof *card);
  char *word = strtok(line, " \n");
  snprintf(card->uuid, sizeof card->uuid, "%s", (word = strtok(NULL, " \n")) ? word : "");
  while ((word = strtok(NULL, " \n"))) {
    unsigned pid;
    long mib;
    if (!strncmp(word, "name=", 5)) snprintf(card->name, sizeof card->name, "%s", word + 5);
    sscanf(word, "total=%ld", &card->total);
    sscanf(word, "used=%ld", &card->used);
    sscanf(word, "reserved=%ld", &card->reserved);
    sscanf(word, "util=%ld", &card->util);
    sscanf(word, "temp=%ld", &card->temperature);
    sscanf(word, "power=%ld", &card->power);
    sscanf(word, "ecc=%ld", &card->ecc);
    sscanf(word, "pci=%31s", card->pci);
    sscanf(word, "xid=%d:%d", &card->xid_serial, &card->xid);
    sscanf(word, "fail=%d", &card->fail);
    sscanf(word, "handle=%d", &card->handle_fail);
    sscanf(word, "metric=%d", &card->power_fail);
    sscanf(word, "mig=%d", &card->mig);
    slice_t *slice = &card->slice[card->slices];
    if (card->slices < MOST_SLICES && sscanf(word, "slice=%95[^:]:%31[^:]:%u:%ld", slice->uuid, slice->profile, &slice->slices, &slice->mib) == 4)
      card->slices++;
    if (card->processes < MOST_PROCESSES && sscanf(word, "proc=%u:%ld", &pid, &mib) == 2)
      card->process[card->processes++] = (process_t){pid, (unsigned long long)mib << MIB_SHIFT, ~0u, ~0u};
  }
  for (char *c = card->name; *c; c++) if (*c == '_') *c = ' ';
}

static void hold(unsigned pid, const char *uuid, long mib) {
  for (card_t *card = cards; card < cards + count; card++)
    if (!strcmp(card->uuid, uuid) && card->processes < MOST_PROCESSES) {
      card->process[card->processes++] = (process_t){pid, (unsigned long long)mib << MIB_SHIFT, ~0u, ~0u};
      card->used += mib;
      card->util = 100;
    }
}

static void load_held(const char *state) {
  char path[512], uuid[96];
  snprintf(path, sizeof path, "%s.held", state);
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder && (entry = readdir(folder));) {
    int pid = atoi(entry->d_name);
    long mib;
    snprintf(path, sizeof path, "%s.held/%.32s", state, entry->d_name);
    FILE *file = pid > 0 && !kill(pid, 0) ? fopen(path, "r") : NULL;
    if (file && fscanf(file, "%95s %ld", uuid, &mib) == 2) hold((unsigned)pid, uuid, mib);
    if (file) fclose(file);
  }
  if (folder) closedir(folder);
}

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

static void load(void) {
  const char *path = state_path();
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[2048];
  count = driver_fail = hang_seconds = 0;
  for (int one = 0; one < MOST_CARDS; one++) for (int two = 0; two < MOST_CARDS; two++) far[one][two] = SYSTEM;
  if (!file) { driver_fail = UNKNOWN; return; }
  while (fgets(line, sizeof line, file)) {
    if (!strncmp(line, "gpu ", 4) && count < MOST_CARDS) read_card(line);
    else if (!strncmp(line, "far ", 4)) {
      unsigned one, two;
      int level;
      if (sscanf(line, "far %u %u %d", &one, &two, &level) == 3 && one < MOST_CARDS && two < MOST_CARDS) far[one][two] = far[two][one] = level;
    }
    else if (!strncmp(line, "driver ", 7)) {
      char *word = strtok(line + 7, " \n");
      for (; word; word = strtok(NULL, " \n")) { sscanf(word, "fail=%d", &driver_fail); sscanf(word, "hang=%d", &hang_seconds); }
    }
  }
  fclose(file);
  load_held(path);
  if (hang_seconds) sleep((unsigned)hang_seconds);
}

static int ready(void) {
  load();
  return initialized ? driver_fail : UNINITIALIZED;
}

/* A handle is the index plus one, and a hundred for each slice further: it stays what it is while the file behind it changes. */
static int find(void *device, card_t **card) {
  int answer = ready();
  long index = (long)device % SLICE - 1;
  if (answer != SUCCESS) return answer;
  if (index < 0 || index >= count) return INVALID_ARGUMENT;
  *card = &cards[index];
  return (*card)->fail;
}

static int text(const char *from, char *to, unsigned length) {
  if (strlen(from) >= length) return INSUFFICIENT_SIZE;
  strcpy(to, from);
  return SUCCESS;
}

static slice_t *slice_of(void *device, card_t *card) {
  long number = (long)device / SLICE;
  return number ? &card->slice[number - 1] : NULL;
}

#define WHOLE(device) if (slice_of(device, card)) return NOT_SUPPORTED /* what a slice does not tell */
#define CARD(device) card_t *card; int answer = find(device, &card); if (answer != SUCCESS) return answer

int nvmlInitWithFlags(unsigned flags) { (void)flags; load(); initialized = driver_fail == SUCCESS; return driver_fail; }
static int registered[MOST_CARDS]; /* who asked for events of which card; void after a shutdown */
int nvmlShutdown(void) { initialized = 0; memset(registered, 0, sizeof registered); return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return code == 15 ? "GPU is lost" : "an error of the stand-in"; }
int nvmlSystemGetDriverVersion(char *to, unsigned length) { int a = ready(); return a ? a : text("580.65.06", to, length); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return ready(); }
int nvmlDeviceGetCount_v2(unsigned *number) { int a = ready(); *number = (unsigned)count; return a; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  int answer = ready();
  if (answer != SUCCESS) return answer;
  if (index >= (unsigned)count) return INVALID_ARGUMENT;
  *device = (void *)(long)(index + 1);
  return cards[index].handle_fail;
}
int nvmlDeviceGetName(void *device, char *to, unsigned length) {
  CARD(device);
  slice_t *slice = slice_of(device, card);
  char whole[160];
  snprintf(whole, sizeof whole, "%s MIG %s", card->name, slice ? slice->profile : "");
#ifdef WITHOUT_ECC /* an old driver calls a slice as it calls the card */
  slice = NULL;
#endif
  return text(slice ? whole : card->name, to, length);
}
int nvmlDeviceGetUUID(void *device, char *to, unsigned length) {
  card_t *card = NULL;
  int answer = find(device, &card);
  if (card && slice_of(device, card)) return text(slice_of(device, card)->uuid, to, length);
  return card ? text(card->uuid, to, length) : answer; /* who it is, even a card that fails says */
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
  CARD(device);
  slice_t *slice = slice_of(device, card);
  if (slice) { memory->total = memory->free = (unsigned long long)slice->mib << MIB_SHIFT; memory->used = 0; return SUCCESS; }
  memory->total = (unsigned long long)card->total << MIB_SHIFT;
  memory->used = (unsigned long long)(card->used + card->reserved) << MIB_SHIFT;
  memory->free = memory->total - memory->used;
  return SUCCESS;
}
#ifndef WITHOUT_ECC
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2_t *memory) {
  CARD(device);
  if (memory->version != (sizeof *memory | 2u << 24)) return INVALID_ARGUMENT;
  memory_t older;
  answer = nvmlDeviceGetMemoryInfo(device, &older);
  memory->total = older.total;
  memory->reserved = slice_of(device, card) ? 0 : (unsigned long long)card->reserved << MIB_SHIFT;
  memory->free = older.free;
  memory->used = older.used - memory->reserved;
  return answer;
}
#endif
int nvmlDeviceGetUtilizationRates(void *device, utilization_t *use) { CARD(device); WHOLE(device); if (card->mig) return NOT_SUPPORTED; use->gpu = (unsigned)card->util; use->memory = (unsigned)card->util / 2; return SUCCESS; }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees) { CARD(device); WHOLE(device); *degrees = (unsigned)card->temperature; return sensor ? INVALID_ARGUMENT : SUCCESS; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatt) { CARD(device); WHOLE(device); *milliwatt = (unsigned)card->power; return card->power_fail; }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatt) { CARD(device); WHOLE(device); *milliwatt = 700000; return SUCCESS; }
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz) { CARD(device); *mhz = type == 1 ? 1980 : 3201; return SUCCESS; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { CARD(device); *major = 9; *minor = 0; return SUCCESS; }
int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending) { CARD(device); *now = *pending = (unsigned)card->mig; return SUCCESS; }
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *most) { CARD(device); *most = MOST_SLICES; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **slice) {
  CARD(device);
  if (index >= (unsigned)card->slices) return NOT_FOUND;
  *slice = (void *)((long)device + SLICE * (long)(index + 1));
  return SUCCESS;
}
int nvmlDeviceGetAttributes_v2(void *device, attributes_t *parts) {
  CARD(device);
  slice_t *slice = slice_of(device, card);
  if (!slice) return NOT_SUPPORTED;
  memset(parts, 0, sizeof *parts);
  parts->gpu_slices = parts->compute_slices = slice->slices;
  parts->memory_mib = (unsigned long long)slice->mib;
  return SUCCESS;
}
int nvmlDeviceGetTopologyCommonAncestor(void *one, void *two, int *level) {
  int answer = ready();
  *level = far[(long)one - 1][(long)two - 1];
  if (*level == NVLINK) *level = SYSTEM;
  return answer;
}
int nvmlDeviceGetP2PStatus(void *one, void *two, int what, int *status) {
  (void)what;
  *status = far[(long)one - 1][(long)two - 1] == NVLINK ? SUCCESS : P2P_NOT_SUPPORTED;
  return ready();
}
#ifndef WITHOUT_ECC /* an old driver lacks functions */
int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *errors) { CARD(device); (void)type; (void)counter; *errors = (unsigned long long)card->ecc; return SUCCESS; }
typedef struct { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } event_t;
static int told[MOST_CARDS];
int nvmlEventSetCreate(void **set) { *set = registered; memset(registered, 0, sizeof registered); return ready(); }
int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
  CARD(device);
  if (set != registered || types != 8) return INVALID_ARGUMENT;
  registered[(long)device - 1] = 1;
  return SUCCESS;
}
int nvmlEventSetWait_v2(void *set, event_t *event, unsigned milliseconds) {
  int answer = ready();
  if (answer != SUCCESS || set != registered) return answer ? answer : INVALID_ARGUMENT;
  for (int one = 0; one < count; one++)
    if (registered[one] && cards[one].xid_serial > told[one]) {
      told[one] = cards[one].xid_serial;
      *event = (event_t){(void *)(long)(one + 1), 8, (unsigned long long)cards[one].xid, ~0u, ~0u};
      return SUCCESS;
    }
  return milliseconds ? INVALID_ARGUMENT : TIMEOUT; /* nobody may wait */
}
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;
int nvmlDeviceGetPciInfo_v3(void *device, pci_t *pci) {
  CARD(device);
  memset(pci, 0, sizeof *pci);
  strcpy(pci->bus_id, card->pci);
  return SUCCESS;
}
#endif
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *size, process_t *to) {
  CARD(device);
  unsigned room = *size;
  *size = (unsigned)card->processes;
  if (room < *size) return INSUFFICIENT_SIZE;
  memcpy(to, card->process, *size * sizeof *to);
  return SUCCESS;
}
