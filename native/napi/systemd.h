// Messages to the service manager, by systemd's notification protocol (sd_notify). Owns the datagram; what it says and
// when is src/server/systemd.ts's. Never fails: a message that cannot be delivered is one that nobody waits for, or one
// whose absence the service manager's own time-outs notice.
#pragma once

#include <string_view>

namespace capstan::napi {

// Sends `state` to the socket that NOTIFY_SOCKET names ('/' a path, '@' an abstract name); nothing without it.
void notifySystemdSocket(std::string_view state);

}  // namespace capstan::napi
