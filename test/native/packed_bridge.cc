// The two threads of the bridge: each reads whole messages from one socket and writes them to the other, until either
// ends. Owns no state beside the class's. Called by the stock client.
#include "packed_bridge.h"

#include <arpa/inet.h>
#include <capnp/serialize-packed.h>
#include <capnp/serialize.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace capstan::stock {
namespace {

capnp::ReaderOptions unlimited() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kj::maxValue;
  return options;
}

kj::Array<kj::ArrayPtr<const capnp::word>> segmentsOf(capnp::MessageReader& reader) {
  kj::Vector<kj::ArrayPtr<const capnp::word>> segments;
  for (uint at = 0;; at++) {
    const auto segment = reader.getSegment(at);
    // The reader answers an empty one for those that are not there.
    if (segment.begin() == nullptr) break;
    segments.add(segment);
  }
  return segments.releaseAsArray();
}

int connectTo(kj::StringPtr address) {
  const auto colon = KJ_ASSERT_NONNULL(address.findLast(':'), "HOST:PORT");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.cStr() + colon + 1)));
  KJ_REQUIRE(inet_pton(AF_INET, kj::str(address.slice(0, colon)).cStr(), &to.sin_addr) == 1, "an IPv4 address");
  int descriptor;
  KJ_SYSCALL(descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  KJ_SYSCALL(::connect(descriptor, reinterpret_cast<sockaddr*>(&to), sizeof(to)));
  return descriptor;
}

// A closed or broken end is how a connection ends; the client sees it by the other end being shut.
template <typename Copy>
void untilOneEnds(int from, int to, Copy copy) {
  const auto failure = kj::runCatchingExceptions([&]() {
    kj::FdInputStream stream(from);
    kj::BufferedInputStreamWrapper buffered(stream);
    while (buffered.tryGetReadBuffer().size() > 0) copy(buffered);
  });
  (void)failure;
  ::shutdown(to, SHUT_WR);
  ::shutdown(from, SHUT_RD);
}

}  // namespace

PackedBridge::PackedBridge(kj::StringPtr address) {
  server_ = connectTo(address);
  int pair[2];
  KJ_SYSCALL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  inner_ = pair[0];
  client_ = pair[1];
  toServer_ = std::thread([this]() {
    untilOneEnds(inner_, server_, [this](kj::BufferedInputStream& from) {
      capnp::InputStreamMessageReader reader(from, unlimited());
      capnp::writePackedMessageToFd(server_, segmentsOf(reader));
    });
  });
  toClient_ = std::thread([this]() {
    untilOneEnds(server_, inner_, [this](kj::BufferedInputStream& from) {
      capnp::PackedMessageReader reader(from, unlimited());
      capnp::writeMessageToFd(inner_, segmentsOf(reader));
    });
  });
}

PackedBridge::~PackedBridge() {
  if (client_ >= 0) ::close(client_);
  ::shutdown(inner_, SHUT_RDWR);
  ::shutdown(server_, SHUT_RDWR);
  toServer_.join();
  toClient_.join();
  ::close(inner_);
  ::close(server_);
}

int PackedBridge::takeClientEnd() {
  const int descriptor = client_;
  client_ = -1;
  return descriptor;
}

}  // namespace capstan::stock
