// The fuzz targets: each takes any bytes and holds a part of the program to what it says of bytes that nobody vouches
// for. Owns no state; a target makes all it needs anew for each input, so that an input alone replays a finding. A
// broken property ends the process. Called by libfuzzer_main.cc (scripts/fuzz.mjs) and corpus_test.cc (`npm test`).
#pragma once

#include <span>
#include <string_view>

#include "base/bytes.h"

namespace capstan::fuzz {

void frames(ByteSpan input);      // frames, messages, requests, and the entries made of them
void connection(ByteSpan input);  // the tables of one connection, with answers in between
void entry(ByteSpan input);       // the header and the commands of a log entry
void apply(ByteSpan input);       // valid requests in any order and number, applied on two unlike nodes
void log(ByteSpan input);         // segment files of a log
void rows(ByteSpan input);        // stored rows and keys

struct Target {
  std::string_view name;
  void (*run)(ByteSpan input);
};

std::span<const Target> targets();
// Ends the process when there is none of this name.
const Target& targetNamed(std::string_view name);

}  // namespace capstan::fuzz
