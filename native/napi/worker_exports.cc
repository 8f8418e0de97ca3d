// The exported functions that concern the listener workers of this thread: arguments in, the worker's answer out. They
// decide nothing, and those called for each chunk or batch neither copy nor allocate. See exports.h.
#include "boundary.capnp.h"
#include "codec/limits.h"
#include "napi/exports.h"
#include "napi/guard.h"
#include "napi/options.h"
#include "napi/readers.h"
#include "napi/worker_table.h"

namespace capstan::napi {

namespace {

OpenWorker& workerOf(const Napi::CallbackInfo& info, const Arguments& arguments) {
  return WorkerTable::of(info.Env()).at(arguments.u32(0));
}

Napi::Value number(const Napi::CallbackInfo& info, double value) { return Napi::Number::New(info.Env(), value); }

Napi::Value boolean(const Napi::CallbackInfo& info, bool value) { return Napi::Boolean::New(info.Env(), value); }

}  // namespace

Napi::Value workerOpen(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "workerOpen(limits, doorbell)");
  const codec::Limits limits = codecLimits(Fields(arguments.object(0), "workerOpen: limits"));
  return number(info, WorkerTable::of(info.Env()).open(info.Env(), limits, arguments.function(1)));
}

void workerClose(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "workerClose(worker)");
  WorkerTable::of(info.Env()).close(arguments.u32(0));
}

Napi::Value connectionOpen(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "connectionOpen(worker, packed)");
  const bool isPacked = arguments.boolean(1);
  OpenWorker& worker = workerOf(info, arguments);
  const uint32_t connection = worker->connectionOpen();
  if (isPacked) worker.packedConnections().open(connection);
  return number(info, connection);
}

void connectionClose(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "connectionClose(worker, connection)");
  const uint32_t connection = arguments.u32(1);
  OpenWorker& worker = workerOf(info, arguments);
  worker->connectionClose(connection);
  worker.packedConnections().close(connection);
}

Napi::Value receive(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "receive(worker, connection, chunk, calls)");
  const uint32_t connection = arguments.u32(1);
  const auto chunk = arguments.bytes(2);
  const auto calls = arguments.words(3);
  if (calls.size() < schema::CALL_WORDS) arguments.refuse(3, "must have room for a record");
  OpenWorker& worker = workerOf(info, arguments);
  engine::PackedConnections& packed = worker.packedConnections();
  return number(info, packed.contains(connection) ? packed.receive(connection, chunk, calls)
                                                  : worker->receive(connection, chunk, calls));
}

Napi::Value packedPending(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "packedPending(worker, connection)");
  const uint32_t connection = arguments.u32(1);
  return boolean(info, workerOf(info, arguments).packedConnections().pending(connection));
}

Napi::Value packReplies(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "packReplies(worker, connection, replies)");
  const uint32_t connection = arguments.u32(1);
  const auto replies = arguments.bytes(2);
  const ByteSpan packed = workerOf(info, arguments).packedConnections().pack(connection, replies);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), packed.data(), packed.size());
}

Napi::Value buffered(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "buffered(worker, connection)");
  const uint32_t connection = arguments.u32(1);
  OpenWorker& worker = workerOf(info, arguments);
  const size_t notUnpacked = worker.packedConnections().buffered(connection);
  return number(info, static_cast<double>(worker->buffered(connection) + notUnpacked));
}

void setWritable(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "setWritable(worker, connection, writable)");
  const uint32_t connection = arguments.u32(1);
  const bool writable = arguments.boolean(2);
  workerOf(info, arguments)->setWritable(connection, writable);
}

Napi::Value wakeEarly(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "wakeEarly(worker, handles, count, woken)");
  const auto handles = arguments.words(1);
  const uint32_t count = arguments.u32(2);
  const auto woken = arguments.words(3);
  if (count > handles.size()) arguments.refuse(2, "must be no more than there are handles");
  return number(info, workerOf(info, arguments)->wakeEarly(handles.first(count), woken));
}

Napi::Value propose(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "propose(worker, shard, handles, count)");
  const uint32_t shard = arguments.u32(1);
  const auto handles = arguments.words(2);
  const uint32_t count = arguments.u32(3);
  if (count > handles.size()) arguments.refuse(3, "must be no more than there are handles");
  return number(info, workerOf(info, arguments)->propose(shard, handles.first(count)));
}

Napi::Value read(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "read(worker, handle)");
  const uint32_t handle = arguments.u32(1);
  return number(info, workerOf(info, arguments)->read(handle));
}

Napi::Value park(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "park(worker, handle)");
  const uint32_t handle = arguments.u32(1);
  return boolean(info, workerOf(info, arguments)->park(handle));
}

Napi::Value expire(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "expire(worker, handle)");
  const uint32_t handle = arguments.u32(1);
  return boolean(info, workerOf(info, arguments)->expire(handle));
}

void answer(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "answer(worker, handle, code, retryAfterMs)");
  const uint32_t handle = arguments.u32(1);
  const uint16_t code = arguments.u16(2);
  const uint32_t retryAfterMs = arguments.u32(3);
  workerOf(info, arguments)->answer(handle, code, retryAfterMs);
}

void answerInfo(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "answerInfo(worker, handle, version)");
  const uint32_t handle = arguments.u32(1);
  const std::string version = arguments.text(2);
  workerOf(info, arguments)->answerInfo(handle, version);
}

void shutdownCalls(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "shutdownCalls(worker)");
  workerOf(info, arguments)->shutdownCalls();
}

Napi::Value collect(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "collect(worker, slab, events)");
  const auto slab = arguments.bytes(1);
  const auto events = arguments.words(2);
  if (events.size() < schema::EVENT_WORDS) arguments.refuse(2, "must have room for a record");
  return number(info, workerOf(info, arguments)->collect(slab, events));
}

Napi::Value moreToCollect(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "moreToCollect(worker)");
  return boolean(info, workerOf(info, arguments)->moreToCollect());
}

}  // namespace capstan::napi
