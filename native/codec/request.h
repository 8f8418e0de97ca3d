// One validated request of a client: untrusted bytes end here. Owns the words of its message until the call is
// answered. A Request is made by `validate` on the thread that received it and is read-only afterwards; entry_builder.h
// copies it into a log entry, read_request.h makes a read of it. It knows nothing of connections: every transport makes
// these.
//
// Errors: a message that breaks the wire format or its bounds (traversal, nesting, list counts, segment sizes) is
// INVALID_ARGUMENT or TOO_LARGE with `field` and the bound named. Nothing here throws; what Cap'n Proto throws on
// hostile pointers is caught inside. A reader that was validated cannot throw later: validation visited every pointer.
#pragma once

#include <capnp/any.h>
#include <capnp/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "boundary.capnp.h"
#include "codec/limits.h"

namespace capstan::codec {

// CallWord.method: the number in JobQueue, or 0x100 + the number in Queueber.
enum class Method : uint16_t {
  enqueue = 0,
  fetch = 1,
  ack = 2,
  fail = 3,
  extend = 4,
  release = 5,
  exchange = 6,
  openSession = 7,
  closeSession = 8,
  setQueue = 9,
  deleteQueue = 10,
  listQueues = 11,
  getQueue = 12,
  peek = 13,
  getJob = 14,
  deleteJobs = 15,
  listDead = 16,
  redriveDead = 17,
  deleteDead = 18,
  getOperation = 19,
  serverInfo = 20,
  queueberAdd = 0x100,
  queueberRemove = 0x101,
  queueberPoll = 0x102,
  queueberExtend = 0x103,
};

inline constexpr bool isQueueber(Method method) { return static_cast<uint16_t>(method) >= 0x100; }
inline constexpr uint16_t jobQueueMethods = 21;
inline constexpr uint16_t queueberMethods = 4;

// Of tenant and queue name (xxh3-64); never 0. The parked fetches are keyed by it.
uint64_t queueHash(std::string_view tenant, std::string_view queue);

inline constexpr std::string_view defaultTenant = "default";
inline constexpr std::string_view defaultQueue = "default";  // of the Queueber face

// The words of one received message, aligned, with its segments. One copy of what came from the socket.
struct PinnedMessage {
  std::unique_ptr<uint64_t[]> words;
  std::vector<uint8_t> frame;  // in place of `words`: a frame that was handed over
  const capnp::word* first = nullptr;
  size_t wordCount = 0;
  std::vector<uint32_t> segmentWords;
  std::unique_ptr<capnp::MessageReader> reader;  // over the words; traversal and nesting limited
};

// Takes the bytes of one unpacked message with its segment table. Checks the table against the bytes; reads no pointer.
Result<std::unique_ptr<PinnedMessage>> pinMessage(ByteSpan frame, uint32_t nestingMax = 32);
// The same without a copy. A vector's memory is aligned, and a segment table is whole words.
Result<std::unique_ptr<PinnedMessage>> adoptMessage(std::vector<uint8_t> frame, uint32_t nestingMax = 32);

// Finds the pointer to the request's struct in a message. It must give the same one each time, and read nothing else.
using Locate = capnp::AnyPointer::Reader (*)(capnp::MessageReader&);

class Request {
 public:
  Method method = Method::enqueue;
  schema::CallClass callClass = schema::CallClass::WRITE;
  uint32_t bytes = 0;                 // pinned until answered: words of the message and what this object takes
  uint32_t replyBytesMax = 0;         // the largest reply that may come, frame included
  uint32_t waitMs = 0;                // fetch and poll; waitsForever
  uint32_t jobs = 0;                  // jobs or ids of the request; for a fetch how many it may get
  uint32_t readyJobs = 0;             // jobs that it brings into the queue of queueKey with no delay
  uint64_t queueKey = 0;              // queueHash of the one queue; 0: several or none
  std::vector<uint64_t> queueHashes;  // fetch and poll: of each queue, in order
  bool storesResult = false;          // it has a session and a sequence
  bool enqueues = false;              // refused while the disk reserve is reached

  // The request's own struct (schema::EnqueueRequest …, compat::AddRequest …): `request.body<schema::FetchRequest>()`.
  // An absent one reads as empty.
  template <class Struct>
  typename Struct::Reader body() const {
    return root.getAs<Struct>();
  }

  // A log entry holds it now: lets go of what no reply needs. What `body` gives afterwards has at most the lengths of
  // an exchange's lists.
  void releaseBody();

 private:
  friend Result<std::unique_ptr<Request>> validate(Method, std::unique_ptr<PinnedMessage>, Locate, const Limits&);
  std::unique_ptr<PinnedMessage> message;
  capnp::AnyPointer::Reader root;
};

// Checks every bound of `limits`. What comes out may be read and copied any number of times (a waiting fetch is
// proposed again at each wake): its reader counts no traversal any more, since nothing in it overlaps.
Result<std::unique_ptr<Request>> validate(Method method, std::unique_ptr<PinnedMessage> message, Locate locate,
                                          const Limits& limits);

}  // namespace capstan::codec
