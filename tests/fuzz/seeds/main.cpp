// Writes a real message of each kind into the corpora of the decoders: `fuzz_seeds tests/fuzz/corpus` makes seed-* files, which
// are kept in the tree. Run again when a format changes: old bytes decode no more, and the fuzzer would start from nothing.
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "runtime/frame_check.h"
#include "runtime/hello.h"
#include "runtime/join_string.h"
#include "wire/enrolment.h"
#include "wire/messages.h"

using namespace seaway;

namespace {

void write(const std::filesystem::path& corpus, const std::string& target, std::string kind,
           std::span<const std::byte> bytes) {
  for (char& letter : kind) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  std::filesystem::create_directories(corpus / target);
  std::ofstream file(corpus / target / ("seed-" + kind), std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::span<const std::byte> body_of(const std::vector<std::byte>& message) {
  return std::span(message).subspan(wire::kControlHeaderBytes);
}

const OpKey kOp{1, 2, 3, 4};
const wire::MemberInfo kMember{7, {1, 2}, "paris-0", 3, 0, 1, 500, {"192.0.2.1:7000", "[::1]:7000"}, {9, 9}};
const wire::Decision kDecision{kOp, wire::Verdict::abort, "cancelled"};
const wire::Promise kPromise{{1, 4}, 1, 9, {8, 9}};

wire::EpochMessage epoch() {
  wire::EpochMessage message{1, {1, 4}, {1, 3}, {kMember}, {}, {}, {kDecision}, true, 100};
  message.joins.push_back({2, 9, {8}});
  message.bases.push_back({1, {{7, 0, 500, false}, {8, 0, 0, true}}});
  return message;
}

std::vector<wire::MasterMessage> master_messages() {
  return {epoch(),
          wire::Resolve{1, {1, 3}, {kDecision}},
          wire::Ask{1, {1, 4}, {8, 9}},
          wire::CancelAsk{1, {1, 4}},
          wire::Introduce{{kMember}},
          wire::Waiting{"another join comes first"},
          wire::Refused{"the run is full"},
          wire::Evicted{"it was silent"},
          wire::HeartbeatReply{5}};
}

std::vector<wire::PeerMessage> peer_messages() {
  wire::Hello hello;
  hello.run = {3, 4};
  hello.uuid = {1, 2};
  hello.id = 7;
  hello.promise = kPromise;
  hello.taken = epoch();
  hello.learned = {kDecision};
  wire::OpReport report;
  report.op = kOp;
  report.status = wire::OpStatus::holds;
  report.value = {{1, 3}, 5, 6};
  return {hello,
          wire::Join{"paris-0", 3, 0, 1, 2, 500, {"192.0.2.1:7000"}},
          wire::Linked{{8, 9}},
          wire::Report{1, {1, 4}, {report}},
          wire::Promised{kPromise},
          wire::Mismatch{kOp},
          wire::CancelOp{kOp, "its deadline passed"},
          wire::Lost{8, wire::LostKind::stalled},
          wire::Leave{},
          wire::Synced{6},
          wire::Heartbeat{1, 9, 1, {kOp}, 2, 3, 480}};
}

void write_frames(const std::filesystem::path& corpus) {
  for (auto type = wire::FrameType::ready; type <= wire::FrameType::set;
       type = static_cast<wire::FrameType>(static_cast<int>(type) + 1)) {
    const bool counted = type != wire::FrameType::ack && type != wire::FrameType::ping;
    write(corpus, "frame_header", wire::name_of(type),
          runtime::encode_checked({type, wire::Direction::none, 0, counted ? 5u : 0u, kOp, 6, {1, 4}, {1, 3}}));
  }
  const auto write_payload = [&](std::uint8_t which, const char* kind, std::vector<std::byte> payload) {
    payload.insert(payload.begin(), static_cast<std::byte>(which));  // tests/fuzz/frame_payload.cpp
    write(corpus, "frame_payload", kind, payload);
  };
  wire::Ready terms{5, 2.5, Standing::founder, false, "all_reduce sum f32 count 8 quorum 2 grace 500 ms"};
  terms.terms = wire::QuorumTerms{1, DType::f32, Reduction::sum, 8, false, false, 0, 0, 2, 500};
  write_payload(0, "ready with a quorum", wire::encode_payload(terms));
  write_payload(4, "set", wire::encode_payload(wire::ContributorSet{{1, 2, 3}}));
  write_payload(0, "ready", wire::encode_payload(wire::Ready{5, 2.5, Standing::synced, true, "barrier"}));
  write_payload(1, "want", wire::encode_payload(wire::Want{{{0, 3}, {7, 1}}, true}));
  write_payload(2, "hold", wire::encode_payload(wire::Hold{{{1, 3}, 5, 6}}));
  write_payload(3, "ack", wire::encode_payload(wire::Ack{9, {5, 1}, {400, 5}}));
}

void write_door(const std::filesystem::path& corpus) {
  const auto write_side = [&](std::uint8_t which, const char* kind, const std::vector<std::byte>& message) {
    std::vector<std::byte> bytes(body_of(message).begin(), body_of(message).end());
    bytes.insert(bytes.begin(), static_cast<std::byte>(which));  // tests/fuzz/enrolment.cpp
    write(corpus, "enrolment", kind, bytes);
  };
  const wire::Proof proof{7, {1, 2, 3}};
  write_side(1, "enrol", wire::encode(wire::ProvenRequest{proof, wire::Enrol{{1, 2}, 3, {4, 5, 6}}}));
  const wire::Command commands[] = {wire::NewToken{wire::TokenUse::admin, 60, "me"}, wire::ListTokens{},
                                    wire::RevokeToken{7}, wire::EvictPeer{"b", "slow", true}, wire::ShowStatus{true}};
  for (const wire::Command& command : commands) {
    const std::string kind = "command-" + std::to_string(command.index());
    write_side(1, kind.c_str(), wire::encode(wire::ProvenRequest{proof, command}));
  }
  const wire::Answer answers[] = {wire::Greeting{}, wire::Enrolled{{1, 2}, {3, 4}, {5, 6}}, wire::Done{"done"},
                                  wire::Refused{"no"}};
  for (const wire::Answer& answer : answers) {
    const std::string kind = "answer-" + std::to_string(answer.index());
    write_side(0, kind.c_str(), wire::encode(answer));
  }
  const std::string join =
      "seaway1/10.0.0.1:7117,[::1]:7117/" + std::string(48, '5') + "/" + std::string(64, 'a') + "\n";
  write(corpus, "join_string", "one", std::as_bytes(std::span(join)));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: fuzz_seeds CORPUS\n";
    return 2;
  }
  const std::filesystem::path corpus = arguments[1];
  for (const wire::MasterMessage& message : master_messages()) {
    write(corpus, "master_message", wire::name_of(message), body_of(wire::encode(message)));
  }
  for (const wire::PeerMessage& message : peer_messages()) {
    write(corpus, "peer_message", wire::name_of(message), body_of(wire::encode(message)));
  }
  write(corpus, "opening", "run", body_of(wire::encode(wire::Opening{})));
  write(corpus, "link_hello", "control", body_of(runtime::encode_hello({1, {3, 4}, 7, 8, true})));
  write_door(corpus);
  wire::StoredRun stored;
  stored.term = 1;
  stored.tokens = {{7, {1, 2}, wire::TokenUse::join_once, 60, "me", {3, 4}}};
  stored.denied = {{5, 6}};
  stored.roster = {kMember};
  stored.joins = epoch().joins;
  stored.bases = epoch().bases;
  stored.resolutions = stored.decisions = {kDecision};
  write(corpus, "stored_run", "record", wire::encode(stored));
  write_frames(corpus);
  return 0;
}
