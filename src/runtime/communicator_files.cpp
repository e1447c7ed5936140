// What a communicator's config names by files. Apart from the checks of its values, which a fuzzer takes without OpenSSL.
#include "net/pki.h"
#include "runtime/communicator.h"
#include "runtime/join_string.h"

namespace seaway::runtime {

Error read_files(CommunicatorConfig& config) {
  const auto wrong = [](std::string text) { return Error{Status::invalid, std::move(text), "", {}, {}, kNoPeer}; };
  std::string problem;
  auto join = join_text(config.join, problem);
  if (!join) {
    return wrong("join: " + problem);
  }
  config.join = std::move(*join);
  const PkiFiles& pki = config.pki;
  const bool has_all = !pki.authorities.empty() && !pki.certificate.empty() && !pki.key.empty();
  if (has_all && !net::Pki::load(pki.authorities, pki.certificate, pki.key, problem)) {
    return wrong("ca, cert, key: " + problem);
  }
  return {};
}

}  // namespace seaway::runtime
