#include "runtime/status_text.h"

#include <cstdio>

namespace seaway::runtime {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string field(const char* name, const std::string& value) { return quoted(name) + ":" + value; }
std::string number(std::uint64_t value) { return std::to_string(value); }
std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(duration) / kSecond);
  return text;
}
std::string epoch(const Epoch& value) {
  return "{" + field("term", number(value.term)) + "," + field("number", number(value.number)) + "}";
}

std::string member(const core::MemberStatus& status) {
  std::string addresses;
  for (const std::string& address : status.info.addresses) {
    addresses += (addresses.empty() ? "" : ",") + quoted(address);
  }
  return "{" + field("peer", number(status.info.id)) + "," + field("name", quoted(status.info.name)) + "," +
         field("replica", number(status.info.replica)) + "," + field("lane", number(status.info.lane)) + "," +
         field("addresses", "[" + addresses + "]") + "," + field("member", status.pending ? "false" : "true") + "," +
         field("connected", status.connected ? "true" : "false") + "," + field("silent_s", seconds(status.silence)) +
         "," + field("update_count", number(status.update_count)) + "," + field("waits_for", quoted(status.waits_for)) +
         "}";
}

}  // namespace

std::string status_json(const core::MasterStatus& status, const std::string& address, Duration uptime,
                        const std::map<std::string, std::uint64_t>& refusals, std::size_t strangers) {
  std::string members;
  for (const core::MemberStatus& one : status.members) {
    members += (members.empty() ? "" : ",") + member(one);
  }
  std::string refused;
  for (const auto& [reason, count] : refusals) {
    refused += (refused.empty() ? "" : ",") + field(reason.c_str(), number(count));
  }
  return "{" + field("address", quoted(address)) + "," + field("uptime_s", seconds(uptime)) + "," +
         field("term", number(status.term)) + "," + field("epoch", epoch(status.epoch)) + "," +
         field("cut", epoch(status.cut)) + "," + field("resolved", status.resolved ? "true" : "false") + "," +
         field("stage", quoted(status.stage)) + "," + field("members", "[" + members + "]") + "," +
         field("strangers", number(strangers)) + "," + field("refusals", "{" + refused + "}") + "}";
}

}  // namespace seaway::runtime
