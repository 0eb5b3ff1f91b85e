// SPDX-License-Identifier: MIT
#include "tests/bench/modern_login.h"

#include <cstdio>

#include "tests/bench/scan.h"

namespace bench {

namespace {

constexpr const char* bind = "<bind xmlns='urn:xmpp:bind:0'><tag>bench</tag>";
constexpr const char* enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

}  // namespace

ModernLogin::ModernLogin(const Options& options, Keys& keys, std::string user, unsigned number)
    : options_{options}, keys_{keys}, ticket_{keys.ticket(user)}, user_{std::move(user)} {
    char id[37];
    std::snprintf(id, sizeof id, "%08x-0000-4000-8000-000000000000", number);
    agent_ = "<user-agent id='" + std::string{id} + "'><software>tern-bench</software></user-agent>";
}

std::string ModernLogin::authenticate(const std::string& mechanism, const std::string& initial,
                                      const std::string& inlined) const {
    return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" +
           base64(initial) + "</initial-response>" + agent_ + inlined + "</authenticate>";
}

std::string ModernLogin::first() {
    if (ticket_.token.empty() || options_.login == Way::sasl2) return {};
    has_begun_ = true;
    const bool resumes = options_.login == Way::resume;
    const std::string session = resumes ? "<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + ticket_.session + "'/>"
                                        : std::string{bind} + "</bind>";
    return authenticate("HT-SHA-256-NONE", user_ + '\0' + hmac("SHA-256", ticket_.token, "Initiator"),
                        "<fast xmlns='urn:xmpp:fast:0' count='" + std::to_string(++ticket_.count) + "'/>" + session);
}

ModernLogin::Outcome ModernLogin::on_features(std::string& output) {
    if (has_begun_) return Outcome::more;
    has_begun_ = true;
    scram_.emplace(options_.mechanism, user_, options_.password);
    std::string inlined;
    if (options_.login != Way::sasl2) inlined = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    inlined.append(bind).append(options_.login == Way::resume ? enable : "").append("</bind>");
    output += authenticate(options_.mechanism, scram_->first(), inlined);
    return Outcome::more;
}

ModernLogin::Outcome ModernLogin::take(const std::string& element, std::string& output) {
    if (has(element, "<challenge") && scram_) {
        const auto answer = scram_->final(from_base64(content(element, "challenge")), keys_);
        if (!answer) return Outcome::failed;
        output += "<response xmlns='urn:xmpp:sasl:2'>" + base64(*answer) + "</response>";
        return Outcome::more;
    }
    if (!has(element, "<success")) return Outcome::failed;
    if (options_.login == Way::resume && !scram_ && !has(element, "<resumed")) return Outcome::failed;
    if (const std::string token = between(element, " token='", "'"); !token.empty()) ticket_ = {token, 0, ticket_.session};
    if (const std::string enabled = between(element, "<enabled", ">"); !enabled.empty())
        ticket_.session = attribute(enabled, "id");
    jid_ = content(element, "authorization-identifier");
    return jid_.empty() ? Outcome::failed : Outcome::ready;
}

}  // namespace bench
