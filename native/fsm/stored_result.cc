// Encodes and decodes stored results; the rows begin with a version like all others. Owns their layout. Called by
// commands.cc.
#include "fsm/stored_result.h"

#include "fsm/rows.h"

namespace capstan::fsm {
namespace {

// The parts of an exchange have no parts.
CommandResult readResult(RowReader& reader, int level) {
  CommandResult result;
  result.code = static_cast<schema::ErrorCode>(reader.number<uint16_t>());
  if (reader.number<uint8_t>() != 0) {
    result.error = std::make_unique<Error>();
    result.error->code = result.code;
    result.error->message = reader.text();
    result.error->field = reader.text();
    result.error->retryAfterMs = reader.number<uint32_t>();
  }
  result.ids.resize(reader.count(16));
  for (JobId& id : result.ids) id = reader.id<JobId>();
  result.lease = reader.id<LeaseId>();
  result.token = reader.number<uint64_t>();
  result.leaseMs = reader.number<uint64_t>();
  result.accepted = reader.number<uint32_t>();
  result.refused.resize(reader.count(6));
  for (Refusal& refusal : result.refused) {
    refusal.index = reader.number<uint32_t>();
    refusal.code = static_cast<schema::ErrorCode>(reader.number<uint16_t>());
  }
  result.session = reader.number<uint64_t>();
  result.operation = reader.number<uint64_t>();
  result.operationDone = reader.number<uint64_t>();
  result.operationFinished = reader.number<uint8_t>() != 0;
  const uint32_t parts = reader.count(4);
  CAPSTAN_ASSERT(parts == 0 || level == 0, parts);
  for (uint32_t at = 0; at < parts; ++at) {
    const std::string bytes = reader.text();
    RowReader part(bytes);
    result.parts.push_back(readResult(part, level + 1));
  }
  return result;
}

}  // namespace

std::string encodeResult(const CommandResult& result) {
  RowWriter row;
  row.number(static_cast<uint16_t>(result.code)).number<uint8_t>(result.error != nullptr);
  if (result.error) {
    row.text(result.error->message).text(result.error->field).number(result.error->retryAfterMs);
  }
  row.number(static_cast<uint32_t>(result.ids.size()));
  for (const JobId& id : result.ids) row.id(id);
  row.id(result.lease).number(result.token).number(result.leaseMs).number(result.accepted);
  row.number(static_cast<uint32_t>(result.refused.size()));
  for (const Refusal& refusal : result.refused) row.number(refusal.index).number(static_cast<uint16_t>(refusal.code));
  row.number(result.session).number(result.operation).number(result.operationDone);
  row.number<uint8_t>(result.operationFinished);
  row.number(static_cast<uint32_t>(result.parts.size()));
  for (const CommandResult& part : result.parts) row.text(encodeResult(part));
  return row.take();
}

CommandResult decodeResult(std::string_view bytes) {
  RowReader reader(bytes);
  return readResult(reader, 0);
}

std::string encodeSessionResult(std::string_view encodedResult, std::string_view digest) {
  std::string row(encodedResult);
  row.append(digest);
  return row;
}

SessionResult decodeSessionResult(std::string_view bytes) {
  RowReader reader(bytes);
  SessionResult row;
  row.result = readResult(reader, 0);
  row.digest = reader.remaining();
  return row;
}

}  // namespace capstan::fsm
