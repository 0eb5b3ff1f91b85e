// SPDX-License-Identifier: MIT
#include "tests/bench/login.h"

#include "tests/bench/scan.h"

namespace bench {

Login::Login(const Options& options, Keys& keys, unsigned number)
    : options_{options},
      keys_{keys},
      user_{options.user + std::to_string(number % options.accounts)},
      resource_{"r" + std::to_string(number / options.accounts)},
      is_secure_{options.security == Security::direct} {
    if (options.login != Way::classic) modern_.emplace(options, keys, user_, number);
}

std::string Login::first() {
    return stream_header() + (modern_ && (is_secure_ || options_.security == Security::none) ? modern_->first() : "");
}

std::string Login::stream_header() const {
    return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
           "xmlns:stream='http://etherx.jabber.org/streams' to='" +
           options_.domain + "' version='1.0'>";
}

Login::Outcome Login::step(std::string& input, std::string& output) {
    if (has(input, "<stream:error") || has(input, "<failure")) return Outcome::failed;
    if (modern_ && is_secure_ == (options_.security != Security::none)) return step_modern(input, output);
    // The end of what each stage waits for.
    static constexpr std::string_view ends[] = {
        "</stream:features>", "/>", "</challenge>", ">", "</iq>", ">", "</iq>"};
    std::string_view end = ends[static_cast<int>(stage_)];
    // The answer to a registration may be empty.
    if (stage_ == Stage::registered && !has(input, end)) end = "/>";
    if (stage_ == Stage::success) end = has(input, "</success>") ? "</success>" : "/>";
    if (stage_ == Stage::enabled && !has(input, "<enabled")) return Outcome::more;
    const std::size_t found = input.find(end, stage_ == Stage::enabled ? input.find("<enabled") : 0);
    if (found == std::string::npos) return Outcome::more;
    std::string element = input.substr(0, found + end.size());
    input.erase(0, element.size());
    return take(std::move(element), output);
}

Login::Outcome Login::step_modern(std::string& input, std::string& output) {
    std::size_t end = std::string::npos;
    for (const std::string_view tag : {"</stream:features>", "</challenge>", "</success>"})
        if (const std::size_t found = input.find(tag); found < end) end = found + tag.size();
    if (end == std::string::npos) return Outcome::more;
    const std::string element = input.substr(0, end);
    input.erase(0, end);
    const auto outcome =
        element.ends_with("</stream:features>") ? modern_->on_features(output) : modern_->take(element, output);
    if (outcome == ModernLogin::Outcome::failed) return Outcome::failed;
    if (outcome == ModernLogin::Outcome::more) return input.empty() ? Outcome::more : step_modern(input, output);
    jid_ = modern_->jid();
    return options_.login == Way::resume ? Outcome::ready : ready(output);
}

Login::Outcome Login::take(std::string element, std::string& output) {
    switch (stage_) {
        case Stage::features: return on_features(element, output);
        case Stage::proceed:
            if (!has(element, "<proceed")) return Outcome::failed;
            is_secure_ = true;
            stage_ = Stage::features;
            return Outcome::start_tls;
        case Stage::challenge: {
            const auto answer = scram_->final(from_base64(content(element, "challenge")), keys_);
            if (!answer) return Outcome::failed;
            output += "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + base64(*answer) + "</response>";
            stage_ = Stage::success;
            return Outcome::more;
        }
        case Stage::success:
            if (!has(element, "<success")) return Outcome::failed;
            is_authenticated_ = true;
            stage_ = Stage::features;
            output += stream_header();
            return Outcome::more;
        case Stage::bind: return on_bound(element, output);
        case Stage::enabled: return ready(output);
        case Stage::registered:
            return has(element, "type='error'") || has(element, "type=\"error\"") ? Outcome::failed
                                                                                  : Outcome::ready;
    }
    return Outcome::failed;
}

Login::Outcome Login::on_features(const std::string& element, std::string& output) {
    if (options_.security == Security::starttls && !is_secure_) {
        if (!has(element, "<starttls")) return Outcome::failed;
        output += "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
        stage_ = Stage::proceed;
        return Outcome::more;
    }
    if (options_.work == "register") {
        output += "<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>" + user_ +
                  "</username><password>" + options_.password + "</password></query></iq>";
        stage_ = Stage::registered;
        return Outcome::more;
    }
    if (!is_authenticated_) return begin_sasl(element, output);
    output += "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" +
              resource_ + "</resource></bind></iq>";
    stage_ = Stage::bind;
    return Outcome::more;
}

Login::Outcome Login::begin_sasl(const std::string& features, std::string& output) {
    const bool is_scram = has(features, "<mechanism>" + options_.mechanism + "</mechanism>") &&
                          options_.mechanism.starts_with("SCRAM-");
    if (!is_scram && !has(features, "<mechanism>PLAIN</mechanism>")) return Outcome::failed;
    std::string first;
    if (is_scram) {
        scram_.emplace(options_.mechanism, user_, options_.password);
        first = scram_->first();
    } else {
        first = std::string{'\0'} + user_ + '\0' + options_.password;
    }
    output += "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='" +
              std::string{is_scram ? options_.mechanism : "PLAIN"} + "'>" + base64(first) + "</auth>";
    stage_ = is_scram ? Stage::challenge : Stage::success;
    return Outcome::more;
}

Login::Outcome Login::on_bound(const std::string& element, std::string& output) {
    jid_ = content(element, "jid");
    if (jid_.empty()) return Outcome::failed;
    if (!options_.with_acks) return ready(output);
    output += "<enable xmlns='urn:xmpp:sm:3'/>";
    stage_ = Stage::enabled;
    return Outcome::more;
}

Login::Outcome Login::ready(std::string& output) {
    if (options_.with_presence) output += "<presence/>";
    return Outcome::ready;
}

}  // namespace bench
