// One datagram to the service manager's socket: its address, the send with a bound on the wait. Keeps no socket open.
// See systemd.h.
#include "napi/systemd.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

namespace capstan::napi {

namespace {

// A service manager that does not read holds the main thread up no longer.
constexpr time_t sendSecondsMax = 1;

}  // namespace

void notifySystemdSocket(std::string_view state) {
  const char* variable = std::getenv("NOTIFY_SOCKET");
  const std::string_view name = variable == nullptr ? "" : variable;
  sockaddr_un address{};
  if (name.size() < 2 || name.size() > sizeof(address.sun_path) - 1 || (name[0] != '/' && name[0] != '@')) return;
  address.sun_family = AF_UNIX;
  std::ranges::copy(name, address.sun_path);
  // An abstract name begins with a NUL and is as long as it is; a path ends with one.
  const bool isAbstract = name[0] == '@';
  if (isAbstract) address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (isAbstract ? 0 : 1));

  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  const timeval wait{.tv_sec = sendSecondsMax, .tv_usec = 0};
  (void)::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
  (void)::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
  ::close(socket);
}

}  // namespace capstan::napi
