#include "state/election.h"

#include <algorithm>

#include "base/mutant.h"

namespace seaway::state {

namespace {

std::vector<std::uint32_t> those(std::span<const Row> rows, bool (*wanted)(const Row&)) {
  std::vector<std::uint32_t> list;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    if (rows[i].present && wanted(rows[i])) {
      list.push_back(i);
    }
  }
  return list;
}

std::vector<std::uint32_t> candidates(std::span<const Row> rows) {
  std::vector<std::uint32_t> list = those(rows, [](const Row& row) { return row.role == Role::send_only; });
  if (list.empty()) {
    list = those(rows, [](const Row& row) {
      return row.role == Role::both && MUTANT(unsynced_may_be_elected, row.synced, true);
    });
  }
  if (list.empty()) {
    list = those(rows, [](const Row& row) { return row.role == Role::both; });
  }
  return list;
}

}  // namespace

Election elect(std::span<const Row> rows) {
  Election election;
  const std::vector<std::uint32_t> list = candidates(rows);
  if (list.empty()) {
    election.problem = "every member only receives: at least one has to give the state";
    return election;
  }
  std::uint64_t newest = 0;
  for (const std::uint32_t i : list) {
    newest = std::max(newest, rows[i].revision);
  }
  std::ptrdiff_t most = 0;
  for (const std::uint32_t i : list) {
    if (rows[i].revision != newest && MUTANT(old_revision_elected, true, false)) {
      continue;
    }
    const auto alike = std::count_if(list.begin(), list.end(), [&](std::uint32_t j) {
      return rows[j].revision == rows[i].revision && rows[j].digest == rows[i].digest;
    });
    if (alike > most) {
      most = alike;
      election.revision = rows[i].revision;
      election.digest = rows[i].digest;
    }
  }
  election.everybody_has_it = true;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (!row.present) {
      continue;
    }
    const bool has_it = row.digest == election.digest;
    if (row.role == Role::send_only && (!has_it || row.revision != election.revision)) {
      election.problem = "members that only send have different states: one of them has to receive";
    }
    if (has_it && row.role != Role::receive_only) {
      election.donors.push_back(i);
    }
    election.everybody_has_it = election.everybody_has_it && has_it;
  }
  return election;
}

void encode(const Row& row, std::span<std::uint64_t, kRowWords> words) {
  words[0] = 1 | static_cast<std::uint64_t>(row.role) << 8 | static_cast<std::uint64_t>(row.synced) << 16;
  words[1] = row.revision;
  words[2] = row.digest.low;
  words[3] = row.digest.high;
}

Row decode(std::span<const std::uint64_t, kRowWords> words) {
  Row row;
  row.present = (words[0] & 1) != 0;
  row.role = static_cast<Role>(words[0] >> 8 & 3);
  row.synced = (words[0] >> 16 & 1) != 0;
  row.revision = words[1];
  row.digest = {words[2], words[3]};
  return row;
}

}  // namespace seaway::state
