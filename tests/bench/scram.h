// SPDX-License-Identifier: MIT
// SCRAM (RFC 5802, RFC 7677) as a client. Salted passwords are kept in a file, so that the generator pays
// PBKDF2 once for each account and not in each run.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bench {

std::string base64(std::string_view bytes);
std::string from_base64(std::string_view text);

std::string hmac(const std::string& hash, const std::string& key, std::string_view text);

// What an account may log in with the next time (XEP-0484), and the session that it may resume (XEP-0198).
struct Ticket {
    std::string token;
    unsigned count = 0;
    std::string session;
};

class Keys {
public:
    explicit Keys(std::string path);
    ~Keys();
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;
    const std::string& salted(const std::string& hash, std::string_view password, const std::string& salt,
                              int iterations);
    Ticket& ticket(const std::string& user) { return tickets_[user]; }

private:
    std::string path_;
    bool has_new_ = false;
    std::map<std::string, std::string> salted_;
    std::map<std::string, Ticket> tickets_;  // of this run
};

class Scram {
public:
    Scram(std::string mechanism, const std::string& user, std::string password);
    std::string first() const { return "n,," + bare_; }
    // What proves the password, as an answer to the server's first message.
    std::optional<std::string> final(std::string_view challenge, Keys& keys) const;

private:
    std::string hash_;
    std::string password_;
    std::string nonce_;
    std::string bare_;
};

}  // namespace bench
