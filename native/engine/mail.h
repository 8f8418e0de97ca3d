// What the threads of a shard tell each other. Owns the shapes only. Put by one thread's step, taken by another's.
//
//     workers ──Proposal──▶ raft ──LogWrite──▶ log
//                            ▲ │ ▲              │
//         AppliedUpTo,       │ │ └──Persisted, LogBegins
//         MembersReached     │ └──Committed, MembersApplied, LookAfter──▶ apply ──CutLog──▶ log
//                            └─────────────────────────────────────────────┘
//
// Bounded: proposals by proposalsMax, log writes and committed entries by the bytes that RaftStep lets be under way;
// every other message answers one of these or comes once a second.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "fsm/state_machine.h"
#include "raft/driver.h"

namespace capstan::engine {

// Who waits for an entry.
struct ReplyAddress {
  uint32_t worker = 0;  // 0: nobody, the node itself proposed it
  uint32_t ticket = 0;
  std::vector<uint32_t> slots;
};

// --- to the raft thread ---

struct Persisted {
  uint64_t number = 0;
};
struct AppliedUpTo {
  uint64_t index = 0;
  uint64_t bytes = 0;  // of the entries since the last report
  fsm::NextDue due;    // as of `index`
};
struct LogBegins {  // it was cut: (index, term) is the entry before its first
  uint64_t index = 0;
  uint64_t term = 0;
};
struct MembersReached {
  raft::Entry entry;
};
struct FinalStamp {};  // the last thing to propose
using RaftMail = std::variant<Proposal, Persisted, AppliedUpTo, LogBegins, MembersReached, FinalStamp>;

// --- to the log thread ---

struct CutLog {
  uint64_t index = 0;  // at most up to here
};
using LogMail = std::variant<raft::LogWrite, CutLog>;

// --- to the apply thread ---

struct Committed {
  raft::Entry entry;
  ReplyAddress reply;
};
struct MembersApplied {
  uint64_t index = 0;
  std::string confState;
};
struct LookAfter {};   // flush what has grown, cut what is durable
struct FinalFlush {};  // everything durable, and say so
using ApplyMail = std::variant<Committed, MembersApplied, LookAfter, FinalFlush>;

}  // namespace capstan::engine
