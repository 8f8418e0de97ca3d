// Parsing, resolving, binding and listening as address.h says. Owns the socket until it is returned. Called by the
// acceptor.
#include "engine/address.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

namespace capstan::engine {
namespace {

constexpr std::string_view unixPrefix = "unix:";

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor(descriptor) {}
  ~Socket() {
    if (descriptor >= 0) ::close(descriptor);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor; }
  int release() { return std::exchange(descriptor, -1); }

 private:
  int descriptor;
};

Error refusal(const std::string& address, const std::string& why, const char* word) {
  return Error{schema::ErrorCode::INVALID_ARGUMENT, "cannot listen on " + address + ": " + why, word, 0};
}

Error refusal(const std::string& address, int number) {
  const char* word =
      number == EADDRINUSE                  ? "addressInUse"
      : number == EACCES || number == EPERM ? "addressForbidden"
      : number == EADDRNOTAVAIL || number == EAFNOSUPPORT || number == ENOENT || number == ENOTDIR || number == EROFS
          ? "addressInvalid"
          : "";
  return refusal(address, std::strerror(number), word);
}

int startListening(int descriptor, uint32_t backlog) {
  return ::listen(descriptor, static_cast<int>(std::min<uint32_t>(std::max(1u, backlog), INT_MAX)));
}

// --- unix:PATH -------------------------------------------------------------------------------------------------------

// A socket file that is left over from a server that was killed: connecting is refused.
bool isStale(const sockaddr_un& name, socklen_t nameBytes) {
  struct stat about;
  if (::lstat(name.sun_path, &about) != 0 || !S_ISSOCK(about.st_mode)) return false;
  const Socket probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return false;
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), nameBytes) != 0 && errno == ECONNREFUSED;
}

Result<BoundSocket> listenUnix(const std::string& address, uint32_t backlog) {
  const std::string path = address.substr(unixPrefix.size());
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path) || path.find('\0') != std::string::npos) {
    return refusal(address, "the path must have 1 to " + std::to_string(sizeof(name.sun_path) - 1) + " bytes",
                   "addressInvalid");
  }
  std::memcpy(name.sun_path, path.data(), path.size());
  const auto nameBytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return refusal(address, errno);
  // Sets the mode that bind gives the file, so that it is never open to others, not even for a moment.
  if (::fchmod(socket.get(), 0600) != 0) return refusal(address, errno);
  const auto* raw = reinterpret_cast<const sockaddr*>(&name);
  if (::bind(socket.get(), raw, nameBytes) != 0) {
    if (errno != EADDRINUSE) return refusal(address, errno);
    if (!isStale(name, nameBytes)) return refusal(address, EADDRINUSE);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return refusal(address, errno);
    if (::bind(socket.get(), raw, nameBytes) != 0) return refusal(address, errno);
  }
  if (::chmod(path.c_str(), 0600) != 0 || startListening(socket.get(), backlog) != 0) {
    const int number = errno;
    ::unlink(path.c_str());
    return refusal(address, number);
  }
  return BoundSocket{socket.release(), address, path};
}

// --- TCP -------------------------------------------------------------------------------------------------------------

struct HostPort {
  std::string host;
  std::string port;
};

std::optional<HostPort> split(const std::string& address) {
  HostPort parts;
  if (address.starts_with('[')) {
    const size_t end = address.find("]:");
    if (end == std::string::npos) return std::nullopt;
    parts = {address.substr(1, end - 1), address.substr(end + 2)};
  } else {
    const size_t colon = address.find(':');
    if (colon == std::string::npos || address.find(':', colon + 1) != std::string::npos) return std::nullopt;
    parts = {address.substr(0, colon), address.substr(colon + 1)};
  }
  uint32_t port = 0;
  const char* end = parts.port.data() + parts.port.size();
  const auto [at, code] = std::from_chars(parts.port.data(), end, port);
  if (parts.host.empty() || code != std::errc() || at != end || port > 65535) return std::nullopt;
  return parts;
}

std::string nameOf(const sockaddr_storage& name, socklen_t nameBytes) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&name), nameBytes, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  return name.ss_family == AF_INET6 ? "[" + std::string(host) + "]:" + port : std::string(host) + ":" + port;
}

// 0, or the errno of what failed.
int tryBind(const addrinfo& choice, uint32_t backlog, BoundSocket& bound) {
  Socket socket(::socket(choice.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return errno;
  const int on = 1;
  // Only lets a port be taken again whose old connections linger; a listening one stays taken.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return errno;
  if (choice.ai_family == AF_INET6 && ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) {
    return errno;
  }
  if (::bind(socket.get(), choice.ai_addr, choice.ai_addrlen) != 0) return errno;
  if (startListening(socket.get(), backlog) != 0) return errno;
  sockaddr_storage name{};
  socklen_t nameBytes = sizeof(name);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &nameBytes) != 0) return errno;
  bound = {socket.release(), nameOf(name, nameBytes), ""};
  return 0;
}

Result<BoundSocket> listenTcp(const std::string& address, uint32_t backlog) {
  const std::optional<HostPort> parts = split(address);
  if (!parts) return refusal(address, "it is not HOST:PORT, [HOST]:PORT or unix:PATH", "addressInvalid");
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found); code != 0) {
    return refusal(address, ::gai_strerror(code), "addressInvalid");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> choices(found, ::freeaddrinfo);
  // A name may stand for addresses of both families; the first that can be bound counts, and why it could not
  // otherwise.
  int failure = EADDRNOTAVAIL;
  for (const addrinfo* choice = found; choice != nullptr; choice = choice->ai_next) {
    BoundSocket bound;
    const int number = tryBind(*choice, backlog, bound);
    if (number == 0) return bound;
    if (choice == found || failure == EAFNOSUPPORT || failure == EADDRNOTAVAIL) failure = number;
    // A taken port stays an error, even where another family's is free.
    if (number == EADDRINUSE) break;
  }
  return refusal(address, failure);
}

}  // namespace

Result<BoundSocket> bindAndListen(const std::string& address, uint32_t backlog) {
  return address.starts_with(unixPrefix) ? listenUnix(address, backlog) : listenTcp(address, backlog);
}

}  // namespace capstan::engine
