// Keys and certificates of our own: EC P-256, PEM files, mode 0600, durable. Every call blocks: workers and start-up.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace axle::http {

struct KeyPair {
    std::string certificate;  // PEM; of an issued one: followed by what leads to its authority
    std::string key;          // PEM
};

struct CertificateWish {
    std::string name;                    // common name
    std::vector<std::string> dns_names;  // subject alternative names
    std::vector<std::string> addresses;  // numeric
    std::vector<std::string> uris;       // what it stands for, in words of ours: letters, digits and :/.-_ only
    bool server = true, client = false;  // what it may be used for
    std::int64_t days = 825;
    std::string followed_by = {};  // PEM that comes after it; empty: the certificate of who signs
};

struct CertificateInfo {
    std::string name, issuer;  // common names
    std::string fingerprint;   // sha256 over the DER form, lower case hex
    WallTime not_before, not_after;
    std::vector<std::string> dns_names, addresses, uris;
};

// A self-signed authority, valid for 10 years. Valid from an hour before `now`, for clocks that lag.
Result<KeyPair> make_authority(const std::string& name, WallTime now);

// Takes over from an authority that ends: another key under the same name, valid for 10 years from `now`. The name has
// to be the same: authorities of ours sign no other authority (pathlen:0), and only one of the same name is not
// counted. Both of its certificates are valid from where `old` is, so that a clock which is set back invalidates
// neither.
struct Successor {
    KeyPair pair;       // self-signed
    std::string cross;  // PEM: the same key by the word of `old`, until that ends
};
Result<Successor> make_successor(const KeyPair& old, WallTime now);

Result<KeyPair> issue_certificate(const KeyPair& authority, const CertificateWish& wish, WallTime now);

// The agent's way: it keeps its key and sends a request (PKCS #10, PEM); the authority signs the key in it, with the
// name and the uses of `wish`, whatever the request says. Returns the certificate.
struct SigningRequest {
    std::string request;  // PEM
    std::string key;      // PEM
};
Result<SigningRequest> make_signing_request(const std::string& name);
// That sign_request would take it.
Result<> check_request(const std::string& request);
Result<std::string> sign_request(const KeyPair& authority, const std::string& request, const CertificateWish& wish,
                                 WallTime now);

Result<> check_key_pair(const KeyPair& pair);                    // that the key is the certificate's
Result<CertificateInfo> read_certificate(std::string_view pem);  // the first in it
Result<std::string> fingerprint_of(std::string_view pem);        // of the first in it
// Each by itself, in their order; at least one.
Result<std::vector<std::string>> certificates_in(std::string_view pem);

// Key first, then certificate, each durably with mode 0600: a crash between them leaves no certificate without key.
Result<> write_key_pair(const KeyPair& pair, const std::string& certificate_path, const std::string& key_path);
Result<KeyPair> read_key_pair(const std::string& certificate_path, const std::string& key_path);

}  // namespace axle::http
