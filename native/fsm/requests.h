// Request ids: the same (session, sequence) or idempotency key is carried out once and answered with the same result.
// Owns the rules of what is remembered and for how long. Called by commands.cc around each command.
//
// Of a session the state keeps: `lowest`, below which every result was received; the results above it, one row each;
// and, as ranges, the sequences above it whose results were received, so that a duplicate that comes late is refused
// rather than executed.
#pragma once

#include <optional>
#include <string>

#include "entry.capnp.h"
#include "fsm/change.h"

namespace capstan::fsm {

struct Admission {
  bool execute = false;
  CommandResult result;  // when not: a stored one, or the refusal
};

bool hasRequestId(schema::Command::Reader command);

// Takes note of what the client has received, then looks for the command's result.
Admission admit(Change& change, std::string_view tenant, schema::Command::Reader command);
// Counts the result of a command that is going to be carried out among its session's, until `remember`.
void awaitResult(Change& change, schema::Command::Reader command);
// Keeps the result of a command that was carried out.
void remember(Change& change, std::string_view tenant, schema::Command::Reader command, const CommandResult& result);

}  // namespace capstan::fsm
