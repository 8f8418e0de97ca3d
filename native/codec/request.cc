// Validation of a request as a whole: finds the bounds of its method, keeps what Cap'n Proto throws on hostile pointers
// inside, and fills in what callers wait for. Owns no rule of one field (validate_*.cc have them). Called by rpc/.
#include "codec/request.h"

#include <capnp/serialize.h>
#include <kj/exception.h>
#include <xxhash.h>

#include <algorithm>
#include <string>

#include "codec/segments.h"
#include "codec/validate.h"

namespace capstan::codec {
namespace {

constexpr uint64_t replySlackBytes = 512;  // frame, Return, status with its texts
// What a segment takes beside its words, which may be none: its size, and its place in the reader.
constexpr uint64_t segmentBytes = sizeof(uint32_t) + sizeof(kj::ArrayPtr<const capnp::word>);

template <class Struct>
bool checkAs(Checks& checks, capnp::AnyPointer::Reader body, Request& request) {
  return check(checks, body.getAs<Struct>(), request);
}

template <class Struct>
bool checkWrite(Checks& checks, capnp::AnyPointer::Reader body, Request& request) {
  const auto reader = body.getAs<Struct>();
  if (!check(checks, reader, request)) return false;
  const auto id = reader.getRequest();
  request.storesResult = id.getSession() != 0;
  return true;
}

bool checkMethod(Method method, Checks& checks, capnp::AnyPointer::Reader body, Request& request) {
  switch (method) {
    case Method::enqueue:
      return checkWrite<schema::EnqueueRequest>(checks, body, request);
    case Method::fetch:
      return checkWrite<schema::FetchRequest>(checks, body, request);
    case Method::ack:
      return checkWrite<schema::AckRequest>(checks, body, request);
    case Method::fail:
      return checkWrite<schema::FailRequest>(checks, body, request);
    case Method::extend:
      return checkWrite<schema::ExtendRequest>(checks, body, request);
    case Method::release:
      return checkWrite<schema::ReleaseRequest>(checks, body, request);
    case Method::exchange:
      return checkWrite<schema::ExchangeRequest>(checks, body, request);
    case Method::openSession:
      return checkAs<schema::OpenSessionRequest>(checks, body, request);
    case Method::closeSession:
      return checkAs<schema::CloseSessionRequest>(checks, body, request);
    case Method::setQueue:
      return checkWrite<schema::SetQueueRequest>(checks, body, request);
    case Method::deleteQueue:
      return checkWrite<schema::DeleteQueueRequest>(checks, body, request);
    case Method::deleteJobs:
      return checkWrite<schema::DeleteJobsRequest>(checks, body, request);
    case Method::redriveDead:
    case Method::deleteDead:
      return checkWrite<schema::DeadRequest>(checks, body, request);
    case Method::listQueues:
      return checkAs<schema::ListQueuesRequest>(checks, body, request);
    case Method::getQueue:
      return checkAs<schema::GetQueueRequest>(checks, body, request);
    case Method::peek:
      return checkAs<schema::PeekRequest>(checks, body, request);
    case Method::getJob:
      return checkAs<schema::GetJobRequest>(checks, body, request);
    case Method::listDead:
      return checkAs<schema::ListDeadRequest>(checks, body, request);
    case Method::getOperation:
      return checkAs<schema::GetOperationRequest>(checks, body, request);
    case Method::serverInfo:
      return checkAs<schema::ServerInfoRequest>(checks, body, request);
    case Method::queueberAdd:
      return checkAs<schema::compat::AddRequest>(checks, body, request);
    case Method::queueberRemove:
      return checkAs<schema::compat::RemoveRequest>(checks, body, request);
    case Method::queueberPoll:
      return checkAs<schema::compat::PollRequest>(checks, body, request);
    case Method::queueberExtend:
      return checkAs<schema::compat::ExtendRequest>(checks, body, request);
  }
  return checks.refuse(schema::ErrorCode::UNSUPPORTED, Field{"method"}, "is not known");
}

schema::CallClass classOf(Method method) {
  switch (method) {
    case Method::fetch:
    case Method::queueberPoll:
      return schema::CallClass::FETCH;
    case Method::listQueues:
    case Method::getQueue:
    case Method::peek:
    case Method::getJob:
    case Method::listDead:
    case Method::getOperation:
      return schema::CallClass::READ;
    case Method::serverInfo:
      return schema::CallClass::INFO;
    default:
      return schema::CallClass::WRITE;
  }
}

// Visits every pointer, those of fields that this build does not know included: an entry copies whole structs, and what
// is malformed, holds a capability or overlaps (so that it would grow when copied) must not get that far.
Result<void> checkWhole(capnp::AnyPointer::Reader body, size_t messageWords) {
  const capnp::MessageSize size = body.targetSize();
  const char* fault = size.capCount > 0               ? "the request holds capabilities"
                      : size.wordCount > messageWords ? "parts of the request overlap"
                                                      : nullptr;
  if (fault == nullptr) return {};
  return Error{schema::ErrorCode::INVALID_ARGUMENT, std::string("the message is malformed: ") + fault, "", 0};
}

std::unique_ptr<capnp::MessageReader> uncounted(const PinnedMessage& message) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = UINT64_MAX;
  return std::make_unique<SegmentReader>(message.first, message.segmentWords, options);
}

// Less is not worth the copy.
constexpr uint32_t releasedBytesMin = 16u << 10;

uint32_t clamped(uint64_t value) { return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX)); }

}  // namespace

uint64_t queueHash(std::string_view tenant, std::string_view queue) {
  std::string key;
  key.reserve(tenant.size() + 1 + queue.size());
  key.append(tenant).push_back('\0');
  key.append(queue);
  return std::max<uint64_t>(XXH3_64bits(key.data(), key.size()), 1);
}

Result<std::unique_ptr<Request>> validate(Method method, std::unique_ptr<PinnedMessage> message, Locate locate,
                                          const Limits& limits) {
  auto request = std::make_unique<Request>();
  request->method = method;
  request->callClass = classOf(method);
  Checks checks(limits, message->wordCount);
  try {
    const capnp::AnyPointer::Reader body = locate(*message->reader);
    if (Result<void> whole = checkWhole(body, message->wordCount); !whole) return whole.takeError();
    if (!checkMethod(method, checks, body, *request)) return std::move(checks.fault);
    message->reader = uncounted(*message);
    request->root = locate(*message->reader);
  } catch (const kj::Exception& exception) {
    return Error{schema::ErrorCode::INVALID_ARGUMENT,
                 std::string("the message is malformed: ") + exception.getDescription().cStr(), "", 0};
  }
  if (request->jobs == 0) request->jobs = clamped(std::max<uint64_t>(checks.jobs, 1));
  request->bytes = clamped(message->wordCount * 8 + message->segmentWords.size() * segmentBytes + sizeof(Request) +
                           request->queueHashes.size() * 8);
  request->replyBytesMax = clamped(checks.replyBytes + replySlackBytes);
  request->message = std::move(message);
  return request;
}

void Request::releaseBody() {
  if (method == Method::enqueue || method == Method::queueberAdd) {
    root = {};
    message = nullptr;
    return;
  }
  // A reply to an exchange has a response for each of its parts.
  if (method != Method::exchange || bytes < releasedBytesMin) return;
  const auto whole = body<schema::ExchangeRequest>();
  capnp::MallocMessageBuilder builder;
  auto lengths = builder.initRoot<schema::ExchangeRequest>();
  lengths.initAcks(whole.getAcks().size());
  lengths.initFails(whole.getFails().size());
  lengths.initReleases(whole.getReleases().size());
  lengths.initExtends(whole.getExtends().size());
  lengths.initEnqueues(whole.getEnqueues().size());
  if (whole.hasFetch()) lengths.initFetch();
  const auto words = capnp::messageToFlatArray(builder);
  const auto frame = words.asBytes();
  auto pinned = pinMessage(ByteSpan(frame.begin(), frame.size()));
  CAPSTAN_ASSERT(pinned.ok(), frame.size());
  message = pinned.take();
  message->reader = uncounted(*message);
  root = message->reader->getRoot<capnp::AnyPointer>();
}

}  // namespace capstan::codec
