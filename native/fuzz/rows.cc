// Fuzz target `rows`: stored rows and keys of any bytes, as a damaged file would give them. Owns nothing. Decoding one
// ends the process with a failed check or gives a row; it never reads beyond the bytes, never takes memory that they
// do not account for, and what was decoded is written and decoded again as itself.
//
//   input: which row (byte), its bytes
#include "fsm/rows.h"
#include "base/check.h"
#include "fsm/record.h"
#include "fsm/stored_result.h"
#include "fuzz/ended.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"

namespace capstan::fuzz {
namespace {

using fsm::LeaseItem;

template <class Decode, class Encode>
void roundTrip(std::string_view bytes, Decode decode, Encode encode) {
  std::string first;
  if (!returns([&] { first = encode(decode(bytes)); })) return;
  CAPSTAN_ASSERT(first.size() <= bytes.size(), first.size(), bytes.size());
  CAPSTAN_ASSERT(encode(decode(first)) == first);
}

template <class Row>
void row(std::string_view bytes) {
  roundTrip(
      bytes, [](std::string_view raw) { return Row::decode(raw); }, [](const Row& made) { return made.encode(); });
}

void marks(std::string_view bytes) {
  std::vector<LeaseItem> items(bytes.size() % 9);
  const auto decode = [&](std::string_view raw) { return fsm::decodeMarks(raw, items); };
  roundTrip(bytes, decode, [&](uint64_t deadlineMs) { return fsm::encodeMarks(deadlineMs, items); });
}

void place(std::string_view bytes) {
  roundTrip(bytes, fsm::decodePlace, [](const auto& made) { return fsm::encodePlace(made.first, made.second); });
}

void dead(std::string_view bytes) {
  roundTrip(bytes, fsm::decodeDead, [](const auto& made) { return fsm::encodeDead(made.first, made.second); });
}

void result(std::string_view bytes) { roundTrip(bytes, fsm::decodeResult, fsm::encodeResult); }

void record(std::string_view bytes) {
  returns([&] {
    const fsm::RecordFacts facts = fsm::readFacts(bytes);
    if (facts.payloadBytes > bytes.size()) __builtin_trap();
    if (fsm::viewOf(*fsm::copyRecord(bytes)) != bytes) __builtin_trap();
  });
}

void keys(std::string_view bytes) {
  if (bytes.size() < storage::jobKeyBytes) return;
  const storage::LaneKey lane = storage::laneOf(bytes);
  const auto id = storage::idAt<JobId>(bytes, storage::laneKeyBytes);
  const std::string key = storage::jobKey(lane, id);
  CAPSTAN_ASSERT(key == bytes.substr(0, storage::jobKeyBytes));
  CAPSTAN_ASSERT(storage::laneOf(key) == lane);
  const uint64_t dueMs = storage::number64(bytes, 1);
  const std::string scheduled = storage::scheduledKey(storage::ClockKind::wall, dueMs, id);
  CAPSTAN_ASSERT(storage::number64(scheduled, 1) == dueMs && storage::idAt<JobId>(scheduled, 9) == id);
  if (dueMs < UINT64_MAX) CAPSTAN_ASSERT(scheduled < storage::scheduledKey(storage::ClockKind::wall, dueMs + 1, id));
}

constexpr void (*kinds[])(std::string_view) = {row<fsm::QueueRow>,
                                               row<fsm::LeaseRow>,
                                               row<fsm::LaneRow>,
                                               row<fsm::GroupRow>,
                                               row<fsm::TurnRow>,
                                               row<fsm::SessionRow>,
                                               row<fsm::Meta>,
                                               row<fsm::KeyedResultRow>,
                                               row<fsm::OperationRow>,
                                               row<fsm::AttemptRow>,
                                               marks,
                                               place,
                                               dead,
                                               result,
                                               record,
                                               keys};

}  // namespace

void rows(ByteSpan bytes) {
  Input input(bytes);
  const uint8_t kind = input.byte();
  // A copy of exactly its size, so that a sanitizer sees a read behind its end.
  const ByteSpan rest = input.all();
  const std::vector<char> copy(rest.begin(), rest.end());
  kinds[kind % std::size(kinds)](std::string_view(copy.data(), copy.size()));
}

}  // namespace capstan::fuzz
