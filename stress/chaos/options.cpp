#include "chaos/options.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "chaos/program.h"
#include "chaos/stage.h"

namespace seaway::chaos {

const char* const kHelp =
    R"(seaway_chaos - a run of real processes under every fault that there is, each promise checked

A master and 3 to 6 trainers reduce without a pause, encrypted. In an episode comes one fault alone, or up to twelve of
different classes that overlap; then everything is healed, and the run has to be whole again before the next. Checked all the time:

  - every element of every result is the sum over exactly the contributors that the result names, bit for bit
  - any two trainers were told the same of an op; an op is aborted or refused for a reason that this program knows
  - after anything but a commit the input is what it was
  - nobody hangs, nobody ends, nobody is evicted without a fault that explains it; the master's faults explain none. Who was
    silent for longer than `evict` may be evicted, and has to be if the master was well meanwhile; who was hindered more shortly
    may not, unless it was twice, or the master was too
  - every master that is started again prints the same join string; no stranger is let in, and those that are refused are counted

  --seed S             draws the faults and the data (default 1). What happens when is up to the machine: a seed that failed
                       fails again often, not always
  --minutes M          how long (default 2); fractions are fine
  --peers N            3 to 6; without it the seed draws
  --sites N            the trainers are at N sites, in turn, so that their all-reduces are hierarchical; 0: none says any. Without it
                       the seed draws
  --only CLASS[,...]   faults of these classes alone; --list shows them
  --every SECONDS      from one fault to the next, one at a time; without it the next comes when the run is whole again, and ops
                       are of mixed sizes, 4 bytes to 16 MiB, up to four in flight
  --mib M              every op has M MiB (default with --every: 16)
  --count N            ends after so many faults, instead of after so many minutes
  --plaintext          without TLS: certificates, tokens and whatever hangs on them are not tested then
  --mixed              the seed draws it: one in four is in plaintext
  --verbose            tells each fault
  --keep               keeps the logs of a good run too
  --list               the classes, and which of them this system does not allow, and why

The network's faults need namespaces (root, or a kernel that lets users make their own) and ip, nft, ss and nsenter. Where they are
not to be had, these classes are left out, and it says so.

  seaway_chaos --seed 7 --minutes 10
  seaway_chaos --only master-kill --every 5 --count 100      the master is killed every 5 s; nobody may notice

Exit code 1 when a promise was broken: the logs are then kept, and the last lines say where, and what repeats it.
)";

namespace {

bool is_class(const std::string& name) {
  return std::any_of(fault_classes().begin(), fault_classes().end(),
                     [&](const FaultClass& fault) { return fault.name == name; });
}

}  // namespace

bool Options::wants(const std::string& fault) const {
  return only.empty() || std::find(only.begin(), only.end(), fault) != only.end();
}

std::string Options::in_words() const {
  char text[128];
  std::snprintf(text, sizeof text, "--seed %llu --minutes %g --peers %u", static_cast<unsigned long long>(seed),
                minutes, peers);
  std::string words = text;
  std::string list;
  for (const std::string& name : only) {
    list += (list.empty() ? "" : ",") + name;
  }
  words += sites ? " --sites " + std::to_string(*sites) : "";
  words += list.empty() ? "" : " --only " + list;
  words += is_plaintext ? " --plaintext" : "";
  if (every > 0) {
    std::snprintf(text, sizeof text, " --every %g", every);
    words += text;
  }
  words += count > 0 ? " --count " + std::to_string(count) : "";
  words += mib > 0 ? " --mib " + std::to_string(mib) : "";
  return words;
}

std::string read_options(const std::vector<std::string>& words, Options& options) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--verbose") {
      options.is_verbose = true;
      continue;
    }
    if (word == "--keep") {
      options.keeps_logs = true;
      continue;
    }
    if (word == "--plaintext" || word == "--mixed") {
      (word == "--mixed" ? options.is_mixed : options.is_plaintext) = true;
      continue;
    }
    if (i + 1 == words.size()) {
      return "\"" + word + "\" is not understood, or lacks its value";
    }
    const std::string& value = words[++i];
    const double number = std::strtod(value.c_str(), nullptr);
    if (word == "--only") {
      std::istringstream list(value);
      for (std::string name; std::getline(list, name, ',');) {
        if (!is_class(name)) {
          return "\"" + name + "\" is no class of faults; --list";
        }
        options.only.push_back(name);
      }
    } else if (word == "--seed") {
      options.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else if (word == "--minutes" && number > 0) {
      options.minutes = number;
    } else if (word == "--peers" && number >= 3 && number <= kMostReplicas - 2) {
      options.peers = static_cast<unsigned>(number);
    } else if (word == "--sites" && number >= 0) {
      options.sites = static_cast<unsigned>(number);
    } else if (word == "--every" && number >= 0) {
      options.every = number;
    } else if (word == "--count" && number >= 1) {
      options.count = static_cast<unsigned>(number);
    } else if (word == "--mib" && number >= 1) {
      options.mib = static_cast<std::uint64_t>(number);
    } else {
      return "\"" + word + " " + value + "\" is not understood";
    }
  }
  if (options.every > 0 && options.mib == 0) {
    options.mib = kLargeOpBytes >> 20;
  }
  return "";
}

}  // namespace seaway::chaos
