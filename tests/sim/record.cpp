#include "sim/record.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "hash/hash.h"
#include "sim/reference.h"

namespace seaway::sim {

namespace {

constexpr std::uint64_t kMostElements = 1u << 24;
constexpr collective::PlanKind kPlans[] = {collective::PlanKind::direct, collective::PlanKind::one_shot,
                                           collective::PlanKind::hierarchical};

std::uint64_t number(const std::map<std::string, std::string>& fields, const char* name) {
  const auto it = fields.find(name);
  if (it == fields.end()) {
    throw std::invalid_argument(std::string("the record lacks ") + name + "=");
  }
  std::size_t used = 0;
  const std::uint64_t value = std::stoull(it->second, &used);
  if (used != it->second.size()) {
    throw std::invalid_argument(std::string(name) + "=" + it->second + " is no number");
  }
  return value;
}

template <class T, std::size_t N>
T named(const std::map<std::string, std::string>& fields, const char* name, const T (&all)[N]) {
  const auto it = fields.find(name);
  for (const T value : all) {
    if (it != fields.end() && it->second == name_of(value)) {
      return value;
    }
  }
  throw std::invalid_argument(std::string("the record lacks a known ") + name + "=");
}

struct Flow {
  PeerId from = kNoPeer;
  PeerId to = kNoPeer;
  std::uint64_t count = 0;
};

// FROM>TO:COUNT,...
std::vector<Flow> flows(const std::string& text) {
  std::vector<Flow> list;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const std::size_t arrow = item.find('>');
    const std::size_t colon = item.find(':');
    if (arrow == std::string::npos || colon == std::string::npos) {
      throw std::invalid_argument("flows= and receives= take FROM>TO:COUNT,...");
    }
    list.push_back({std::stoull(item), std::stoull(item.substr(arrow + 1)), std::stoull(item.substr(colon + 1))});
    if (list.back().count > kMostElements) {
      throw std::invalid_argument("a count is above what a record may ask for");
    }
  }
  return list;
}

Record parse(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      throw std::invalid_argument("\"" + word + "\" is not name=value");
    }
    fields[word.substr(0, equals)] = word.substr(equals + 1);
  }
  Record record;
  record.descriptor.kind = static_cast<collective::OpKind>(number(fields, "kind"));
  record.descriptor.dtype = named(fields, "dtype", kAllDTypes);
  record.descriptor.reduction = named(fields, "op", kAllReductions);
  record.descriptor.count = number(fields, "count");
  record.descriptor.up = named(fields, "codec", kAllCodecs);
  record.descriptor.down = named(fields, "down", kAllCodecs);
  record.descriptor.rounding = fields["rounding"] == "stochastic" ? Rounding::stochastic : Rounding::nearest;
  for (const collective::PlanKind plan : kPlans) {
    if (fields["plan"] == name_of(plan)) {
      record.attempt.plan = plan;
    }
  }
  std::istringstream sites(fields["sites"]);
  for (std::string item; std::getline(sites, item, ',');) {
    const std::size_t colon = item.find(':');
    if (colon == std::string::npos) {
      throw std::invalid_argument("sites= takes ID:NUMBER,...");
    }
    record.attempt.sites[std::stoull(item)] = static_cast<std::uint32_t>(std::stoul(item.substr(colon + 1)));
  }
  record.attempt.chunk_bytes = static_cast<std::uint32_t>(number(fields, "chunk"));
  record.seed = number(fields, "seed");
  record.planned = {static_cast<std::uint16_t>(number(fields, "lane")), number(fields, "update"),
                    static_cast<std::uint32_t>(number(fields, "index"))};
  record.attempt.op = {record.planned.lane, static_cast<std::uint32_t>(number(fields, "generation")),
                       number(fields, "tag"), static_cast<std::uint32_t>(number(fields, "seq"))};
  if (record.descriptor.count > kMostElements) {
    throw std::invalid_argument("count is above what a record may ask for");
  }
  std::istringstream list(fields["contributors"]);
  for (std::string item; std::getline(list, item, ',');) {
    const std::size_t colon = item.find(':');
    if (colon == std::string::npos) {
      throw std::invalid_argument("contributors= takes ID:WEIGHT,ID:WEIGHT:residual,...");
    }
    record.contributors.push_back({std::stoull(item), std::stod(item.substr(colon + 1))});
    if (item.ends_with(":residual")) {
      record.feeding_back.insert(record.contributors.back().id);
    }
  }
  for (const auto& contributor : record.contributors) {
    if (record.attempt.plan == collective::PlanKind::hierarchical && !record.attempt.sites.contains(contributor.id)) {
      throw std::invalid_argument("plan=hierarchical takes sites=, with each contributor's");
    }
  }
  if (record.contributors.empty()) {
    throw std::invalid_argument("a result without contributors has no bits");
  }
  if (record.descriptor.kind == collective::OpKind::exchange) {
    record.blocks.mine = number(fields, "mine");
    for (const auto& [from, to, count] : flows(fields["flows"])) {
      record.sends[from].push_back({to, count});
    }
    for (const auto& [from, to, count] : flows(fields["receives"])) {
      record.descriptor.receives.push_back({from, count});
    }
  }
  if (has_blocks(record.descriptor.kind)) {
    record.blocks.mine = number(fields, "mine");
    std::istringstream owners(fields["blocks"]);
    for (std::string item; std::getline(owners, item, ',');) {
      record.blocks.owners.push_back(std::stoull(item));
    }
    record.descriptor.blocks = record.blocks.owners.size();
    if (std::ranges::find(record.blocks.owners, record.blocks.mine) == record.blocks.owners.end()) {
      throw std::invalid_argument("blocks= takes whose each block is, ID,ID,..., and mine= is one of them");
    }
  }
  return record;
}

}  // namespace

std::string to_text(const Record& record) {
  const collective::Descriptor& d = record.descriptor;
  std::ostringstream text;
  text << "kind=" << static_cast<int>(d.kind) << " dtype=" << name_of(d.dtype) << " op=" << name_of(d.reduction)
       << " count=" << d.count << " plan=" << name_of(record.attempt.plan) << " codec=" << name_of(d.up)
       << " down=" << name_of(d.down) << " rounding=" << (d.rounding == Rounding::stochastic ? "stochastic" : "nearest")
       << " chunk=" << record.attempt.chunk_bytes << " generation=" << record.attempt.op.generation
       << " tag=" << record.attempt.op.tag << " seq=" << record.attempt.op.seq << " seed=" << record.seed
       << " lane=" << record.planned.lane << " update=" << record.planned.update << " index=" << record.planned.index
       << " contributors=";
  for (std::size_t i = 0; i < record.contributors.size(); ++i) {
    const collective::Contributor& contributor = record.contributors[i];
    text << (i > 0 ? "," : "") << contributor.id << ":" << contributor.weight
         << (record.feeding_back.contains(contributor.id) ? ":residual" : "");
  }
  const char* before_site = " sites=";
  for (const auto& [id, number] : record.attempt.sites) {
    text << std::exchange(before_site, ",") << id << ":" << number;
  }
  if (has_blocks(d.kind)) {
    text << " mine=" << record.blocks.mine << " blocks=";
    for (std::size_t i = 0; i < record.blocks.owners.size(); ++i) {
      text << (i > 0 ? "," : "") << record.blocks.owners[i];
    }
  }
  if (d.kind == collective::OpKind::exchange) {
    text << " mine=" << record.blocks.mine;
    const char* before = " flows=";
    for (const auto& [from, list] : record.sends) {
      for (const collective::Share& share : list) {
        text << std::exchange(before, ",") << from << ">" << share.peer << ":" << share.count;
      }
    }
    before = " receives=";
    for (const collective::Share& share : d.receives) {
      text << std::exchange(before, ",") << share.peer << ">" << record.blocks.mine << ":" << share.count;
    }
  }
  return text.str();
}

int print_reference(const std::string& text) {
  try {
    const Record record = parse(text);
    std::vector<ReferenceInput> inputs;
    for (const auto& [id, weight] : record.contributors) {
      collective::Descriptor theirs = record.descriptor;
      theirs.feeds_back = record.feeding_back.contains(id);
      const auto sends = record.sends.find(id);
      theirs.sends = sends == record.sends.end() ? std::vector<collective::Share>{} : sends->second;
      inputs.push_back({id, input_of(record.seed, id, record.planned, theirs), weight,
                        residual_of(record.seed, id, record.planned, theirs), theirs.sends});
    }
    const std::vector<std::byte> bits = reference(record.descriptor, inputs, record.blocks, record.attempt);
    std::printf("xxh3 %016" PRIx64 ", %zu bytes:", hash64(bits), bits.size());
    for (std::size_t i = 0; i < bits.size() && i < 32; ++i) {
      std::printf(" %02x", static_cast<unsigned>(bits[i]));
    }
    std::puts(bits.size() > 32 ? " ..." : "");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "--reduce: %s\n", error.what());
    return 2;
  }
}

}  // namespace seaway::sim
