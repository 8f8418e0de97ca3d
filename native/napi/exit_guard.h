// The end of a process whose engine still runs: it ends before static destructors run beneath the engine's threads.
// Owns what is registered with the C library for that; never closes anything. Called by engine_holder.cc.
//
// What is registered for the exit runs last in, first out, and RocksDB makes its statics as they are first needed: each
// of those would be destroyed before a handler that was registered earlier is asked. So they are all made first, by one
// short use of a database in memory.
#pragma once

namespace capstan::napi {

// From here on, when the process exits while `isRunning` says so, it ends at once with its exit code; everything that
// was answered is in the log. Once is enough. Must be called in a JavaScript thread: the process cannot exit meanwhile.
void endBeforeStaticDestructors(bool (*isRunning)());

}  // namespace capstan::napi
