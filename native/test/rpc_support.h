// Messages as a client's RPC library would send them, and what comes back, for the tests of rpc/ and of the worker.
// Owns nothing. Used by native/test/rpc_*_test.cc and engine_worker_test.cc only.
#pragma once

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "capstan.capnp.h"
#include "codec/results.h"
#include "compat.capnp.h"
#include "entry.capnp.h"

namespace capstan::rpc {

using Bytes = std::vector<uint8_t>;

inline constexpr uint64_t jobQueueId = 0xb1b91b5277db6648ull;
inline constexpr uint64_t queueberId = 0x8323a518d3254563ull;

inline Bytes bytesOf(capnp::MessageBuilder& builder) {
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

template <class Fill>
Bytes messageOf(Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<capnp::rpc::Message>());
  return bytesOf(builder);
}

inline Bytes bootstrapOf(uint32_t question) {
  return messageOf([&](auto message) { message.initBootstrap().setQuestionId(question); });
}

inline Bytes finishOf(uint32_t question, bool releaseCaps = true) {
  return messageOf([&](auto message) {
    auto finish = message.initFinish();
    finish.setQuestionId(question);
    finish.setReleaseResultCaps(releaseCaps);
  });
}

inline Bytes releaseOf(uint32_t id, uint32_t count) {
  return messageOf([&](auto message) {
    auto release = message.initRelease();
    release.setId(id);
    release.setReferenceCount(count);
  });
}

// A call on the bootstrap object by its export; `fill` gets the whole Call, `body` the request struct.
template <class Request, class Body, class Fill>
Bytes callWith(uint32_t question, uint64_t interface, uint16_t method, Body body, Fill fill) {
  return messageOf([&](auto message) {
    auto call = message.initCall();
    call.setQuestionId(question);
    call.initTarget().setImportedCap(0);
    call.setInterfaceId(interface);
    call.setMethodId(method);
    auto params = call.initParams().getContent().initAsAnyStruct(0, 1).getPointerSection();
    body(params[0].template initAs<Request>());
    fill(call);
  });
}

template <class Request, class Body>
Bytes callOf(uint32_t question, uint64_t interface, uint16_t method, Body body) {
  return callWith<Request>(question, interface, method, body, [](auto) {});
}

inline Bytes enqueueOf(uint32_t question, std::string_view payload = "work", const char* queue = "mail") {
  return callOf<schema::EnqueueRequest>(question, jobQueueId, 0, [&](auto body) {
    body.setQueue(queue);
    body.initJobs(1)[0].setPayload({reinterpret_cast<const kj::byte*>(payload.data()), payload.size()});
  });
}

inline Bytes fetchOf(uint32_t question, uint64_t waitMs = 0) {
  return callOf<schema::FetchRequest>(question, jobQueueId, 1, [&](auto body) {
    body.initQueues(1).set(0, "mail");
    body.setWaitMs(waitMs);
  });
}

// One frame that came back.
class Received {
 public:
  explicit Received(ByteSpan frame) : words(frame.size() / 8) {
    std::memcpy(words.data(), frame.data(), words.size() * 8);
    reader = std::make_unique<capnp::FlatArrayMessageReader>(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()));
  }
  capnp::rpc::Message::Reader message() { return reader->getRoot<capnp::rpc::Message>(); }
  capnp::rpc::Return::Reader answer() { return message().getReturn(); }
  template <class Response>
  typename Response::Reader response() {
    return answer().getResults().getContent().getAs<capnp::AnyStruct>().getPointerSection()[0].getAs<Response>();
  }

 private:
  std::vector<uint64_t> words;
  std::unique_ptr<capnp::FlatArrayMessageReader> reader;
};

// The frames that lie one behind the other, each of one segment.
inline std::vector<Received> split(ByteSpan bytes) {
  std::vector<Received> frames;
  while (!bytes.empty()) {
    const size_t size = 8 + size_t{getLittle<uint32_t>(bytes.data() + 4)} * 8;
    frames.emplace_back(bytes.first(size));
    bytes = bytes.subspan(size);
  }
  return frames;
}

inline std::shared_ptr<const RecordBytes> recordOf(std::string_view payload, const char* group = "") {
  capnp::MallocMessageBuilder builder(64 + payload.size() / 8);
  auto record = builder.initRoot<schema::JobRecord>();
  record.setVersion(1);
  record.setPriority(7);
  record.setEnqueuedMs(1234);
  record.setGroupName(group);
  record.setContentType("text/plain");
  auto header = record.initHeaders(1)[0];
  header.setName("trace");
  header.setValue({reinterpret_cast<const kj::byte*>("abc"), 3});
  record.setPayload({reinterpret_cast<const kj::byte*>(payload.data()), payload.size()});
  const auto segment = builder.getSegmentsForOutput()[0];
  auto bytes = std::make_shared<RecordBytes>();
  bytes->words = std::make_unique<uint64_t[]>(segment.size());
  bytes->wordCount = static_cast<uint32_t>(segment.size());
  std::memcpy(bytes->words.get(), segment.begin(), segment.size() * 8);
  return bytes;
}

inline GrantedJob jobOf(std::string_view payload, uint8_t id = 1) {
  GrantedJob job;
  job.id.bytes.fill(id);
  job.attempt = 2;
  job.maxAttempts = 10;
  job.record = recordOf(payload, "group");
  return job;
}

inline std::string textOf(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

}  // namespace capstan::rpc
