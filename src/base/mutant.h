// Planted bugs. `MUTANT(name, good, bad)` is `good` in the product. In the one build that tests the tests
// (SEAWAY_MUTANTS) it is `bad` while the mutant of that name is selected: a simulator that does not notice is not
// looking hard enough. tests/sim/mutants.txt says what each one breaks.
#pragma once

#ifdef SEAWAY_MUTANTS

namespace seaway {
// The selected mutant's name, or "". Set once, before anything else runs.
extern const char* selected_mutant;
bool mutant_selected(const char* name);
}  // namespace seaway

#define MUTANT(name, good, bad) (::seaway::mutant_selected(#name) ? (bad) : (good))

#else

#define MUTANT(name, good, bad) (good)

#endif
