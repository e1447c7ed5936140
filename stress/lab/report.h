// The figures at the end.
#pragma once

#include "lab/emulator.h"

namespace seaway::lab {

// To stderr: stdout is the commands'.
void print_report(const Network& network, const Ground& ground, const Emulator::Figures& figures);

}  // namespace seaway::lab
