// A listener worker over an engine in memory, with what a turn of JavaScript would see of it. Owns no expectation. Used
// by native/test/engine_worker*_test.cc only.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "boundary.capnp.h"
#include "engine/worker.h"
#include "test/engine_memory.h"
#include "test/rpc_support.h"

namespace capstan::engine {

using rpc::Bytes;
using rpc::Received;
using schema::CallClass;
using schema::CallWord;
using schema::ErrorCode;
using schema::EventKind;

struct Record {
  uint32_t words[schema::CALL_WORDS];
  uint32_t operator[](CallWord word) const { return words[static_cast<size_t>(word)]; }
  uint32_t handle() const { return words[0]; }
  uint32_t held() const { return (*this)[CallWord::BYTES] + (*this)[CallWord::REPLY_BYTES_MAX]; }
};

struct Event {
  EventKind kind;
  uint32_t words[schema::EVENT_WORDS];
};

class EngineWorker : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = Worker::open(engine, limits, [] {});
    ASSERT_TRUE(opened.ok());
    worker = opened.take();
    connection = connectionWithObject();
  }

  uint32_t connectionWithObject() {
    const uint32_t number = worker->connectionOpen();
    receive(rpc::bootstrapOf(0), number);
    collect();
    receive(rpc::finishOf(0, false), number);
    written.clear();
    events.clear();
    return number;
  }

  std::vector<Record> receive(const Bytes& bytes, std::optional<uint32_t> to = std::nullopt) {
    std::vector<uint32_t> words(64 * schema::CALL_WORDS);
    const uint32_t count = worker->receive(to.value_or(connection), bytes, words);
    std::vector<Record> records(count);
    if (count > 0) std::memcpy(records.data(), words.data(), count * sizeof(Record));
    return records;
  }
  Record call(const Bytes& bytes, std::optional<uint32_t> to = std::nullopt) {
    const auto records = receive(bytes, to);
    EXPECT_EQ(records.size(), 1u);
    return records.empty() ? Record{} : records[0];
  }

  // One turn: what was written is appended per connection, and the events kept.
  void collect(size_t slabBytes = 64 << 10, uint32_t eventsMax = 64) {
    slab.assign((slabBytes + 7) / 8, 0xaaaaaaaaaaaaaaaaull);
    const std::span<uint8_t> bytes(reinterpret_cast<uint8_t*>(slab.data()), slabBytes);
    std::vector<uint32_t> words(size_t{eventsMax} * schema::EVENT_WORDS);
    const uint32_t count = worker->collect(bytes, words);
    for (uint32_t i = 0; i < count; i++) {
      Event event;
      std::memcpy(event.words, words.data() + i * schema::EVENT_WORDS, sizeof(event.words));
      event.kind = static_cast<EventKind>(event.words[0]);
      if (event.kind == EventKind::WRITE) {
        auto& to = written[event.words[1]];
        to.insert(to.end(), bytes.begin() + event.words[2], bytes.begin() + event.words[2] + event.words[3]);
      }
      events.push_back(event);
    }
  }
  void collectAll(size_t slabBytes = 64 << 10) {
    do {
      collect(slabBytes);
    } while (worker->moreToCollect());
  }

  std::vector<Event> eventsOf(EventKind kind) const {
    std::vector<Event> found;
    for (const Event& event : events) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }
  std::vector<Received> frames(std::optional<uint32_t> of = std::nullopt) {
    return rpc::split(written[of.value_or(connection)]);
  }
  template <class Response>
  ErrorCode statusOf(size_t frame) {
    auto all = frames();
    return all.at(frame).response<Response>().getStatus().getCode();
  }
  void expectDropped(const Record& record) {
    const auto dropped = eventsOf(EventKind::DROPPED);
    ASSERT_EQ(dropped.size(), 1u);
    EXPECT_EQ(dropped[0].words[1], record.handle());
    EXPECT_EQ(dropped[0].words[2], record.held());
    EXPECT_EQ(dropped[0].words[3], connection);
  }
  int32_t propose(std::vector<uint32_t> handles) { return worker->propose(0, handles); }

  static CommandResult granted(std::string_view payload = "job") {
    CommandResult result;
    result.lease.bytes.fill(0xab);
    result.jobs.push_back(rpc::jobOf(payload));
    return result;
  }
  static std::vector<CommandResult> one(CommandResult result) {
    std::vector<CommandResult> results;
    results.push_back(std::move(result));
    return results;
  }
  static CommandResult added() {
    CommandResult result;
    result.ids.resize(1);
    return result;
  }
  // A waiting fetch that was proposed and came out empty.
  Record emptyFetch(uint32_t question = 1, uint64_t index = 100) {
    const Record record = call(rpc::fetchOf(question, 5000));
    EXPECT_GT(propose({record.handle()}), 0);
    engine.finish({}, index);
    collect();
    return record;
  }

  MemoryEngine engine;
  codec::Limits limits;
  std::unique_ptr<Worker> worker;
  uint32_t connection = 0;
  std::vector<uint64_t> slab;
  std::vector<Event> events;
  std::map<uint32_t, Bytes> written;
};

}  // namespace capstan::engine
