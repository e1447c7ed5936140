// What the program tells the service manager that started it, when that asked to hear (Type=notify): the protocol of
// sd_notify(3), one datagram to the socket that NOTIFY_SOCKET names.
#pragma once

#include <string>

namespace seaway {

// "READY=1", "STOPPING=1", "STATUS=text", one a line. Does nothing when nobody asked, or nobody listens.
void tell_service_manager(const std::string& state);

}  // namespace seaway
