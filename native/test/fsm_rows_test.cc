// Stored rows that a damaged file would give: decoding ends the process with a check that says why, before memory is
// taken that the row's bytes do not account for. Rows as they were written are the business of the other fsm tests.
#include "fsm/rows.h"

#include <gtest/gtest.h>

#include "fsm/record.h"
#include "fsm/stored_result.h"

namespace capstan::fsm {
namespace {

constexpr uint32_t lie = 0xffffff00u;

// The row with the number at `offset` from its end replaced.
std::string withLie(std::string row, size_t fromEnd) {
  std::memcpy(row.data() + row.size() - fromEnd, &lie, 4);
  return row;
}

TEST(FsmRowsDeathTest, aLeaseThatClaimsMoreItemsThanItHolds) {
  LeaseRow row;
  const std::string good = row.encode();
  EXPECT_EQ(LeaseRow::decode(good).items.size(), 0u);
  EXPECT_DEATH(LeaseRow::decode(withLie(good, 4)), "parts <= rest.size");
  row.items.resize(2);
  EXPECT_EQ(LeaseRow::decode(row.encode()).items.size(), 2u);
}

TEST(FsmRowsDeathTest, aSessionThatClaimsMoreRangesThanItHolds) {
  EXPECT_DEATH(SessionRow::decode(withLie(SessionRow().encode(), 4)), "parts <= rest.size");
}

TEST(FsmRowsDeathTest, aResultThatClaimsMorePartsThanItHolds) {
  EXPECT_DEATH(decodeResult(withLie(encodeResult({}), 4)), "parts <= rest.size");
}

TEST(FsmRowsDeathTest, aResultWhosePartsHaveParts) {
  CommandResult inner;
  inner.parts.resize(1);
  CommandResult outer;
  EXPECT_EQ(decodeResult(encodeResult(inner)).parts.size(), 1u);
  outer.parts.push_back(std::move(inner));
  EXPECT_DEATH(decodeResult(encodeResult(outer)), "parts == 0");
}

TEST(FsmRowsDeathTest, aRecordWhosePayloadIsLargerThanItself) {
  // Root: three words of data, four pointers; the last of them a list of 2^28 bytes.
  uint64_t words[8] = {(uint64_t{4} << 48) | (uint64_t{3} << 32), 1, 0, 0, 0, 0, 0, (uint64_t{1} << 63) | 1};
  const std::string_view record(reinterpret_cast<const char*>(words), sizeof(words));
  EXPECT_DEATH(readFacts(record), "payloadBytes <= record.size");
  words[7] = 0;
  EXPECT_EQ(readFacts(record).payloadBytes, 0u);
}

}  // namespace
}  // namespace capstan::fsm
