// The accept thread; what it promises is in acceptor.h. Owns the listening sockets; a socket that was handed over is
// its worker's. Called by the engine.
#include "engine/acceptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "base/threads.h"
#include "engine/address.h"

namespace capstan::engine {
namespace {

// Connections taken from one listener before the others have their turn.
constexpr int acceptsMax = 64;
constexpr int starvedPauseMs = 100;

void signalEvent(int descriptor) {
  const uint64_t one = 1;
  const ssize_t put = ::write(descriptor, &one, sizeof(one));
  CAPSTAN_OS_CHECK(put == sizeof(one) || errno == EAGAIN, errno);
}

}  // namespace

Acceptor::Acceptor(Completions& completions) : completions(completions) {}

Acceptor::~Acceptor() {
  stop();
  if (wakeDescriptor >= 0) ::close(wakeDescriptor);
  if (spareDescriptor >= 0) ::close(spareDescriptor);
}

Result<std::string> Acceptor::listen(uint32_t listener, const std::string& address, uint32_t connectionsMax,
                                     uint32_t backlog) {
  Result<BoundSocket> bound = bindAndListen(address, backlog);
  if (!bound) return bound.takeError();
  const std::lock_guard guard(mutex);
  if (stopped) {
    ::close(bound.value().fileDescriptor);
    if (!bound.value().unixPath.empty()) ::unlink(bound.value().unixPath.c_str());
    return Error{schema::ErrorCode::SHUTTING_DOWN, "the server is stopping", "", 0};
  }
  listeners.push_back({bound.value().fileDescriptor, listener, connectionsMax, bound.value().unixPath});
  if (!thread.joinable()) {
    wakeDescriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CAPSTAN_OS_CHECK(wakeDescriptor >= 0, errno);
    openSpare();
    thread = startThread("accept", [this] { run(); });
  } else {
    signalEvent(wakeDescriptor);
  }
  return bound.value().address;
}

void Acceptor::stop() {
  std::thread ended;
  {
    const std::lock_guard guard(mutex);
    if (stopped) return;
    stopped = true;
    if (thread.joinable()) signalEvent(wakeDescriptor);
    ended = std::move(thread);
  }
  if (ended.joinable()) ended.join();
  const std::lock_guard guard(mutex);
  for (const Listener& listener : listeners) {
    // The file first: who finds no file does not wait for an answer.
    if (!listener.unixPath.empty()) ::unlink(listener.unixPath.c_str());
    ::close(listener.fileDescriptor);
  }
  listeners.clear();
}

void Acceptor::connectionClosed(uint32_t count) {
  const uint64_t before = connections.fetch_sub(count, std::memory_order_relaxed);
  CAPSTAN_ASSERT(before >= count, before, count);
}

// By the spare descriptor, one after another, so that nobody waits for an answer that will not come.
void Acceptor::turnAway(const Listener& listener) {
  if (spareDescriptor < 0) {
    starved.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  ::close(spareDescriptor);
  spareDescriptor = -1;
  for (int count = 0; count < acceptsMax; ++count) {
    const int victim = ::accept4(listener.fileDescriptor, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (victim < 0) return;
    starved.fetch_add(1, std::memory_order_relaxed);
    ::close(victim);
  }
}

void Acceptor::openSpare() {
  if (spareDescriptor < 0) spareDescriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void Acceptor::run() {
  std::vector<Listener> current;
  std::vector<pollfd> polled;
  for (;;) {
    {
      const std::lock_guard guard(mutex);
      if (stopped) return;
      current = listeners;
    }
    polled.assign(1, pollfd{wakeDescriptor, POLLIN, 0});
    for (const Listener& listener : current) polled.push_back({listener.fileDescriptor, POLLIN, 0});
    if (::poll(polled.data(), polled.size(), -1) < 0) {
      CAPSTAN_OS_CHECK(errno == EINTR || errno == ENOMEM || errno == EAGAIN, errno);
      continue;
    }
    if ((polled[0].revents & POLLIN) != 0) {
      uint64_t count = 0;
      const ssize_t got = ::read(wakeDescriptor, &count, sizeof(count));
      CAPSTAN_OS_CHECK(got == sizeof(count) || errno == EAGAIN || errno == EINTR, errno);
    }
    bool hasDescriptors = true;
    for (size_t at = 0; at < current.size(); ++at) {
      if (polled[at + 1].revents != 0 && !acceptFrom(current[at])) hasDescriptors = false;
    }
    // Without descriptors the sockets stay readable: pause, but for a stop.
    if (!hasDescriptors) ::poll(polled.data(), 1, starvedPauseMs);
  }
}

bool Acceptor::acceptFrom(const Listener& listener) {
  for (int count = 0; count < acceptsMax; ++count) {
    const int descriptor = ::accept4(listener.fileDescriptor, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        turnAway(listener);
        openSpare();
        return false;
      }
      // Nothing is there, or the client was gone before it was taken.
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM) continue;
      // The errors of the network that accept passes on, see accept(2).
      return true;
    }
    if (spareDescriptor < 0) openSpare();
    if (connections.load(std::memory_order_relaxed) >= listener.connectionsMax) {
      refused.fetch_add(1, std::memory_order_relaxed);
      ::close(descriptor);
      continue;
    }
    // Counted first: the worker may have closed it before we come back.
    connections.fetch_add(1, std::memory_order_relaxed);
    accepted.fetch_add(1, std::memory_order_relaxed);
    if (!completions.postAccepted(descriptor, listener.number)) {
      connections.fetch_sub(1, std::memory_order_relaxed);
      ::close(descriptor);
    }
  }
  return true;
}

}  // namespace capstan::engine
