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
         "," + field("update_count", number(status.update_count)) + "," + field("links", number(status.links)) + "," +
         field("open_ops", number(status.open_ops)) + "," + field("rate_mbps", number(status.rate_mbps)) + "," +
         field("site", quoted(status.info.site)) + "," + field("waits_for", quoted(status.waits_for)) + "}";
}

}  // namespace

std::string status_json(const core::MasterStatus& status, const ServerStatus& server) {
  std::string members;
  for (const core::MemberStatus& one : status.members) {
    members += (members.empty() ? "" : ",") + member(one);
  }
  std::string refused;
  for (const auto& [reason, count] : server.refusals) {
    refused += (refused.empty() ? "" : ",") + field(reason.c_str(), number(count));
  }
  return "{" + field("address", quoted(server.address)) + "," + field("uptime_s", seconds(server.uptime)) + "," +
         field("term", number(status.term)) + "," + field("epoch", epoch(status.epoch)) + "," +
         field("cut", epoch(status.cut)) + "," + field("resolved", status.resolved ? "true" : "false") + "," +
         field("stage", quoted(status.stage)) + "," + field("members", "[" + members + "]") + "," +
         field("strangers", number(server.strangers)) + "," + field("refusals", "{" + refused + "}") + "}";
}

std::string status_text(const core::MasterStatus& status, const ServerStatus& server) {
  std::string text = "master at " + server.address + ", up " + seconds(server.uptime) + " s\n";
  text += "term " + number(status.term) + ", epoch " + number(status.epoch.number) + ": " + status.stage + "\n\n";
  char line[512];
  std::snprintf(line, sizeof line, "%-20s %-10s %10s %4s %8s %6s %7s %8s\n", "name", "site", "replica", "lane",
                "update", "links", "Mbit/s", "silent");
  text += line;
  for (const core::MemberStatus& one : status.members) {
    const std::string note = one.pending     ? "pending: " + one.waits_for
                             : one.connected ? number(one.open_ops) + " ops open"
                                             : "no connection to the master";
    std::snprintf(line, sizeof line, "%-20.60s %-10.30s %10u %4u %8llu %6u %7s %7.1fs  ", one.info.name.c_str(),
                  one.info.site.empty() ? "-" : one.info.site.c_str(), one.info.replica, unsigned{one.info.lane},
                  static_cast<unsigned long long>(one.update_count), one.links,
                  one.rate_mbps > 0 ? number(one.rate_mbps).c_str() : "-", static_cast<double>(one.silence) / kSecond);
    text += line + note + "\n";
  }
  if (status.members.empty()) {
    text += "nobody has joined\n";
  }
  text += "\n" + number(server.strangers) + " connections have not said who they are";
  for (const auto& [reason, count] : server.refusals) {
    text += "\n" + number(count) + " refused: " + reason;
  }
  return text;
}

}  // namespace seaway::runtime
