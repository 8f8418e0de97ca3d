// Turns a validated read into plain values with its defaults filled in. Owns no state. Called by a listener worker.
// Nothing is checked here: validation did that.
#include "codec/read_request.h"

#include "base/check.h"
#include "codec/resolved.h"
#include "codec/validate.h"

namespace capstan::codec {
namespace {

std::string textOf(capnp::Text::Reader text) { return std::string(viewOf(text)); }
std::string bytesOf(capnp::Data::Reader data) { return std::string(viewOf(data)); }

}  // namespace

ReadCommand makeRead(const Request& request, std::string_view tenant, const Limits&) {
  ReadCommand command;
  command.method = request.method;
  command.tenant = tenant;
  switch (request.method) {
    case Method::listQueues: {
      const auto body = request.body<schema::ListQueuesRequest>();
      command.after = textOf(body.getAfter());
      command.prefix = textOf(body.getPrefix());
      command.limit = orDefault(body.getLimit(), 100);
      break;
    }
    case Method::getQueue:
      command.queue = textOf(request.body<schema::GetQueueRequest>().getQueue());
      break;
    case Method::peek: {
      const auto body = request.body<schema::PeekRequest>();
      command.queue = textOf(body.getQueue());
      command.after = bytesOf(body.getAfter());
      command.limit = orDefault(body.getLimit(), 10);
      command.payloadBytesMax = orDefault(body.getPayloadBytesMax(), peekPayloadBytesDefault);
      command.state = static_cast<uint16_t>(body.getState());
      break;
    }
    case Method::getJob: {
      const auto body = request.body<schema::GetJobRequest>();
      const auto id = idOf<JobId>(body.getId());
      CAPSTAN_ASSERT(id.has_value(), body.getId().size());
      command.id = *id;
      command.payloadBytesMax = orDefault(body.getPayloadBytesMax(), UINT32_MAX);
      break;
    }
    case Method::listDead: {
      const auto body = request.body<schema::ListDeadRequest>();
      command.queue = textOf(body.getQueue());
      command.after = bytesOf(body.getAfter());
      command.limit = orDefault(body.getLimit(), 100);
      command.payloadBytesMax = orDefault(body.getPayloadBytesMax(), peekPayloadBytesDefault);
      break;
    }
    case Method::getOperation:
      command.operation = request.body<schema::GetOperationRequest>().getOperation();
      break;
    default:
      CAPSTAN_ASSERT(request.method == Method::serverInfo, static_cast<uint16_t>(request.method));
  }
  return command;
}

ReadCommand makeQueueRead(const Request& setQueueRequest, std::string_view tenant) {
  CAPSTAN_ASSERT(setQueueRequest.method == Method::setQueue, static_cast<uint16_t>(setQueueRequest.method));
  ReadCommand command;
  command.method = Method::getQueue;
  command.tenant = tenant;
  command.queue = textOf(setQueueRequest.body<schema::SetQueueRequest>().getQueue());
  return command;
}

}  // namespace capstan::codec
