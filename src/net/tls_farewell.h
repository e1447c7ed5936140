// What a stream had taken and not sent yet when it was destroyed. TCP goes on sending after close(); so does this, for a
// while.
#pragma once

#include <memory>

#include "net/loop.h"
#include "net/stream.h"
#include "net/tls_context.h"

namespace seaway::net {

// Sends `rest`, then closes `below`, whose callbacks are the caller's no more.
void send_and_close(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context, TlsBuffer rest);

}  // namespace seaway::net
