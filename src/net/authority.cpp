// The certificate authority of a run: making certificates.
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/assert.h"
#include "net/credentials.h"
#include "net/openssl.h"

namespace seaway::net {

namespace {

constexpr std::int64_t kBackdate_s = 3600;

// A public Ed25519 key has one encoding: this, and 32 bytes. So a stranger's bytes meet no parser.
constexpr std::array<std::uint8_t, 12> kEd25519Prefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                         0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;

std::string text_in(BIO* bio) {
  char* at = nullptr;
  const long size = BIO_get_mem_data(bio, &at);
  return {at, static_cast<std::size_t>(size)};
}

BioPtr reader_of(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1u << 20))));
}

// A key that is locked would have OpenSSL ask the terminal for its password.
int no_password(char*, int, int, void*) { return -1; }

void must(bool done) { SEAWAY_ASSERT(done, "OpenSSL cannot make a certificate"); }

bool add_extension(X509* certificate, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  const bool done = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return done;
}

// Version, serial number, names and key; no validity, no extensions, no signature.
CertificatePtr begin_certificate(const std::string& subject, const X509_NAME* issuer, EVP_PKEY* key) {
  CertificatePtr certificate(X509_new());
  must(certificate != nullptr);
  std::array<unsigned char, 16> serial{};
  must(RAND_bytes(serial.data(), serial.size()) == 1);
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, and always as long
  BIGNUM* number = BN_bin2bn(serial.data(), serial.size(), nullptr);
  must(number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get())) != nullptr);
  BN_free(number);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  must(X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
       X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(subject.data()),
                                  static_cast<int>(subject.size()), -1, 0) == 1 &&
       X509_set_issuer_name(certificate.get(), issuer != nullptr ? issuer : name) == 1 &&
       X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

}  // namespace

struct Authority::Impl {
  KeyPtr key;
  CertificatePtr certificate;

  // Null when the times cannot be written.
  CertificatePtr issue(const CertifiedName& name, EVP_PKEY* its_key, std::int64_t now, std::int64_t lifetime_s) const {
    const std::string uri = to_uri(name);
    CertificatePtr leaf = begin_certificate(uri.substr(0, 64), X509_get_subject_name(certificate.get()), its_key);
    if (ASN1_TIME_set(X509_getm_notBefore(leaf.get()), now - kBackdate_s) == nullptr ||
        ASN1_TIME_set(X509_getm_notAfter(leaf.get()), now + lifetime_s) == nullptr) {
      ERR_clear_error();
      return nullptr;
    }
    must(add_extension(leaf.get(), NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(leaf.get(), NID_key_usage, "critical,digitalSignature") &&
         add_extension(leaf.get(), NID_subject_alt_name, ("URI:" + uri).c_str()) &&
         X509_sign(leaf.get(), key.get(), nullptr) > 0);
    return leaf;
  }
};

Authority::Authority(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Authority::~Authority() = default;

std::unique_ptr<Authority> Authority::make(const Uuid& run) {
  auto impl = std::make_unique<Impl>();
  impl->key = new_ed25519_key();
  // A run ends when it ends: its authority's certificate is good for ever, and pinned by its key.
  impl->certificate =
      begin_certificate("seaway run " + to_uri({false, {run, kNoPeer}}).substr(12, 32), nullptr, impl->key.get());
  X509* certificate = impl->certificate.get();
  must(ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20000101000000Z") == 1 &&
       ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
       add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
       add_extension(certificate, NID_key_usage, "critical,keyCertSign") &&
       X509_sign(certificate, impl->key.get(), nullptr) > 0);
  return std::unique_ptr<Authority>(new Authority(std::move(impl)));
}

std::unique_ptr<Authority> Authority::load(const std::string& key_pem, const std::string& certificate_pem,
                                           std::string& problem) {
  start_openssl();
  auto impl = std::make_unique<Impl>();
  impl->key = KeyPtr(PEM_read_bio_PrivateKey(reader_of(key_pem).get(), nullptr, no_password, nullptr));
  impl->certificate =
      CertificatePtr(PEM_read_bio_X509(reader_of(certificate_pem).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!impl->key || EVP_PKEY_get_base_id(impl->key.get()) != EVP_PKEY_ED25519) {
    problem = "the authority's key is no Ed25519 key in PEM";
    return nullptr;
  }
  if (!impl->certificate) {
    problem = "the authority's certificate is none in PEM";
    return nullptr;
  }
  const bool fits = X509_check_private_key(impl->certificate.get(), impl->key.get()) == 1;
  ERR_clear_error();
  if (!fits) {
    problem = "the authority's certificate is of another key";
    return nullptr;
  }
  if (!is_signed_by(*impl->certificate, *impl->certificate) || X509_check_ca(impl->certificate.get()) != 1) {
    problem = "the certificate is not an authority's";
    return nullptr;
  }
  return std::unique_ptr<Authority>(new Authority(std::move(impl)));
}

std::string Authority::key_pem() const {
  const BioPtr out(BIO_new(BIO_s_secmem()));
  must(PEM_write_bio_PrivateKey(out.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_in(out.get());
}

std::string Authority::certificate_pem() const {
  const BioPtr out(BIO_new(BIO_s_mem()));
  must(PEM_write_bio_X509(out.get(), impl_->certificate.get()) == 1);
  return text_in(out.get());
}

std::vector<std::byte> Authority::certificate() const { return der_of(*impl_->certificate); }

KeyHash Authority::pin() const { return hash_of_key(public_key_of(*impl_->certificate)); }

std::vector<std::byte> Authority::issue(const CertifiedPeer& name, std::span<const std::byte> public_key,
                                        std::int64_t now, std::int64_t lifetime_s, std::string& problem) const {
  constexpr std::size_t kKeyBytes = 32;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(public_key.data());
  if (public_key.size() != kEd25519Prefix.size() + kKeyBytes ||
      !std::equal(kEd25519Prefix.begin(), kEd25519Prefix.end(), bytes)) {
    problem = "this is no Ed25519 key";
    return {};
  }
  if (name.id == kNoPeer) {
    problem = "a peer without an incarnation";
    return {};
  }
  const KeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes + kEd25519Prefix.size(), kKeyBytes));
  must(key != nullptr);
  const CertificatePtr leaf = impl_->issue({false, name}, key.get(), now, lifetime_s);
  if (!leaf) {
    problem = "the certificate's times cannot be written";
    return {};
  }
  return der_of(*leaf);
}

std::shared_ptr<const Credentials> Authority::issue_master(std::int64_t now, std::int64_t lifetime_s) const {
  PrivateKey key = PrivateKey::make();
  CertificatePtr leaf = impl_->issue({true, {}}, key.impl().key.get(), now, lifetime_s);
  SEAWAY_ASSERT(leaf != nullptr, "a master's certificate needs times that can be written");
  must(X509_up_ref(impl_->certificate.get()) == 1);
  return std::make_shared<const Credentials>(
      Credentials{std::move(key), std::move(leaf), CertificatePtr(impl_->certificate.get())});
}

}  // namespace seaway::net
