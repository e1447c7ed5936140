// One fixed run told in plain words, for who has never seen seaway. Returns the exit code.
#pragma once

namespace seaway::sim {
int tell_story();
}  // namespace seaway::sim
