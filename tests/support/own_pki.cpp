#include "support/own_pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <ctime>
#include <stdexcept>
#include <utility>

namespace seaway::support {

namespace {

constexpr long kDay = 24l * 3600;

void must(bool done) {
  if (!done) {
    throw std::runtime_error("a certificate for the test cannot be made");
  }
}

EVP_PKEY* new_key(OwnPki::Keys keys) {
  EVP_PKEY* key = keys == OwnPki::Keys::ed25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                  : keys == OwnPki::Keys::ecdsa ? EVP_EC_gen("P-256")
                                                : EVP_RSA_gen(2048);
  must(key != nullptr);
  return key;
}

template <class Write>
void write(const std::string& path, const Write& pem) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  must(file != nullptr && pem(file) == 1 && std::fclose(file) == 0);
}

void extend(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

X509* certificate_of(EVP_PKEY* key, const std::string& name, int days_left) {
  static long serial = 1;
  X509* made = X509_new();
  must(made != nullptr);
  X509_NAME* subject = X509_get_subject_name(made);
  must(X509_set_version(made, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial) == 1 &&
       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                                  -1, 0) == 1 &&
       X509_gmtime_adj(X509_getm_notBefore(made), -kDay) != nullptr &&
       X509_gmtime_adj(X509_getm_notAfter(made), days_left * kDay) != nullptr && X509_set_pubkey(made, key) == 1);
  return made;
}

}  // namespace

struct OwnPki::Impl {
  std::string folder;
  Keys keys = Keys::ecdsa;
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;

  void sign(X509* one) const {
    must(X509_set_issuer_name(one, X509_get_subject_name(certificate)) == 1 &&
         X509_sign(one, key, keys == Keys::ed25519 ? nullptr : EVP_sha256()) > 0);
  }
};

OwnPki::OwnPki(std::string folder, Keys keys) : impl_(std::make_unique<Impl>()) {
  impl_->folder = std::move(folder);
  impl_->keys = keys;
  impl_->key = new_key(keys);
  impl_->certificate = certificate_of(impl_->key, impl_->folder, 3650);
  extend(impl_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  impl_->sign(impl_->certificate);
  write(impl_->folder + "/ca.pem", [this](std::FILE* file) { return PEM_write_X509(file, impl_->certificate); });
}

OwnPki::~OwnPki() {
  X509_free(impl_->certificate);
  EVP_PKEY_free(impl_->key);
}

OwnPki::Files OwnPki::certify(const std::string& file, const std::string& names, int days_left) const {
  const std::string path = impl_->folder + "/" + file;
  EVP_PKEY* key = new_key(impl_->keys);
  X509* leaf = certificate_of(key, file, days_left);
  extend(leaf, NID_subject_alt_name, names);
  impl_->sign(leaf);
  write(path + ".pem", [&](std::FILE* out) { return PEM_write_X509(out, leaf); });
  write(path + ".key",
        [&](std::FILE* out) { return PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(leaf);
  EVP_PKEY_free(key);
  return {impl_->folder + "/ca.pem", path + ".pem", path + ".key"};
}

}  // namespace seaway::support
