// What is known of each status, in one table: its name, whether the same call may succeed later, what to do next.
#pragma once

#include <seaway/seaway.h>

#include <string>

#include "base/status.h"

namespace seaway::capi {

struct StatusFacts {
  Status status;
  const char* name;
  bool retryable;    // the same call, with nothing changed but time, may succeed
  const char* text;  // for an error that came without words
};

// Null for a number that is no status.
const StatusFacts* facts_of(Status status);

constexpr seaway_status to_c(Status status) { return static_cast<seaway_status>(status); }

// An error in words; in those of the table if `text` is empty.
Error make_error(Status status, std::string text = {});

inline Error invalid(std::string text) { return make_error(Status::invalid, std::move(text)); }

// Fills *into (of a size that was checked).
void fill(seaway_error& into, const Error& error);

// Copies text into `size` bytes, ending with 0; too long a text is cut between two characters.
void copy_text(char* into, std::size_t size, const std::string& text);

// The first bytes of `text`, at most `size`, cut between two characters.
std::string shortened(std::string text, std::size_t size);

bool is_utf8(const std::string& text);

}  // namespace seaway::capi
