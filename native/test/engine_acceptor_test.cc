// Listening and the way of an accepted socket: addresses that are refused, ports that are taken, sockets dealt in turn,
// connections above the maximum, descriptors that run out, workers that close. Real sockets on free ports.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>

#include "engine/acceptor.h"
#include "test/temporary_directory.h"

namespace capstan::engine {
namespace {

constexpr uint32_t many = 1000;

class Client {
 public:
  explicit Client(const std::string& address) {
    if (address.starts_with("unix:")) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      std::strncpy(name.sun_path, address.c_str() + 5, sizeof(name.sun_path) - 1);
      descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      connected = ::connect(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
    } else {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      connected = ::connect(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
    }
  }
  ~Client() { ::close(descriptor); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Waits until the other side has closed.
  bool isClosed() {
    char byte;
    return ::recv(descriptor, &byte, 1, 0) <= 0;
  }

  bool connected = false;
  int descriptor = -1;
};

class Worker {
 public:
  explicit Worker(Completions& completions) : completions(completions) {
    number = completions.open(
        [this] {
          rings.fetch_add(1);
          rings.notify_all();
        },
        &queue);
    take();
    got.clear();
  }
  ~Worker() {
    for (const Completion& one : got) {
      if (one.fileDescriptor >= 0) ::close(one.fileDescriptor);
    }
  }

  // Waits until `count` sockets came in all.
  void wait(size_t count) {
    while (got.size() < count) {
      const int seen = rings.load();
      take();
      if (got.size() < count) rings.wait(seen);
    }
  }
  void take() {
    std::vector<Completion> more;
    queue->drain(more);
    for (Completion& one : more) got.push_back(std::move(one));
  }

  Completions& completions;
  CompletionQueue* queue = nullptr;
  uint32_t number = 0;
  std::atomic<int> rings = 0;
  std::vector<Completion> got;
};

class EngineAcceptor : public testing::Test {
 protected:
  ~EngineAcceptor() override { acceptor.stop(); }
  std::string wordOf(const std::string& address) {
    const auto bound = acceptor.listen(1, address, many, 16);
    return bound.ok() ? "bound" : bound.error().field;
  }
  std::string mustListen(const std::string& address, uint32_t connectionsMax = many) {
    auto bound = acceptor.listen(1, address, connectionsMax, 16);
    EXPECT_TRUE(bound.ok()) << bound.error().message;
    return bound.take();
  }

  const TemporaryDirectory temporary;
  const std::string scratch = temporary.path;
  Completions completions;
  Acceptor acceptor{completions};
};

TEST_F(EngineAcceptor, refusesAddressesThatAreNone) {
  for (const std::string address :
       {"", "localhost", ":1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "::1:80", "[::1]", "[::1:80",
        "127.0.0.1:-1", "unix:", "unix:/nowhere/at/all/socket", "192.0.2.1:0", "no-such-host.invalid:0"}) {
    EXPECT_EQ(wordOf(address), "addressInvalid") << address;
  }
  EXPECT_EQ(wordOf("unix:/" + std::string(200, 'x')), "addressInvalid");
}

TEST_F(EngineAcceptor, aTakenPortIsAnError) {
  const std::string bound = mustListen("127.0.0.1:0");
  EXPECT_NE(bound, "127.0.0.1:0");
  EXPECT_EQ(wordOf(bound), "addressInUse");
  const std::string path = "unix:" + scratch + "/socket";
  EXPECT_EQ(mustListen(path), path);
  EXPECT_EQ(wordOf(path), "addressInUse");
}

TEST_F(EngineAcceptor, bindsNamesAndBothFamilies) {
  EXPECT_TRUE(mustListen("localhost:0").starts_with("127.0.0.1:"));
  const auto six = acceptor.listen(2, "[::1]:0", many, 16);
  // Some machines have no IPv6; then the error says so.
  if (six.ok()) {
    EXPECT_TRUE(six.value().starts_with("[::1]:"));
  } else {
    EXPECT_EQ(six.error().field, "addressInvalid");
  }
}

TEST_F(EngineAcceptor, aSocketFileIsPrivateReplacedWhenStaleAndRemovedAtTheEnd) {
  const std::string path = scratch + "/socket";
  {
    // A server that was killed leaves such a file.
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
    const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    ::close(dead);
  }
  const mode_t before = ::umask(0);
  mustListen("unix:" + path);
  ::umask(before);
  struct stat about;
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  Worker worker(completions);
  Client client("unix:" + path);
  EXPECT_TRUE(client.connected);
  worker.wait(1);
  acceptor.stop();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(EngineAcceptor, neverRemovesAFileThatIsNoSocket) {
  const std::string path = scratch + "/precious";
  ::close(::open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_EQ(wordOf("unix:" + path), "addressInUse");
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(EngineAcceptor, dealsSocketsInTurn) {
  Worker first(completions);
  Worker second(completions);
  Worker third(completions);
  const std::string address = mustListen("127.0.0.1:0");
  std::vector<std::unique_ptr<Client>> clients;
  for (int count = 0; count < 9; ++count) clients.push_back(std::make_unique<Client>(address));
  first.wait(3);
  second.wait(3);
  third.wait(3);
  EXPECT_EQ(acceptor.acceptedTotal(), 9u);
  EXPECT_EQ(acceptor.connectionCount(), 9u);
  for (const Completion& one : first.got) {
    EXPECT_EQ(one.kind, CompletionKind::accepted);
    EXPECT_EQ(one.listener, 1u);
    EXPECT_NE(::fcntl(one.fileDescriptor, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(one.fileDescriptor, F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_F(EngineAcceptor, closesWhatIsAboveTheMaximumUntilOthersEnd) {
  Worker worker(completions);
  const std::string address = mustListen("127.0.0.1:0", 2);
  Client one(address), two(address);
  worker.wait(2);
  Client three(address);
  EXPECT_TRUE(three.isClosed());
  EXPECT_EQ(acceptor.refusedTotal(), 1u);
  acceptor.connectionClosed();
  Client four(address);
  worker.wait(3);
  EXPECT_EQ(acceptor.connectionCount(), 2u);
}

TEST_F(EngineAcceptor, closesSocketsWhenNoWorkerIsThere) {
  const std::string address = mustListen("127.0.0.1:0");
  Client client(address);
  EXPECT_TRUE(client.isClosed());
  EXPECT_EQ(acceptor.connectionCount(), 0u);
}

TEST_F(EngineAcceptor, aClosedWorkerLeavesNoSocketOpen) {
  Worker other(completions);
  auto worker = std::make_unique<Worker>(completions);
  const std::string address = mustListen("127.0.0.1:0");
  Client one(address), two(address), three(address);
  // In turn: once the third one was dealt, so was the second.
  other.wait(2);
  EXPECT_EQ(completions.close(worker->number), 1u);
  acceptor.connectionClosed();
  // One of the three is closed; the other worker has the rest.
  pollfd polled[3] = {{one.descriptor, POLLIN, 0}, {two.descriptor, POLLIN, 0}, {three.descriptor, POLLIN, 0}};
  EXPECT_EQ(::poll(polled, 3, 10'000), 1);
  Client four(address);
  other.wait(3);
}

TEST_F(EngineAcceptor, survivesRunningOutOfDescriptors) {
  Worker worker(completions);
  const std::string address = mustListen("127.0.0.1:0");
  Client early(address);
  worker.wait(1);
  auto late = std::make_unique<Client>("127.0.0.1:1");
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // The client's own descriptor is the last one; the acceptor has only its spare.
  const int highest = ::dup(0);
  std::vector<int> filler;
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(highest + 8);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  for (int next = ::dup(0); next >= 0; next = ::dup(0)) filler.push_back(next);
  ::close(filler.back());
  filler.pop_back();
  {
    Client starved(address);
    ASSERT_TRUE(starved.connected);
    EXPECT_TRUE(starved.isClosed());
  }
  EXPECT_GE(acceptor.starvedTotal(), 1u);
  for (const int one : filler) ::close(one);
  ::close(highest);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  Client after(address);
  worker.wait(2);
  EXPECT_TRUE(after.connected);
}

TEST_F(EngineAcceptor, nothingListensAfterTheStop) {
  const std::string address = mustListen("127.0.0.1:0");
  acceptor.stop();
  Client client(address);
  EXPECT_FALSE(client.connected);
  const auto again = acceptor.listen(1, "127.0.0.1:0", many, 16);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, schema::ErrorCode::SHUTTING_DOWN);
}

}  // namespace
}  // namespace capstan::engine
