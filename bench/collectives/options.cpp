#include "collectives/options.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <map>

namespace seaway::bench {

namespace {

bool to_number(const std::string& text, std::uint64_t& number) {
  char* end = nullptr;
  errno = 0;
  number = std::strtoull(text.c_str(), &end, 10);
  return !text.empty() && text[0] != '-' && *end == '\0' && errno == 0;
}

const std::map<std::string, Collective> kCollectives{{"all_reduce", Collective::all_reduce},
                                                     {"reduce_scatter", Collective::reduce_scatter},
                                                     {"all_gather", Collective::all_gather},
                                                     {"exchange", Collective::exchange}};

constexpr const char* kCodecs[] = {"none", "bf16", "q8", "q4"};  // by their numbers in seaway.h

bool to_codec(const std::string& name, std::int32_t& codec) {
  const auto* const found = std::find(std::begin(kCodecs), std::end(kCodecs), name);
  codec = static_cast<std::int32_t>(found - std::begin(kCodecs));
  return found != std::end(kCodecs);
}

// "q8", or "q8,bf16".
bool to_codecs(const std::string& text, Options& options) {
  const std::size_t comma = text.find(',');
  return to_codec(text.substr(0, comma), options.codec_up) &&
         (comma == std::string::npos || to_codec(text.substr(comma + 1), options.codec_down));
}

}  // namespace

const char* name_of_codec(std::int32_t codec) { return kCodecs[codec]; }

const char* name_of(Collective collective) {
  for (const auto& [name, one] : kCollectives) {
    if (one == collective) {
      return name.c_str();
    }
  }
  return "";
}

std::string site_of(const Options& options, unsigned rank) {
  std::vector<std::string> labels(1);
  for (const char c : options.sites) {
    if (c == ',') {
      labels.emplace_back();
    } else {
      labels.back() += c;
    }
  }
  return labels[rank % labels.size()];
}

bool to_collective(const std::string& name, Collective& collective) {
  const auto found = kCollectives.find(name);
  if (found != kCollectives.end()) {
    collective = found->second;
  }
  return found != kCollectives.end();
}

bool parse(const std::vector<std::string>& words, Options& options, std::string& problem) {
  const std::map<std::string, bool*> flags{{"--in-place", &options.in_place},
                                           {"--json", &options.json},
                                           {"--turns", &options.turns},
                                           {"--encrypted", &options.encrypted},
                                           {"--lab", &options.lab}};
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (const auto flag = flags.find(word); flag != flags.end()) {
      *flag->second = true;
      continue;
    }
    if (i + 1 == words.size()) {
      problem = "\"" + word + "\" is not understood, or needs a value";
      return false;
    }
    const std::string& value = words[++i];
    std::uint64_t number = 0;
    if (word == "--master") {
      options.master = value;
    } else if (word == "--collective") {
      if (!to_collective(value, options.collective)) {
        problem = "there is no collective \"" + value + "\"";
        return false;
      }
    } else if (word == "--codec") {
      if (!to_codecs(value, options)) {
        problem = "--codec takes bf16, q8 or q4, or two of them: \"" + value + "\" is none";
        return false;
      }
    } else if (word == "--sites") {
      options.sites = value;
    } else if (!to_number(value, number)) {
      problem = word + ": \"" + value + "\" is no number";
      return false;
    } else if (word == "--peers") {
      options.peers = static_cast<unsigned>(number);
    } else if (word == "--bytes") {
      options.bytes = number;
    } else if (word == "--floats") {
      options.bytes = number * sizeof(float);
    } else if (word == "--mib") {
      options.bytes = number << 20;
    } else if (word == "--between-mib") {
      options.between_mib = number;
    } else if (word == "--runs") {
      options.runs = static_cast<unsigned>(number);
    } else if (word == "--warmup") {
      options.warmup = static_cast<unsigned>(number);
    } else if (word == "--streams") {
      options.streams = static_cast<unsigned>(number);
    } else if (word == "--rate") {
      options.rate = static_cast<unsigned>(number);
    } else if (word == "--rank") {
      options.rank = static_cast<unsigned>(number);
    } else {
      problem = "\"" + word + "\" is not understood";
      return false;
    }
  }
  if (options.peers == 0 || options.runs == 0) {
    problem = "--peers and --runs are at least 1";
    return false;
  }
  if (options.bytes % sizeof(float) != 0) {
    problem = "--bytes is a multiple of 4: the elements are f32";
    return false;
  }
  if (options.collective != Collective::all_reduce) {
    const std::string name = name_of(options.collective);
    if (options.in_place) {
      problem = name + " is never in place";
    } else if (options.codec_down != 0) {
      problem = name + ": a codec for results is all_reduce's";
    } else if (options.codec_up != 0 && options.collective == Collective::exchange) {
      problem = name + " has no codec";
    } else if (options.bytes % (sizeof(float) * options.peers) != 0) {
      problem = name + ": --bytes has a block of the same size for each of " + std::to_string(options.peers) + " peers";
    }
  }
  return problem.empty();
}

std::vector<std::string> worker_words(const Options& options) {
  std::vector<std::string> words{"worker",
                                 "--collective",
                                 name_of(options.collective),
                                 "--peers",
                                 std::to_string(options.peers),
                                 "--bytes",
                                 std::to_string(options.bytes),
                                 "--between-mib",
                                 std::to_string(options.between_mib),
                                 "--streams",
                                 std::to_string(options.streams),
                                 "--codec",
                                 std::string(name_of_codec(options.codec_up)) + "," + name_of_codec(options.codec_down),
                                 "--rate",
                                 std::to_string(options.rate),
                                 "--sites",
                                 options.sites,
                                 "--master",
                                 options.master,
                                 "--rank",
                                 std::to_string(options.rank)};
  if (options.in_place) {
    words.emplace_back("--in-place");
  }
  if (options.lab) {
    words.emplace_back("--lab");
  }
  return words;
}

}  // namespace seaway::bench
