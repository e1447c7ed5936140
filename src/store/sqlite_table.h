// The record in a folder: an SQLite database, and a lock that a second master does not get.
#pragma once

#include <memory>
#include <string>

#include "store/store.h"

namespace seaway::store {

// Opens DIR/run.sqlite, both made if they are not there, for their owner alone. Null when it cannot, with `problem` in words:
// another master has the folder, no access, a file that is damaged or of another version.
std::unique_ptr<Table> open_sqlite(const std::string& folder, std::string& problem);

}  // namespace seaway::store
