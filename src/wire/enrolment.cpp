#include "wire/enrolment.h"

#include "base/limits.h"

namespace seaway::wire {

template <class A>
void fields(A& a, Greeting& m) {
  a(m.version_low);
  a(m.version_high);
}
template <class A>
void fields(A& a, Proof& m) {
  a(m.token);
  a(m.hmac);
}
template <class A>
void fields(A& a, Enrol& m) {
  a(m.uuid);
  a(m.id);
  a(m.public_key, kMaxKeyBytes);
}
template <class A>
void fields(A& a, NewToken& m) {
  a(m.use, TokenUse::admin);
  a(m.lifetime_s);
  a(m.label, kMaxNameBytes);
}
template <class A>
void fields(A&, ListTokens&) {}
template <class A>
void fields(A& a, RevokeToken& m) {
  a(m.id);
}
template <class A>
void fields(A& a, EvictPeer& m) {
  a(m.who, kMaxNameBytes);
  a(m.reason, kMaxReasonBytes);
  a(m.deny);
}
template <class A>
void fields(A& a, ShowStatus& m) {
  a(m.json);
}
template <class A>
void fields(A& a, ProvenRequest& m) {
  a(m.proof);
  a(m.request);
}
template <class A>
void fields(A& a, Enrolled& m) {
  a(m.run);
  a(m.certificate, kMaxCertificateBytes);
  a(m.authority, kMaxCertificateBytes);
}
template <class A>
void fields(A& a, Done& m) {
  a(m.text, kMaxControlBytes);
}
template <class A>
void fields(A& a, Refused& m) {
  a(m.reason, kMaxReasonBytes);
}

std::vector<std::byte> encode_request(const Request& request) {
  Writer writer;
  writer(request);
  return writer.take();
}

std::vector<std::byte> encode(const ProvenRequest& request) { return framed(request); }
std::vector<std::byte> encode(const Answer& answer) { return framed(answer); }
std::optional<ProvenRequest> decode_request(std::span<const std::byte> body) { return unframed<ProvenRequest>(body); }
std::optional<Answer> decode_answer(std::span<const std::byte> body) { return unframed<Answer>(body); }

}  // namespace seaway::wire
