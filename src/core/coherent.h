// An EPOCH in itself: what any that a healthy master has written obeys, whoever says it. A peer reads it from a master, and a
// master without a store from the HELLO of a peer, whose word it would make everybody's.
#pragma once

#include <string>

#include "wire/messages.h"

namespace seaway::core {

// "" or in words what of it contradicts what else.
std::string why_incoherent(const wire::EpochMessage& message);

}  // namespace seaway::core
