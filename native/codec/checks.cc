// The checks that several requests share: names, ids, ranges, request ids, sums. Owns no request. Called by the
// validate_*.cc files through checks.h.
#include "codec/checks.h"

#include "codec/text.h"

namespace capstan::codec {

std::string Field::text() const {
  std::string path = parent == nullptr ? std::string() : parent->text() + ".";
  path += name;
  if (index >= 0) path += "[" + std::to_string(index) + "]";
  return path;
}

bool Checks::refuse(schema::ErrorCode code, const Field& field, const std::string& why) {
  if (fault.field.empty()) {
    fault.code = code;
    fault.field = field.text();
    fault.message = fault.field + ": " + why;
  }
  return false;
}

bool Checks::takeBlob(const Field& field, uint64_t bytes) {
  words += (bytes + 7) / 8;
  commandBytes += bytes;
  if (words > wordsMax) return invalid(field, "parts of the message overlap");
  if (commandBytes > limits.commandBytesMax) {
    return refuse(schema::ErrorCode::TOO_LARGE, field,
                  "the request has more than " + std::to_string(limits.commandBytesMax) + " bytes");
  }
  return true;
}

bool Checks::takeJobs(const Field& field, uint64_t count) {
  jobs += count;
  if (jobs <= limits.jobsPerCommandMax) return true;
  return refuse(schema::ErrorCode::TOO_LARGE, field,
                "the request has more than " + std::to_string(limits.jobsPerCommandMax) + " jobs or ids");
}

bool Checks::range(const Field& field, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return true;
  return invalid(field,
                 std::to_string(value) + " is not between " + std::to_string(least) + " and " + std::to_string(most));
}

bool Checks::requiredName(const Field& field, capnp::Text::Reader text) {
  if (text.size() == 0) return invalid(field, "is empty or absent");
  return optionalName(field, text);
}

bool Checks::optionalName(const Field& field, capnp::Text::Reader text) {
  if (text.size() > limits.nameBytesMax) {
    return invalid(field, "has more than " + std::to_string(limits.nameBytesMax) + " bytes");
  }
  if (!isPlainText(viewOf(text))) return invalid(field, "is not UTF-8 without control characters");
  return takeBlob(field, text.size());
}

bool Checks::id(const Field& field, capnp::Data::Reader data) {
  if (data.size() != idBytes) {
    return invalid(field, "has " + std::to_string(data.size()) + " bytes instead of 16");
  }
  return takeBlob(field, data.size());
}

bool Checks::ids(const Field& field, capnp::List<capnp::Data>::Reader list) {
  if (!takeJobs(field, list.size())) return false;
  for (uint32_t i = 0; i < list.size(); i++) {
    if (!id(Field{field.name, field.parent, i}, list[i])) return false;
  }
  return true;
}

bool Checks::requestId(const Field& field, schema::RequestId::Reader request) {
  const Field sequence{"sequence", &field};
  if (request.getSession() != 0 && request.getSequence() == 0) {
    return invalid(sequence, "is 0, but a request of a session has a sequence from 1 on");
  }
  const Field above{"receivedAbove", &field};
  const auto received = request.getReceivedAbove();
  if (received.size() > receivedAboveMax) return invalid(above, "has more than 1024 sequences");
  return takeBlob(above, uint64_t{received.size()} * 8) &&
         optionalName(Field{"idempotencyKey", &field}, request.getIdempotencyKey());
}

}  // namespace capstan::codec
