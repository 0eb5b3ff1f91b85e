// SPDX-License-Identifier: MIT
// RFC 5802: SCRAM, server side; RFC 7677 (SHA-256); tls-exporter (RFC 9266) and tls-server-end-point (RFC
// 5929) for the -PLUS forms; XEP-0474 and XEP-0515 in the server's first message. One exchange serves all devices of an
// account: the proof itself says which one. Leaves out mandatory extensions ('m='), of which none exist.
#include "auth/scram.h"

#include <algorithm>
#include <cassert>

#include "auth/crypto.h"
#include "xmpp/base64.h"
#include "xmpp/jid.h"

namespace auth {

namespace {

constexpr std::size_t longest_message = 8192;
constexpr std::size_t shortest_looked_at = 5;  // keys: as many as an account usually may have devices
constexpr std::string_view wrong = "Wrong user name or password.";

Refused malformed(std::string_view text) {
    return Refused{SaslCondition::malformed_request, std::string{text}};
}
Refused refused(std::string_view text) { return Refused{SaslCondition::not_authorized, std::string{text}}; }

// RFC 5802 §5: attributes are separated by ',', which stands in no value.
std::vector<std::string_view> split(std::string_view message) {
    std::vector<std::string_view> fields;
    std::size_t start = 0;
    while (true) {
        const std::size_t comma = message.find(',', start);
        fields.push_back(message.substr(start, comma - start));
        if (comma == std::string_view::npos) return fields;
        start = comma + 1;
    }
}

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The value of field `name=value`; nullopt when it is another field or the value is empty.
std::optional<std::string_view> value_of(std::string_view field, char name) {
    if (field.size() < 3 || field[0] != name || field[1] != '=') return std::nullopt;
    return field.substr(2);
}

// RFC 5802 §7, saslname: ',' and '=' come as =2C and =3D, and '=' in no other way.
std::optional<std::string> parse_saslname(std::string_view text) {
    std::string name;
    while (!text.empty()) {
        if (text.front() != '=') {
            name += text.front();
            text.remove_prefix(1);
            continue;
        }
        const std::string_view escape = text.substr(0, 3);
        if (escape != "=2C" && escape != "=3D") return std::nullopt;
        name += escape == "=2C" ? ',' : '=';
        text.remove_prefix(3);
    }
    return name;
}

bool is_nonce(std::string_view text) {  // RFC 5802 §7, printable
    for (const char c : text) {
        if (c < '!' || c > '~') return false;
    }
    return !text.empty();
}

// Optional extensions are ignored; what is no attribute at all, or is one of the message's own, is not.
bool are_extensions(std::vector<std::string_view>::const_iterator from,
                    std::vector<std::string_view>::const_iterator to) {
    for (auto it = from; it != to; ++it) {
        // RFC 5802 §5.1: 'm' must cause authentication to fail where it is not understood.
        if (it->size() < 3 || !is_alpha((*it)[0]) || (*it)[1] != '=') return false;
        if (std::string_view{"amnrcp"}.find((*it)[0]) != std::string_view::npos) return false;
    }
    return true;
}

struct ClientFirst {
    std::string gs2_header;  // with its two commas
    std::string binding;     // name of the channel-binding type, or empty
    char flag = 'n';
    std::string authzid, username;  // as the client wrote them, decoded
    std::string nonce;
    std::string bare;  // client-first-message-bare
};

std::optional<ClientFirst> parse_client_first(std::string_view message) {
    if (message.size() > longest_message || message.find('\0') != std::string_view::npos) return std::nullopt;
    const auto fields = split(message);
    if (fields.size() < 4) return std::nullopt;
    ClientFirst first;
    if (fields[0] == "n" || fields[0] == "y") {
        first.flag = fields[0][0];
    } else if (const auto binding = value_of(fields[0], 'p')) {
        first.flag = 'p';
        first.binding = *binding;
    } else {
        return std::nullopt;
    }
    if (!fields[1].empty()) {
        const auto value = value_of(fields[1], 'a');
        const auto authzid = value ? parse_saslname(*value) : std::nullopt;
        if (!authzid) return std::nullopt;
        first.authzid = *authzid;
    }
    const auto name = value_of(fields[2], 'n');  // an 'm=' here fails as RFC 5802 §5.1 demands
    const auto username = name ? parse_saslname(*name) : std::nullopt;
    const auto nonce = value_of(fields[3], 'r');
    if (!username || !nonce || !is_nonce(*nonce)) return std::nullopt;
    if (!are_extensions(fields.begin() + 4, fields.end())) return std::nullopt;
    first.username = *username;
    first.nonce = *nonce;
    const std::size_t header = fields[0].size() + fields[1].size() + 2;
    first.gs2_header = message.substr(0, header);
    first.bare = message.substr(header);
    return first;
}

struct ClientFinal {
    std::string binding_input;  // gs2 header and channel-binding data
    std::string_view nonce;
    std::string proof;
    std::string_view without_proof;
};

std::optional<ClientFinal> parse_client_final(std::string_view message) {
    if (message.size() > longest_message || message.find('\0') != std::string_view::npos) return std::nullopt;
    const auto fields = split(message);
    if (fields.size() < 3) return std::nullopt;
    const auto binding = value_of(fields.front(), 'c');
    const auto nonce = value_of(fields[1], 'r');
    const auto proof = value_of(fields.back(), 'p');
    if (!binding || !nonce || !proof || !are_extensions(fields.begin() + 2, fields.end() - 1))
        return std::nullopt;
    const auto input = xmpp::parse_base64(*binding);
    const auto bytes = xmpp::parse_base64(*proof);
    if (!input || !bytes) return std::nullopt;
    ClientFinal final;
    final.binding_input = *input;
    final.nonce = *nonce;
    final.proof = *bytes;
    final.without_proof = message.substr(0, message.size() - fields.back().size() - 1);
    return final;
}

struct Proof {
    storage::Hash hash;
    std::string_view bytes, auth_message;
};

// RFC 5802 §3: ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and H(ClientKey) must be StoredKey.
bool proves(const storage::Verifiers& verifiers, const void* context) {
    const Proof& proof = *static_cast<const Proof*>(context);
    const std::string& stored_key = verifiers[static_cast<std::size_t>(proof.hash)].stored_key;
    std::string client_key = hmac(proof.hash, stored_key, proof.auth_message);
    for (std::size_t i = 0; i < client_key.size(); ++i)
        client_key[i] = static_cast<char>(client_key[i] ^ proof.bytes[i]);
    const bool right = equal_in_constant_time(digest(proof.hash, client_key), stored_key);
    wipe(client_key);
    return right;
}

class Scram final : public Exchange {
public:
    Scram(ScramMechanism mechanism, const Channel& channel, std::string_view domain, std::string nonce,
          std::string_view downgrade_protection)
        : mechanism_{mechanism},
          channel_{channel},
          domain_{domain},
          server_nonce_{std::move(nonce)},
          downgrade_protection_{downgrade_protection} {}

    Step receive(std::string_view data) override {
        switch (state_) {
            case State::start:
                // RFC 6120 §6.4.2: a client that sent no initial response is asked for it by an empty
                // challenge.
                state_ = State::first;
                if (data.empty()) return Challenge{};
                return take_first(data);
            case State::first: return take_first(data);
            case State::final: return take_final(data);
            case State::lookup:
            case State::over: break;
        }
        state_ = State::over;
        return malformed("Nothing was expected here.");
    }

    Step credentials(Credentials found) override {
        assert(state_ == State::lookup);
        if (state_ != State::lookup || found.salt.empty() || found.iterations == 0) {
            state_ = State::over;
            return Refused{SaslCondition::temporary_auth_failure, ""};
        }
        credentials_ = std::move(found);
        server_first_ = "r=" + first_.nonce + server_nonce_ + ",s=" + xmpp::base64(credentials_.salt) +
                        ",i=" + std::to_string(credentials_.iterations);
        // XEP-0474 §6.1
        if (!downgrade_protection_.empty()) {
            server_first_ += ",h=" + xmpp::base64(digest(mechanism_.hash, downgrade_protection_));
            // XEP-0515: under another version other binding types would have been offered.
            if (!channel_.tls_version.empty()) server_first_ += ",t=" + channel_.tls_version;
        }
        state_ = State::final;
        return Challenge{server_first_};
    }

    Step verifiers(const storage::Verifiers&) override {
        assert(false);  // SCRAM asks for no hash
        state_ = State::over;
        return Refused{SaslCondition::temporary_auth_failure, ""};
    }

private:
    enum class State { start, first, lookup, final, over };

    Step take_first(std::string_view data) {
        state_ = State::over;
        auto parsed = parse_client_first(data);
        if (!parsed) return malformed("This is no client-first-message.");
        first_ = std::move(*parsed);
        if (auto refusal = check_binding()) return std::move(*refusal);
        const auto username = xmpp::normalise_localpart(first_.username);
        if (!username || username->empty()) return refused(wrong);
        if (!first_.authzid.empty() && !names_account(first_.authzid, *username, domain_)) {
            return Refused{SaslCondition::invalid_authzid, "Nobody may act for another account."};
        }
        username_ = *username;
        state_ = State::lookup;
        return Lookup{username_};
    }

    // RFC 5802 §6, the channel-binding flag.
    std::optional<Refused> check_binding() {
        if (mechanism_.plus != (first_.flag == 'p'))
            return malformed("The mechanism and the gs2 flag disagree.");
        // The client could have used channel binding and believes that it was not offered: somebody removed
        // the offer.
        if (first_.flag == 'y' && !binding_types(channel_).empty())
            return refused("Channel binding was offered.");
        if (first_.flag != 'p') return std::nullopt;
        if (first_.binding == "tls-exporter") binding_data_ = channel_.tls_exporter;
        if (first_.binding == "tls-server-end-point") binding_data_ = channel_.tls_server_end_point;
        if (first_.binding == "tls-unique") binding_data_ = channel_.tls_unique;
        if (binding_data_.empty()) return refused("This channel-binding type is not supported here.");
        return std::nullopt;
    }

    Step take_final(std::string_view data) {
        state_ = State::over;
        const auto parsed = parse_client_final(data);
        if (!parsed || parsed->proof.size() != digest_size(mechanism_.hash)) {
            return malformed("This is no client-final-message.");
        }
        if (!equal_in_constant_time(parsed->binding_input, first_.gs2_header + binding_data_)) {
            return refused("The channel binding does not match.");
        }
        if (!equal_in_constant_time(parsed->nonce, first_.nonce + server_nonce_)) {
            return refused("The nonce does not match.");
        }
        const std::string auth_message =
            first_.bare + "," + server_first_ + "," + std::string{parsed->without_proof};
        const Proof proof{mechanism_.hash, parsed->proof, auth_message};
        const Credentials::Key* key = find_key(credentials_, &proves, &proof);
        if (key == nullptr) return refused(wrong);
        if (credentials_.disabled)
            return Refused{SaslCondition::account_disabled, "This account is disabled."};
        const std::string& server_key = key->verifiers[static_cast<std::size_t>(mechanism_.hash)].server_key;
        return Success{username_, key->device,
                       "v=" + xmpp::base64(hmac(mechanism_.hash, server_key, auth_message))};
    }

    const ScramMechanism mechanism_;
    const Channel channel_;
    const std::string domain_, server_nonce_, downgrade_protection_;
    State state_ = State::start;
    ClientFirst first_;
    std::string binding_data_, username_, server_first_;
    Credentials credentials_;
};

}  // namespace

std::optional<ScramMechanism> parse_scram_mechanism(std::string_view name) {
    ScramMechanism mechanism;
    constexpr std::string_view plus = "-PLUS";
    if (name.ends_with(plus)) {
        mechanism.plus = true;
        name.remove_suffix(plus.size());
    }
    if (name == "SCRAM-SHA-1")
        mechanism.hash = storage::Hash::sha1;
    else if (name == "SCRAM-SHA-256")
        mechanism.hash = storage::Hash::sha256;
    else if (name == "SCRAM-SHA-512")
        mechanism.hash = storage::Hash::sha512;
    else
        return std::nullopt;
    return mechanism;
}

bool names_account(std::string_view authzid, std::string_view localpart, std::string_view domain) {
    const auto named = xmpp::Jid::parse(authzid);
    const auto own = xmpp::Jid::from_parts(localpart, domain);
    return named && own && *named == *own;
}

std::unique_ptr<Exchange> begin_scram(ScramMechanism mechanism, const Channel& channel,
                                      std::string_view domain, std::string server_nonce,
                                      std::string_view downgrade_protection) {
    return std::make_unique<Scram>(mechanism, channel, domain, std::move(server_nonce), downgrade_protection);
}

const Credentials::Key* find_key(const Credentials& credentials,
                                 bool (*is_key)(const storage::Verifiers&, const void*),
                                 const void* context) {
    static const storage::Verifiers nobodys = [] {
        storage::Verifiers all;
        for (std::size_t i = 0; i < storage::hash_count; ++i) {
            const std::size_t size = digest_size(static_cast<storage::Hash>(i));
            all[i] = storage::Verifier{random_bytes(size), random_bytes(size)};
        }
        return all;
    }();
    const std::size_t count = credentials.keys.size();
    std::size_t found = 0;  // one more than the index; chosen by masks, not by branches
    for (std::size_t i = 0; i < std::max(count, shortest_looked_at); ++i) {
        const bool real = i < count;
        const bool right = is_key(real ? credentials.keys[i].verifiers : nobodys, context);
        const std::size_t mask = std::size_t{0} - static_cast<std::size_t>(real & right);
        found = (found & ~mask) | ((i + 1) & mask);
    }
    return found == 0 ? nullptr : &credentials.keys[found - 1];
}

}  // namespace auth
