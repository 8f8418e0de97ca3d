// The consensus core (raft-rs 0.7.0) behind C: bytes and numbers in, effects out through a table of callbacks. Owns the
// RawNode and the view of entries not yet cut. It touches no disk, socket, clock or thread. Called by raft/ alone.
//
// Threading: one core is used by one thread at a time. A callback runs inside the call it belongs to and must not call
// back into the core. Ownership: bytes that a callback gets are valid during the callback only, unless it says that
// they are handed over: those are freed with capstanCoreFreeBytes. Errors: a panic of the core ends the process.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CapstanCore CapstanCore;
typedef struct CapstanOwnedBytes CapstanOwnedBytes;

typedef struct {
  uint64_t index;
  uint64_t term;
  uint32_t type;
  const uint8_t* data;
  size_t bytes;
  CapstanOwnedBytes* owner;  // handed over in `write` and `committed`
} CapstanCoreEntry;

typedef struct {
  uint64_t term;
  uint64_t vote;
  uint64_t commit;
} CapstanCoreHardState;

typedef struct {
  uint64_t nodeId;
  uint64_t appliedIndex;
  const uint8_t* confState;
  size_t confStateBytes;
  CapstanCoreHardState hardState;
  uint64_t baseIndex;
  uint64_t baseTerm;
  uint64_t cacheBytesMax;
  uint64_t uncommittedBytesMax;
  uint64_t committedBytesMax;
  uint32_t electionTicks;
  uint32_t heartbeatTicks;
  uint64_t electionSeed;
  // Gives entries [from, to), at least one and about `bytesMax`, to `take`, in order.
  void* context;
  void (*readLog)(void* context, uint64_t from, uint64_t to, uint64_t bytesMax, void* into,
                  void (*take)(void* into, const CapstanCoreEntry* entry));
} CapstanCoreOptions;

typedef struct {
  void* context;
  // One for each Ready: one atomic record. `hardState` is null when it did not change.
  void (*write)(void* context, uint64_t number, int mustSync, const CapstanCoreHardState* hardState,
                const CapstanCoreEntry* entries, size_t count);
  void (*message)(void* context, uint64_t to, const uint8_t* data, size_t bytes);
  void (*committed)(void* context, const CapstanCoreEntry* entry);
  void (*readState)(void* context, uint64_t index, const uint8_t* data, size_t bytes);
  void (*snapshot)(void* context, uint64_t index, uint64_t term, const uint8_t* confState, size_t confStateBytes,
                   const uint8_t* data, size_t bytes);
} CapstanCoreSink;

typedef struct {
  int leads;
  uint64_t leaderId;
  uint64_t term;
  uint64_t commit;
  uint64_t lastIndex;
} CapstanCoreStatus;

enum { capstanCoreOk = 0, capstanCoreBusy = 1, capstanCoreNotLeader = 2, capstanCoreInvalid = 3 };

// Reads the log once, through `readLog`, up to `lastIndex`. Null: `confState` cannot be read or nothing fits together.
CapstanCore* capstanCoreOpen(const CapstanCoreOptions* options, uint64_t lastIndex);
void capstanCoreClose(CapstanCore* core);
void capstanCoreFreeBytes(CapstanOwnedBytes* bytes);

// Writes the encoded ConfState of these voters into `into` (at least 16 + 11 bytes a voter); returns its size.
size_t capstanCoreConfState(const uint64_t* voters, size_t count, uint8_t* into, size_t intoBytes);

int capstanCorePropose(CapstanCore* core, const uint8_t* data, size_t bytes);
int capstanCoreReceive(CapstanCore* core, const uint8_t* message, size_t bytes);
void capstanCoreTick(CapstanCore* core);
void capstanCoreCampaign(CapstanCore* core);
void capstanCorePersisted(CapstanCore* core, uint64_t number, const CapstanCoreSink* sink);
void capstanCoreApplied(CapstanCore* core, uint64_t index);
// Applies a committed members entry; `done` gets the new encoded ConfState. capstanCoreInvalid: not decodable.
int capstanCoreApplyMembers(CapstanCore* core, uint32_t type, const uint8_t* data, size_t bytes, void* context,
                            void (*done)(void* context, const uint8_t* confState, size_t bytes));
void capstanCoreLogCut(CapstanCore* core, uint64_t index, uint64_t term);
void capstanCoreReadIndex(CapstanCore* core, const uint8_t* data, size_t bytes);
// One turn: 1 when a Ready was handled, 0 when there was none.
int capstanCoreTurn(CapstanCore* core, const CapstanCoreSink* sink);
void capstanCoreStatus(const CapstanCore* core, CapstanCoreStatus* status);

#ifdef __cplusplus
}
#endif
