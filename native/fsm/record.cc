// Encodes job records into exactly sized words and reads their fixed fields. Owns no state. The numbers below follow
// the layout of schemas/entry.capnp JobRecord, which is append-only; fsm_record_test holds them to Cap'n Proto's
// reader.
#include "fsm/record.h"

#include <capnp/message.h>

#include "base/bytes.h"
#include "base/check.h"
#include "entry.capnp.h"

namespace capstan::fsm {
namespace {

constexpr size_t dataWords = 3;
constexpr size_t pointerWords = 4;
constexpr size_t headersPointer = 2;
constexpr size_t payloadPointer = 3;

size_t wordsOf(size_t bytes) { return (bytes + 7) / 8; }

size_t recordWords(schema::NewJob::Reader job) {
  size_t words = 1 + dataWords + pointerWords + wordsOf(job.getPayload().size());
  if (job.hasGroup()) words += wordsOf(job.getGroup().size() + 1);
  if (job.hasContentType()) words += wordsOf(job.getContentType().size() + 1);
  const auto headers = job.getHeaders();
  if (headers.size() == 0) return words;
  words += 1;
  for (const auto header : headers) {
    words += 2 + wordsOf(header.getName().size() + 1) + wordsOf(header.getValue().size());
  }
  return words;
}

uint64_t wordAt(std::string_view record, size_t word) {
  CAPSTAN_ASSERT(record.size() >= (word + 1) * 8, record.size(), word);
  return getLittle<uint64_t>(reinterpret_cast<const uint8_t*>(record.data()) + word * 8);
}

uint32_t headerBytes(std::string_view record) {
  const std::shared_ptr<const RecordBytes> aligned = copyRecord(record);
  const kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(aligned->words.get()),
                                                aligned->wordCount);
  const kj::ArrayPtr<const capnp::word> segments[1] = {segment};
  capnp::ReaderOptions options;
  options.traversalLimitInWords = UINT64_MAX;
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1), options);
  uint32_t bytes = 0;
  for (const auto header : reader.getRoot<schema::JobRecord>().getHeaders()) {
    bytes += static_cast<uint32_t>(header.getName().size() + header.getValue().size());
  }
  return bytes;
}

}  // namespace

std::shared_ptr<const RecordBytes> makeRecord(const RecordFacts& facts, schema::NewJob::Reader job) {
  const size_t words = recordWords(job);
  auto made = std::make_shared<RecordBytes>();
  made->words = std::make_unique<uint64_t[]>(words);
  capnp::FlatMessageBuilder builder(kj::arrayPtr(reinterpret_cast<capnp::word*>(made->words.get()), words));
  auto record = builder.initRoot<schema::JobRecord>();
  record.setVersion(recordVersion);
  record.setPriority(facts.priority);
  record.setQueue(facts.queue);
  record.setGroup(facts.group);
  record.setMaxAttempts(facts.maxAttempts);
  record.setEnqueuedMs(facts.enqueuedMs);
  if (job.hasGroup() && job.getGroup().size() > 0) record.setGroupName(job.getGroup());
  if (job.hasContentType() && job.getContentType().size() > 0) record.setContentType(job.getContentType());
  if (const auto headers = job.getHeaders(); headers.size() > 0) {
    // Field by field: copied whole, a later version's larger structs would not fit what was counted.
    auto kept = record.initHeaders(headers.size());
    for (uint32_t at = 0; at < headers.size(); ++at) {
      kept[at].setName(headers[at].getName());
      kept[at].setValue(headers[at].getValue());
    }
  }
  record.setPayload(job.getPayload());
  made->wordCount = static_cast<uint32_t>(builder.getSegmentsForOutput()[0].size());
  CAPSTAN_ASSERT(made->wordCount <= words, made->wordCount, words);
  return made;
}

RecordFacts readFacts(std::string_view record) {
  const uint64_t root = wordAt(record, 0);
  const size_t dataAt = 1 + (static_cast<uint32_t>(root) >> 2);
  const size_t dataCount = static_cast<uint16_t>(root >> 32);
  const size_t pointers = static_cast<uint16_t>(root >> 48);
  CAPSTAN_ASSERT((root & 3) == 0 && dataCount >= dataWords && pointers >= pointerWords, root);
  const uint64_t first = wordAt(record, dataAt);
  const auto version = static_cast<uint16_t>(first);
  CAPSTAN_ASSERT(version == recordVersion, version);
  const uint64_t second = wordAt(record, dataAt + 1);
  RecordFacts facts;
  facts.priority = static_cast<uint8_t>(first >> 16);
  facts.queue = static_cast<uint32_t>(first >> 32);
  facts.group = static_cast<uint32_t>(second);
  facts.maxAttempts = static_cast<uint32_t>(second >> 32);
  facts.enqueuedMs = static_cast<int64_t>(wordAt(record, dataAt + 2));
  const size_t pointersAt = dataAt + dataCount;
  // A list of bytes has its length in the upper 29 bits of its pointer.
  facts.payloadBytes = static_cast<uint32_t>(wordAt(record, pointersAt + payloadPointer) >> 35);
  CAPSTAN_ASSERT(facts.payloadBytes <= record.size(), facts.payloadBytes, record.size());
  facts.storedBytes = facts.payloadBytes;
  if (wordAt(record, pointersAt + headersPointer) != 0) facts.storedBytes += headerBytes(record);
  return facts;
}

uint32_t storedBytesOf(schema::NewJob::Reader job) {
  size_t bytes = job.getPayload().size();
  for (const auto header : job.getHeaders()) bytes += header.getName().size() + header.getValue().size();
  return static_cast<uint32_t>(bytes);
}

std::shared_ptr<const RecordBytes> copyRecord(std::string_view record) {
  CAPSTAN_ASSERT(record.size() % 8 == 0, record.size());
  auto made = std::make_shared<RecordBytes>();
  made->wordCount = static_cast<uint32_t>(record.size() / 8);
  made->words = std::make_unique_for_overwrite<uint64_t[]>(made->wordCount);
  std::memcpy(made->words.get(), record.data(), record.size());
  return made;
}

}  // namespace capstan::fsm
