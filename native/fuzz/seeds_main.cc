// Writes the structured seeds of every target into the folders of test/corpus, the same bytes each time. Owns those
// files, which are called seed_*.bin; inputs that fuzzing found have other names and stay. Called by
// `npm run fuzz -- --write-seeds`.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "codec/entry.h"
#include "fsm/record.h"
#include "fsm/rows.h"
#include "fsm/stored_result.h"
#include "fuzz/input.h"
#include "fuzz/seed_messages.h"
#include "log/segmented_log.h"
#include "test/memory_files.h"
#include "test/rpc_support.h"

namespace capstan::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;
using codec::Method;

class Folder {
 public:
  Folder(const std::string& corpus, const std::string& target) : path(corpus + "/" + target) {
    std::filesystem::create_directories(path);
  }
  void write(std::string_view name, ByteSpan bytes) const {
    std::ofstream out(path + "/seed_" + std::string(name) + ".bin", std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    CAPSTAN_OS_CHECK(out.good(), path);
  }

 private:
  const std::string path;
};

uint8_t indexOf(Method method) {
  const auto number = static_cast<uint16_t>(method);
  return static_cast<uint8_t>(number < 0x100 ? number : number - 0x100 + codec::jobQueueMethods);
}

std::vector<SeedMessage> allMessages() {
  std::vector<SeedMessage> messages = writeMessages();
  for (SeedMessage& message : readMessages()) messages.push_back(std::move(message));
  return messages;
}

void frameSeeds(const std::string& corpus) {
  const Folder folder(corpus, "frames");
  Output several;
  several.byte(0).byte(7);
  for (const SeedMessage& message : allMessages()) {
    folder.write(message.name, Output().byte(indexOf(message.method)).byte(1).raw(message.frame).bytes);
    if (message.method == Method::enqueue) several.raw(message.frame);
  }
  folder.write("several", several.bytes);
  // Three segments, of which the second is a far pointer's landing pad.
  Output segments;
  segments.byte(0).byte(255).number<uint32_t>(2).number<uint32_t>(1).number<uint32_t>(2).number<uint32_t>(0);
  segments.number<uint64_t>((1ull << 32) | 2).number<uint64_t>(0).number<uint64_t>(0);
  folder.write("segments", segments.bytes);
}

// The request of one method as a call on the bootstrap object.
template <class Copy>
Bytes callFrame(uint32_t question, Method method, Copy copy) {
  const auto number = static_cast<uint16_t>(method);
  return rpc::messageOf([&](auto message) {
    auto call = message.initCall();
    call.setQuestionId(question);
    call.initTarget().setImportedCap(0);
    call.setInterfaceId(number < 0x100 ? rpc::jobQueueId : rpc::queueberId);
    call.setMethodId(number & 0xff);
    copy(call.initParams().getContent().initAsAnyStruct(0, 1).getPointerSection()[0]);
  });
}

Bytes callFrame(uint32_t question, const SeedMessage& seed) {
  std::vector<uint64_t> words(seed.frame.size() / 8);
  std::memcpy(words.data(), seed.frame.data(), seed.frame.size());
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()));
  return callFrame(question, seed.method, [&](auto pointer) { pointer.set(reader.getRoot<capnp::AnyPointer>()); });
}

void connectionSeeds(const std::string& corpus) {
  const Folder folder(corpus, "connection");
  const auto receive = [](Output& out, const Bytes& bytes) { out.byte(0).piece(bytes); };
  for (const SeedMessage& message : allMessages()) {
    Output out;
    receive(out, rpc::bootstrapOf(0));
    receive(out, rpc::finishOf(0, false));
    receive(out, callFrame(1, message));
    out.byte(4).byte(1);
    receive(out, rpc::finishOf(1));
    folder.write(message.name, out.bytes);
  }
  Output busy;
  receive(busy, rpc::bootstrapOf(0));
  busy.byte(7).byte(8);
  receive(busy, rpc::enqueueOf(1));
  busy.byte(8).byte(5);
  receive(busy, rpc::enqueueOf(2));
  receive(busy, rpc::fetchOf(3, 1000));
  receive(busy, rpc::finishOf(3));
  busy.byte(5).byte(6);
  receive(busy, rpc::finishOf(1));
  receive(busy, rpc::releaseOf(0, 1));
  folder.write("busy_canceled_released", busy.bytes);

  Output split;
  const Bytes call = rpc::enqueueOf(1, std::string(64, 'x'));
  receive(split, rpc::bootstrapOf(0));
  for (size_t at = 0; at < call.size(); at += 9) {
    receive(split, Bytes(call.begin() + at, call.begin() + std::min(at + 9, call.size())));
  }
  folder.write("split", split.bytes);

  Output rare;
  receive(rare, rpc::bootstrapOf(5));
  receive(rare, rpc::messageOf([](auto message) {
            auto disembargo = message.initDisembargo();
            disembargo.initTarget().setImportedCap(0);
            disembargo.getContext().setSenderLoopback(3);
          }));
  receive(rare, rpc::messageOf([](auto message) {
            auto call = message.initCall();
            call.setQuestionId(9);
            call.initTarget().initPromisedAnswer().setQuestionId(5);
          }));
  receive(rare, rpc::messageOf([](auto message) { message.initResolve().setPromiseId(1); }));
  receive(rare, rpc::messageOf([](auto message) { message.initAbort().setReason("enough"); }));
  folder.write("rare_messages", rare.bytes);
}

std::unique_ptr<codec::Request> requestOf(const SeedMessage& seed) {
  auto request = codec::validateFrame(seed.method, seed.frame);
  CAPSTAN_ASSERT(request.ok(), std::string(seed.name), request.ok() ? "" : request.error().message);
  return request.take();
}

void entrySeeds(const std::string& corpus) {
  const Folder folder(corpus, "entry");
  const codec::Limits limits;
  std::vector<std::unique_ptr<codec::Request>> requests;
  std::vector<const codec::Request*> pointers;
  for (const SeedMessage& message : writeMessages()) {
    requests.push_back(requestOf(message));
    pointers.push_back(requests.back().get());
    const codec::Request* one[] = {pointers.back()};
    folder.write(message.name, Output().byte(3).raw(codec::buildEntry(one, "default", limits)).bytes);
  }
  folder.write("all", Output().byte(0).raw(codec::buildEntry(pointers, "default", limits)).bytes);
  folder.write("stamp", Output().byte(0).raw(codec::buildStampEntry()).bytes);
  folder.write("tick", Output().byte(1).raw(codec::buildTickEntry(100)).bytes);
  const LeaseId lease{};
  folder.write("unsend", Output().byte(1).raw(codec::buildUnsendEntry({&lease, 1})).bytes);
}

void applySeeds(const std::string& corpus) {
  const Folder folder(corpus, "apply");
  const auto messages = allMessages();
  const auto add = [&](Output& out, std::string_view name) {
    for (const SeedMessage& message : messages) {
      if (message.name == name) return (void)out.byte(indexOf(message.method)).piece(message.frame).byte(25);
    }
    CAPSTAN_ASSERT(false, std::string(name));
  };
  // Few, since each makes two databases.
  for (const auto* last :
       {"fail", "exchange", "delete_jobs", "set_queue", "delete_queue", "queueber_remove", "close_session"}) {
    Output out;
    for (const auto* name : {"open_session", "enqueue", "fetch"}) add(out, name);
    add(out, last);
    out.byte(27).number<uint32_t>(2000).number<int32_t>(-500).byte(26).byte(50);
    add(out, "fetch");
    folder.write(last, out.bytes);
  }
  Output life;
  for (const auto* name : {"set_queue", "open_session", "enqueue_once", "enqueue_once", "fetch", "fail"})
    add(life, name);
  life.byte(27).number<uint32_t>(300).number<int32_t>(300).byte(26).byte(10).byte(28);
  for (const auto* name : {"fetch", "extend", "release", "fetch_waiting", "exchange", "peek", "list_dead"}) {
    add(life, name);
  }
  life.byte(29).byte(1).byte(27).number<uint32_t>(5000).number<int32_t>(0).byte(26).byte(100);
  for (const auto* name : {"redrive_dead", "queueber_poll", "queueber_remove", "delete_queue"}) add(life, name);
  life.byte(26).byte(2).byte(28).byte(26).byte(2);
  folder.write("life", life.bytes);
}

void logSeeds(const std::string& corpus) {
  const Folder folder(corpus, "log");
  MemoryFiles files;
  log::Options options;
  options.directory = "log";
  options.segmentBytes = 512;
  const auto dump = [&](const char* name, uint8_t mends) {
    Output out;
    out.byte(mends);
    for (const auto& [path, content] : files.all()) {
      const Bytes* bytes = &content->written;
      const size_t kept = bytes->size() - static_cast<size_t>(std::find_if(bytes->rbegin(), bytes->rend(),
                                                                           [](uint8_t byte) { return byte != 0; }) -
                                                              bytes->rbegin());
      const size_t zeros = (bytes->size() - kept) / 64;
      const size_t stated = bytes->size() - zeros * 64;
      out.byte(static_cast<uint8_t>(std::stoul(path.substr(4, 16), nullptr, 16))).byte(static_cast<uint8_t>(zeros));
      out.piece(ByteSpan(*bytes).first(stated));
    }
    folder.write(name, out.bytes);
  };
  auto opened = log::SegmentedLog::open(files, options).take();
  const std::string data(40, 'd');
  const auto append = [&](uint64_t first, uint64_t count, uint64_t term) {
    std::vector<log::Entry> entries;
    for (uint64_t at = 0; at < count; ++at) entries.push_back({first + at, term, 0, asBytes(data)});
    CAPSTAN_ASSERT(opened->append(log::HardState{term, 1, first - 1}, entries).ok() && opened->sync().ok());
  };
  append(1, 2, 1);
  dump("one", 3);
  dump("one_as_it_is", 0);
  append(3, 3, 1);
  append(4, 1, 2);
  dump("truncated_within", 3);
  for (uint64_t index = 5; index < 12; ++index) append(index, 1, 2);
  dump("several_segments", 3);
  CAPSTAN_ASSERT(opened->cut(9).ok());
  dump("cut", 3);
  CAPSTAN_ASSERT(opened->reset(100, 7, {7, 1, 100}).ok());
  append(101, 2, 7);
  dump("reset", 3);
  files.all().rbegin()->second->written[96 + 40] ^= 1;
  dump("torn", 1);
}

void rowSeeds(const std::string& corpus) {
  const Folder folder(corpus, "rows");
  const auto write = [&](const char* name, uint8_t kind, std::string_view bytes) {
    folder.write(name, Output().byte(kind).raw(asBytes(bytes)).bytes);
  };
  fsm::QueueRow queue;
  queue.tenant = "default";
  queue.name = "mail";
  write("queue", 0, queue.encode());
  fsm::LeaseRow lease;
  lease.worker = "w1";
  lease.items.resize(3);
  write("lease", 1, lease.encode());
  write("lane", 2, fsm::LaneRow().encode());
  write("group", 3, fsm::GroupRow{"tenant 7", 9}.encode());
  write("turn", 4, fsm::TurnRow{3, 4}.encode());
  fsm::SessionRow session;
  session.received = {{4, 6}, {9, 10}};
  write("session", 5, session.encode());
  fsm::Meta meta;
  meta.confState = "voters";
  meta.secret = std::string(32, 's');
  write("meta", 6, meta.encode());
  write("keyed_result", 7, fsm::KeyedResultRow{std::string(16, 'd'), 77, "result"}.encode());
  fsm::OperationRow operation;
  operation.place = "place";
  write("operation", 8, operation.encode());
  write("attempt", 9, fsm::AttemptRow{3, "no luck"}.encode());
  for (size_t items = 0; items < 5; ++items) {
    const std::string name = "marks_" + std::to_string(items);
    write(name.c_str(), 10, fsm::encodeMarks(50, std::vector<fsm::LeaseItem>(items)));
  }
  write("place", 11, fsm::encodePlace(storage::Family::scheduled, std::string(25, 'k')));
  write("dead", 12, fsm::encodeDead(99, "record"));
  CommandResult result;
  result.ids.resize(2);
  result.refused = {{1, schema::ErrorCode::LEASE_LOST}};
  result.parts.resize(2);
  result.error = std::make_unique<Error>(Error{schema::ErrorCode::BUSY, "later", "queue", 10});
  write("result", 13, fsm::encodeResult(result));
  write("record", 14, fsm::viewOf(*rpc::recordOf("payload", "group")));
  write("keys", 15, std::string(40, 'k'));
}

}  // namespace
}  // namespace capstan::fuzz

int main(int count, char** words) {
  CAPSTAN_ASSERT(count == 2, count);
  const std::string corpus = words[1];
  capstan::fuzz::frameSeeds(corpus);
  capstan::fuzz::connectionSeeds(corpus);
  capstan::fuzz::entrySeeds(corpus);
  capstan::fuzz::applySeeds(corpus);
  capstan::fuzz::logSeeds(corpus);
  capstan::fuzz::rowSeeds(corpus);
  return 0;
}
