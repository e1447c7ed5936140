#include "lab/model/statement.h"

#include <sstream>

#include "lab/model/units.h"

namespace seaway::lab {

namespace {

// The words of a line, taken one by one. The first thing that is wrong stays.
class Words {
 public:
  explicit Words(const std::string& text) {
    std::istringstream stream(text.substr(0, text.find('#')));
    for (std::string word; stream >> word;) {
      words_.push_back(word);
    }
  }

  bool at_end() const { return next_ == words_.size(); }
  bool is_next(const char* word) const { return !at_end() && words_[next_] == word; }
  bool take(const char* word) {
    const bool is = is_next(word);
    next_ += is ? 1 : 0;
    return is;
  }
  std::string take(const std::string& after, const std::string& what) {
    if (at_end()) {
      fail("\"" + after + "\" needs " + what);
      return "";
    }
    return words_[next_++];
  }
  std::string peek() const { return at_end() ? "" : words_[next_]; }

  // The value of a word that was just taken.
  template <class Value>
  std::optional<Value> value(const std::string& key, std::optional<Value> (*parse)(const std::string&),
                             const char* example) {
    const std::string text = take(key, std::string("a value such as ") + example);
    const std::optional<Value> value = parse(text);
    if (!value && problem_.empty()) {
      fail(key + ": \"" + text + "\" is not understood; it is written as in " + example);
    }
    return value;
  }

  void fail(const std::string& problem) {
    if (problem_.empty()) {
      problem_ = problem;
    }
  }
  bool is_fine() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }

 private:
  std::vector<std::string> words_;
  std::size_t next_ = 0;
  std::string problem_;
};

std::string take_name(Words& words, const std::string& after) {
  const std::string name = words.take(after, "a name");
  if (words.is_fine() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string::npos) {
    words.fail("\"" + name + "\" is no name: small letters, digits, - and _");
  }
  return name;
}

bool take_link_word(Words& words, LinkChange& link) {
  constexpr const char* kRate = "500mbit, 1gbit or unlimited";
  if (words.take("rate")) {
    link.up = link.down = words.value("rate", parse_rate, kRate);
  } else if (words.take("up")) {
    link.up = words.value("up", parse_rate, kRate);
  } else if (words.take("down")) {
    link.down = words.value("down", parse_rate, kRate);
  } else if (words.take("queue")) {
    link.queue = words.value("queue", parse_bytes, "2mb or 512kib");
  } else {
    return false;
  }
  return true;
}

void unknown(Words& words, const std::string& statement, const std::string& known) {
  words.fail(statement + ": \"" + words.peek() + "\" is not understood; it knows " + known);
}

Statement parse_site(Words& words) {
  SiteStatement site{take_name(words, "site"), {}};
  while (words.is_fine() && !words.at_end()) {
    if (!take_link_word(words, site.link)) {
      unknown(words, "site", "rate, up, down and queue");
    }
  }
  return site;
}

Statement parse_trunk(Words& words) {
  TrunkStatement trunk{take_name(words, "trunk"), {}, {}};
  while (words.is_fine() && !words.at_end()) {
    if (words.take("sites")) {
      while (words.is_fine() && !words.at_end()) {
        trunk.sites.push_back(take_name(words, "sites"));
      }
    } else if (!take_link_word(words, trunk.link)) {
      unknown(words, "trunk", "rate, up, down, queue and, last, sites");
    }
  }
  return trunk;
}

Pairs parse_pairs(Words& words, const std::string& statement) {
  const auto end = [&] { return words.take("*") ? std::string("*") : take_name(words, statement); };
  Pairs pairs;
  pairs.from = end();
  pairs.both_ways = !words.take("->");
  pairs.to = end();
  if (words.is_fine() && pairs.from == pairs.to && pairs.from != "*") {
    words.fail(statement + ": nothing lies between \"" + pairs.from + "\" and itself");
  }
  return pairs;
}

Statement parse_path(Words& words) {
  PathStatement path{parse_pairs(words, "path"), {}, {}};
  while (words.is_fine() && !words.at_end()) {
    if (words.take("delay")) {
      path.delay = words.value("delay", parse_duration, "25ms or 1.5s");
    } else if (words.take("loss")) {
      path.loss = words.value("loss", parse_share, "0.1%");
    } else {
      unknown(words, "path", "delay and loss");
    }
  }
  return path;
}

Statement parse_cut(Words& words, bool cut) {
  const char* name = cut ? "cut" : "heal";
  CutStatement statement{parse_pairs(words, name), cut};
  if (words.is_fine() && !words.at_end()) {
    unknown(words, name, "two sites, and -> between them");
  }
  return statement;
}

}  // namespace

bool parse_line(const std::string& text, Line& line, std::string& problem) {
  Words words(text);
  line = {};
  if (words.at_end()) {
    return true;
  }
  if (words.take("at")) {
    line.at = words.value("at", parse_duration, "10s");
  }
  if (words.take("site")) {
    line.statement = parse_site(words);
  } else if (words.take("trunk")) {
    line.statement = parse_trunk(words);
  } else if (words.take("path")) {
    line.statement = parse_path(words);
  } else if (words.is_next("cut") || words.is_next("heal")) {
    const bool cut = words.take("cut");
    line.statement = parse_cut(words, cut || !words.take("heal"));
  } else {
    words.fail(words.at_end() ? "what is to happen then is missing"
                              : "there is no statement \"" + words.peek() + "\": site, trunk, path, cut, heal, at");
  }
  problem = words.problem();
  return words.is_fine();
}

}  // namespace seaway::lab
