// SPDX-License-Identifier: MIT
// The table of configuration keys and what can be done with one: see config_keys.h.
#include "server/config_keys.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <limits>

namespace server::keys {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The field that member pointers lead to: at<&Config::c2s, &Config::C2s::listen>(config).
template <auto... path>
auto& at(Config& config) {
    return (config.*....*path);
}

using C = Config;
constexpr Reload live = Reload::live, restart = Reload::restart;
constexpr std::uint32_t any_number = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t megabyte = 1u << 20;
constexpr seconds day{86'400};

const Key table[] = {
    {"domains", restart, List{at<&C::domains>, values::domain},
     "the domains that are served; the first is the default"},
    {"data", restart, Text{at<&C::data>, values::directory},
     "directory of the database, certificates, the key of tokens, and the admin socket"},
    {"workers", restart, Number{at<&C::workers>, 0, 1024}, "threads that run sessions; 0: one per core"},
    {"admins", live, List{at<&C::admins>, values::account}, "accounts that may use the admin commands"},

    {"storage.url", restart, Text{at<&C::storage, &C::Storage::url>, values::storage_url},
     "sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE", Shown::as_url},
    {"storage.connections", restart, Number{at<&C::storage, &C::Storage::connections>, 1, 256},
     "connections to the database, a thread each (SQLite: those that read); on top come one for the log, and "
     "with SQLite one for other writes and one for checkpoints"},
    {"storage.group_commit", restart,
     Milliseconds{at<&C::storage, &C::Storage::group_commit>, milliseconds{0}, milliseconds{1000}},
     "how long messages gather before one commit takes them all; a plain number is milliseconds"},
    {"storage.patience", restart, Seconds{at<&C::storage, &C::Storage::patience>, seconds{1}, seconds{3600}},
     "how long a message waits for a database that is away before its sender is told"},
    {"storage.waiting_bytes", restart, Size{at<&C::storage, &C::Storage::waiting_bytes>, megabyte, 4095 * megabyte},
     "bytes of messages that may wait for the database, all together"},

    {"c2s.listen", restart, List{at<&C::c2s, &C::C2s::listen>, values::listen_address},
     "addresses for clients, STARTTLS"},
    {"c2s.direct_tls", restart, List{at<&C::c2s, &C::C2s::direct_tls>, values::listen_address},
     "addresses for clients, TLS from the first byte (XEP-0368)"},
    {"c2s.require_tls", live, Switch{at<&C::c2s, &C::C2s::require_tls>},
     "false only for closed networks: then clients may log in without TLS"},

    {"tls.certificate", live, Text{at<&C::tls, &C::Tls::certificate>, values::any},
     "PEM file of the certificate and its chain; {domain} stands for each domain; empty: self-signed, made "
     "in data"},
    {"tls.key", live, Text{at<&C::tls, &C::Tls::key>, values::any},
     "PEM file of its private key; {domain} likewise"},

    {"http.listen", restart, List{at<&C::http, &C::Http::listen>, values::listen_address},
     "addresses for HTTP without TLS"},
    {"http.tls", restart, List{at<&C::http, &C::Http::tls>, values::listen_address}, "addresses for HTTPS"},
    {"http.trusted_proxies", live, List{at<&C::http, &C::Http::trusted_proxies>, values::network},
     "addresses or networks whose X-Forwarded-For is believed"},
    {"http.metrics_from", live, List{at<&C::http, &C::Http::metrics_from>, values::network},
     "addresses or networks that /metrics answers; nothing is there for others"},
    {"http.url", live, Text{at<&C::http, &C::Http::url>, values::http_url},
     "where the outside finds this, \"https://chat.example.org\", for links; empty: the first domain and the port of http.tls"},

    {"registration.phone", restart, Switch{at<&C::registration, &C::Registration::phone>},
     "registration by phone number and SMS PIN"},
    {"registration.open", live, Switch{at<&C::registration, &C::Registration::open>},
     "registration by username and password (XEP-0077), for closed networks and tests"},
    {"registration.invited_only", live, Switch{at<&C::registration, &C::Registration::invited_only>},
     "a number that has no account yet needs an invitation"},
    {"registration.prefixes", restart, List{at<&C::registration, &C::Registration::prefixes>, values::phone_prefix},
     "what numbers begin with that may register, \"+49\"; empty: all"},
    {"registration.pin_digits", restart, Number{at<&C::registration, &C::Registration::pin_digits>, 4, 10},
     "digits of a PIN"},
    {"registration.tries", restart, Number{at<&C::registration, &C::Registration::tries>, 1, 100},
     "wrong PINs before a new one is needed"},
    {"registration.pin_lifetime", restart,
     Seconds{at<&C::registration, &C::Registration::pin_lifetime>, seconds{1}, day},
     "how long a PIN is good"},
    {"registration.resend_after", restart,
     Seconds{at<&C::registration, &C::Registration::resend_after>, seconds{0}, day},
     "pause before the same number may ask again"},
    {"registration.per_number_a_day", restart,
     Number{at<&C::registration, &C::Registration::per_number_a_day>, 1, any_number},
     "PINs for one number in a day, less than half of them asked for from one address"},
    {"registration.per_address_an_hour", restart,
     Number{at<&C::registration, &C::Registration::per_address_an_hour>, 1, any_number},
     "PINs asked for from one address in an hour (IPv6: from one /64); from its /24 (IPv6: /48) five times as many"},
    {"registration.per_range_an_hour", restart,
     Number{at<&C::registration, &C::Registration::per_range_an_hour>, 0, any_number},
     "PINs in an hour for numbers that differ in their last three digits alone; 0: no limit"},
    {"registration.per_minute", restart,
     Number{at<&C::registration, &C::Registration::per_minute>, 1, any_number},
     "PINs in a minute, all together"},
    {"registration.per_day", restart,
     Number{at<&C::registration, &C::Registration::per_day>, 1, any_number},
     "PINs in a day, all together; it is warned of when a fifth of them is left"},

    {"invitations.register", live, Text{at<&C::invitations, &C::Invitations::register_by>, values::nobody_to_everybody},
     "whose invitations let guests register with user name and password, even if registration.open is false: nobody, admins or "
     "everybody"},
    {"invitations.lifetime", live,
     Seconds{at<&C::invitations, &C::Invitations::lifetime>, seconds{60}, 365 * day},
     "how long an invitation is good"},
    {"invitations.per_account_a_day", restart,
     Number{at<&C::invitations, &C::Invitations::per_account_a_day>, 1, any_number},
     "invitations that an account may make in a day; it may ask for five times as many names, taken ones included"},

    {"discovery.numbers_a_day", restart, Number{at<&C::discovery, &C::Discovery::numbers_a_day>, 0, any_number},
     "phone numbers that an account may look for in a day, to find contacts; 0: none. Where anybody can make accounts with a "
     "user name, those look for none"},

    {"rooms.service", restart, Text{at<&C::rooms, &C::Rooms::service>, values::service},
     "group chats (XEP-0045) are at SERVICE.DOMAIN; empty: there are none"},
    {"rooms.create", live, Text{at<&C::rooms, &C::Rooms::create>, values::nobody_to_everybody},
     "who may make a room: nobody, admins or everybody"},
    {"rooms.per_account", live, Number{at<&C::rooms, &C::Rooms::per_account>, 1, any_number},
     "rooms that an account may have made and that are still there"},
    {"rooms.max_occupants", live, Number{at<&C::rooms, &C::Rooms::max_occupants>, 2, 18'900},   // with all that is remembered fewer than a session may have unacked
     "occupants of a room"},
    {"rooms.history", live, Number{at<&C::rooms, &C::Rooms::history>, 0, 1000},
     "messages that a room remembers, for those who come in"},
    {"rooms.archive", live, Switch{at<&C::rooms, &C::Rooms::archive>},
     "whether what is said in persistent rooms is kept, so long as messages.retention says; \"delivered\" keeps none"},
    {"rooms.invitations_an_hour", restart, Number{at<&C::rooms, &C::Rooms::invitations_an_hour>, 1, any_number},
     "invitations that an account may send by way of rooms in an hour"},

    {"sms.gateway", restart, Text{at<&C::sms, &C::Sms::gateway>, values::sms_gateway},
     "console (the log), http or file"},
    {"sms.file", restart, Text{at<&C::sms, &C::Sms::file>, values::any},
     "gateway file: one JSON line per SMS is appended here"},
    {"sms.text", restart, Text{at<&C::sms, &C::Sms::text>, values::sms_text},
     "what the SMS says; {pin} is the PIN"},
    {"sms.url", restart, Text{at<&C::sms, &C::Sms::url>, values::http_url},
     "gateway http: where each SMS is posted", Shown::never},
    {"sms.body", restart, Text{at<&C::sms, &C::Sms::body>, values::sms_body},
     "gateway http: the body, with {to} and {text}; empty: {\"to\": \"{to}\", \"text\": \"{text}\"}",
     Shown::never},
    {"sms.content_type", restart, Text{at<&C::sms, &C::Sms::content_type>, values::content_type},
     "gateway http: application/json or application/x-www-form-urlencoded"},
    {"sms.headers", restart, List{at<&C::sms, &C::Sms::headers>, values::header_line},
     "gateway http: further headers, \"Name: value\"", Shown::never},
    {"sms.timeout", restart,
     Milliseconds{at<&C::sms, &C::Sms::timeout>, milliseconds{100}, milliseconds{600'000}},
     "gateway http: how long one attempt may take; a plain number is milliseconds"},
    {"sms.per_second", restart, Number{at<&C::sms, &C::Sms::per_second>, 1, 100'000},
     "gateway http: SMS sent in a second at most"},

    {"push.show", live, Text{at<&C::push, &C::Push::show>, values::push_show},
     "what push services are told of a message: count (that there is one), sender, or body (both)"},
    {"push.url", restart, Text{at<&C::push, &C::Push::url>, values::http_url},
     "where the push service at push.DOMAIN posts notifications; empty: there is no such service", Shown::never},
    {"push.headers", restart, List{at<&C::push, &C::Push::headers>, values::header_line},
     "further headers of these posts, \"Name: value\"", Shown::never},
    {"push.timeout", restart,
     Milliseconds{at<&C::push, &C::Push::timeout>, milliseconds{100}, milliseconds{600'000}},
     "how long one attempt may take; a plain number is milliseconds"},
    {"push.per_second", restart, Number{at<&C::push, &C::Push::per_second>, 1, 100'000},
     "notifications posted in a second at most"},

    // RFC 5802 §5.1: not below 4096.
    {"auth.iterations", live, Number{at<&C::auth, &C::Auth::iterations>, 4096, 10'000'000},
     "PBKDF2 iterations of new passwords"},
    {"auth.plain", live, Switch{at<&C::auth, &C::Auth::plain>}, "offer PLAIN, under TLS only"},

    {"messages.retention", live, Text{at<&C::messages, &C::Messages::retention>, values::retention},
     "how long messages are kept: \"30d\", \"forever\", or \"delivered\": until every device has them"},
    {"messages.archive", live, Text{at<&C::messages, &C::Messages::archive>, values::archive},
     "whose messages the archive keeps, for accounts without a preference: \"always\", \"never\", or \"roster\": contacts'"},
    {"messages.ack", live, Text{at<&C::messages, &C::Messages::ack>, values::ack},
     "XEP-0198 acks: \"commit\", only what is durably stored; \"receive\", at once: a crash may lose the messages of the last second"},

    // RFC 6120 §13.12: not below 10000 bytes.
    {"limits.stanza_bytes", live,
     Size{at<&C::limits, &C::Limits::stanza, &xmpp::Limits::stanza_bytes>, 10'000, 32 * megabyte},   // what is more, parse_trusted() would not take back
     "bytes of one stanza"},
    {"limits.depth", live, Number{at<&C::limits, &C::Limits::stanza, &xmpp::Limits::depth>, 8, 1000},
     "elements inside elements of one stanza"},
    {"limits.attributes", live,
     Number{at<&C::limits, &C::Limits::stanza, &xmpp::Limits::attributes>, 8, 10'000},
     "attributes of one element"},
    {"limits.elements", live,
     Number{at<&C::limits, &C::Limits::stanza, &xmpp::Limits::elements>, 64, 1'000'000},
     "elements of one stanza"},
    {"limits.stanza_bytes_before_login", live,
     Size{at<&C::limits, &C::Limits::stanza_bytes_before_login>, 4096, megabyte},
     "bytes of one element before login"},
    {"limits.devices", live, Number{at<&C::limits, &C::Limits::devices>, 1, 1000},
     "devices of an account, the primary included"},
    {"limits.sessions_per_account", live, Number{at<&C::limits, &C::Limits::sessions_per_account>, 1, 10'000},
     "sessions of an account"},
    {"limits.connections_per_address", live,
     Number{at<&C::limits, &C::Limits::connections_per_address>, 1, any_number},
     "connections from one address (IPv6: from one /64)"},
    {"limits.logins_per_address", live, Number{at<&C::limits, &C::Limits::logins_per_address>, 1, any_number},
     "of these, those that have not logged in yet; all addresses together have 50000"},
    {"limits.login_deadline", live,
     Seconds{at<&C::limits, &C::Limits::login_deadline>, seconds{1}, seconds{3600}},
     "time from connecting to a bound resource; registering has as long as its PIN"},
    {"limits.login_attempts", live, Number{at<&C::limits, &C::Limits::login_attempts>, 1, 100},
     "failed logins on one connection"},
    {"limits.idle", live, Seconds{at<&C::limits, &C::Limits::idle>, seconds{1}, 7 * day},
     "silence after which a client is pinged"},
    {"limits.ping_timeout", live, Seconds{at<&C::limits, &C::Limits::ping_timeout>, seconds{1}, day},
     "time to answer that ping"},
    {"limits.outbox_bytes", live, Size{at<&C::limits, &C::Limits::outbox_bytes>, 65'536, 1024 * megabyte},
     "unsent bytes of one session"},
    {"limits.bytes_per_second", live, Size{at<&C::limits, &C::Limits::bytes_per_second>, 0, any_number},
     "bytes a session may send in a second; 0: no limit"},
    {"limits.burst_bytes", live, Size{at<&C::limits, &C::Limits::burst_bytes>, 1024, any_number},
     "bytes a session may send at once before that counts"},
    {"limits.roster_items", live, Number{at<&C::limits, &C::Limits::roster_items>, 1, 1'000'000},
     "contacts of an account"},
    {"limits.held_stanzas", live, Number{at<&C::limits, &C::Limits::held_stanzas>, 0, 10'000},
     "stanzas held back for a client that is inactive (XEP-0352); 0: none"},
    {"limits.held_bytes", live, Size{at<&C::limits, &C::Limits::held_bytes>, 1024, 64 * megabyte},
     "bytes held back for it"},
    {"log.level", live, Text{at<&C::log, &C::Logging::level>, values::log_level},
     "debug, info, warn or error"},
    {"log.format", live, Text{at<&C::log, &C::Logging::format>, values::log_format}, "text or json"},
    {"log.file", live, Text{at<&C::log, &C::Logging::file>, values::any},
     "file that lines are appended to; empty: standard error"},

    {"contact.abuse", live, List{at<&C::contact, &C::Contact::abuse>, values::uri},
     "URIs published as XEP-0157 abuse-addresses"},
    {"contact.admin", live, List{at<&C::contact, &C::Contact::admin>, values::uri},
     "the same, admin-addresses"},
    {"contact.support", live, List{at<&C::contact, &C::Contact::support>, values::uri},
     "the same, support-addresses"},
    {"contact.security", live, List{at<&C::contact, &C::Contact::security>, values::uri},
     "the same, security-addresses"},
    {"contact.feedback", live, List{at<&C::contact, &C::Contact::feedback>, values::uri},
     "the same, feedback-addresses"},
    {"contact.sales", live, List{at<&C::contact, &C::Contact::sales>, values::uri},
     "the same, sales-addresses"},
    {"contact.status", live, List{at<&C::contact, &C::Contact::status>, values::uri},
     "the same, status-addresses"},

    {"alerts.queue_depth", live, Number{at<&C::alerts, &C::Alerts::queue_depth>, 1, any_number},
     "a queue deeper than this is warned of, until it is half of it"},
    {"alerts.queue_age", live,
     Milliseconds{at<&C::alerts, &C::Alerts::queue_age>, milliseconds{10}, milliseconds{3'600'000}},
     "a queue whose oldest entry is older is warned of; a plain number is milliseconds"},
};

// ---- putting one value in
// --------------------------------------------------------------------------------------------

std::string range(std::string_view what, const std::string& least, const std::string& most) {
    return std::string{what} + " from " + least + " to " + most;
}

struct Put {  // one overload a kind of field
    const Key& key;
    Config& config;
    const Raw& raw;

    Refusals operator()(const Switch& field) const {
        std::optional<bool> value;
        if (const auto* given = std::get_if<bool>(&raw.value))
            value = *given;
        else if (raw.from_environment)
            value = values::parse_switch(*raw.text());
        if (!value) return {{raw.shown, "true or false"}};
        field.at(config) = *value;
        return {};
    }

    Refusals operator()(const Number& field) const {
        const auto value = raw.number();
        if (!value || *value < field.least || *value > field.most)
            return {{raw.shown,
                     range("a whole number", std::to_string(field.least), std::to_string(field.most))}};
        field.at(config) = static_cast<std::uint32_t>(*value);
        return {};
    }

    Refusals operator()(const Size& field) const {
        auto value = raw.number();
        if (!value && raw.text()) value = values::parse_size(*raw.text());
        if (!value || *value < field.least || *value > field.most)
            return {{raw.shown, range("bytes, e.g. 65536, \"256k\" or \"8M\",",
                                      values::show_size(field.least), values::show_size(field.most))}};
        field.at(config) = static_cast<std::uint32_t>(*value);
        return {};
    }

    Refusals operator()(const Seconds& field) const {
        const auto value = duration(seconds{1});
        if (!value || *value < field.least || *value > field.most || *value % seconds{1} != milliseconds{0})
            return {
                {raw.shown, range("whole seconds, e.g. 30, \"30s\" or \"10m\",",
                                  values::show_duration(field.least), values::show_duration(field.most))}};
        field.at(config) = std::chrono::duration_cast<seconds>(*value);
        return {};
    }

    Refusals operator()(const Milliseconds& field) const {
        const auto value = duration(milliseconds{1});
        if (!value || *value < field.least || *value > field.most)
            return {
                {raw.shown, range("a duration, e.g. \"500ms\" or \"10s\" (a plain number is milliseconds),",
                                  values::show_duration(field.least), values::show_duration(field.most))}};
        field.at(config) = *value;
        return {};
    }

    Refusals operator()(const Text& field) const {
        if (!raw.text()) return {{raw.shown, "a text in quotes"}};
        std::string value = *raw.text();
        if (std::string expected = field.check(value); !expected.empty())
            return {{raw.shown, std::move(expected)}};
        field.at(config) = std::move(value);
        return {};
    }

    Refusals operator()(const List& field) const {
        const auto* given = std::get_if<std::vector<std::string>>(&raw.value);
        if (!given && !raw.from_environment) return {{raw.shown, "a list of texts, [\"…\", \"…\"]"}};
        std::vector<std::string> items = given ? *given : values::parse_list(*raw.text());
        Refusals refusals;
        for (std::string& item : items)
            if (std::string expected = field.check(item); !expected.empty())
                refusals.push_back({shown(key, item), std::move(expected)});
        if (refusals.empty()) field.at(config) = std::move(items);
        return refusals;
    }

private:
    std::optional<milliseconds> duration(milliseconds unit) const {
        if (const auto number = raw.number()) {
            if (*number > 1'000'000'000'000) return std::nullopt;
            return static_cast<std::int64_t>(*number) * unit;
        }
        return raw.text() ? parse_duration(*raw.text()) : std::nullopt;
    }
};

struct Show {  // as TOML has it
    Config& config;
    std::string operator()(const Switch& field) const { return field.at(config) ? "true" : "false"; }
    std::string operator()(const Number& field) const { return std::to_string(field.at(config)); }
    std::string operator()(const Size& field) const {
        const std::string size = values::show_size(field.at(config));
        return std::isdigit(static_cast<unsigned char>(size.back())) ? size : '"' + size + '"';
    }
    std::string operator()(const Seconds& field) const {
        return '"' + values::show_duration(field.at(config)) + '"';
    }
    std::string operator()(const Milliseconds& field) const {
        return '"' + values::show_duration(field.at(config)) + '"';
    }
    std::string operator()(const Text& field) const { return values::quoted(field.at(config)); }
    std::string operator()(const List& field) const {
        std::string list = "[";
        for (const std::string& item : field.at(config))
            list.append(list.size() > 1 ? ", " : "").append(values::quoted(item));
        return list + "]";
    }
};

struct Same {
    Config& a;
    Config& b;
    template <class F>
    bool operator()(const F& field) const {
        return field.at(a) == field.at(b);
    }
};

struct Copy {
    Config& from;
    Config& to;
    template <class F>
    void operator()(const F& field) const {
        field.at(to) = field.at(from);
    }
};

}  // namespace

std::span<const Key> all() { return table; }

Refusals put(const Key& key, Config& config, const Raw& raw) {
    return std::visit(Put{key, config, raw}, key.field);
}

std::string show(const Key& key, const Config& config) {
    Config copy = config;
    return std::visit(Show{copy}, key.field);
}

bool same(const Key& key, const Config& a, const Config& b) {
    Config copy_a = a, copy_b = b;
    return std::visit(Same{copy_a, copy_b}, key.field);
}

void copy(const Key& key, const Config& from, Config& to) {
    Config copied = from;
    std::visit(Copy{copied, to}, key.field);
}

std::string shown(const Key& key, std::string_view text) {
    if (key.shown == Shown::never) return "(not shown)";
    return key.shown == Shown::as_url ? values::masked_url(text) : values::quoted(text);
}

// ---- names
// ---------------------------------------------------------------------------------------------------------

const Key* find(std::string_view name) {
    const auto* const found =
        std::find_if(std::begin(table), std::end(table), [&](const Key& key) { return key.name == name; });
    return found == std::end(table) ? nullptr : found;
}

std::string variable_of(std::string_view name) {
    std::string variable = "TERN_";
    for (const char c : name)
        variable += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return variable;
}

bool is_section(std::string_view name) {
    return std::any_of(std::begin(table), std::end(table), [&](const Key& key) {
        return key.name.size() > name.size() && key.name.starts_with(name) && key.name[name.size()] == '.';
    });
}

// "did you mean …", or which keys there are.
std::string key_suggestion(std::string_view name) {
    std::vector<std::string_view> names;
    for (const Key& key : table) names.push_back(key.name);
    if (const auto meant = values::nearest(name, names); !meant.empty())
        return "did you mean \"" + std::string{meant} + "\"?";

    // Right, but in the wrong section.
    const std::string_view last = name.substr(name.rfind('.') + 1);
    std::string elsewhere;
    for (const std::string_view known : names)
        if (known.substr(known.rfind('.') + 1) == last)
            elsewhere.append(elsewhere.empty() ? "" : " or ").append("\"").append(known).append("\"");
    if (!elsewhere.empty()) return "did you mean " + elsewhere + "?";

    const std::string section{name.substr(0, name.rfind('.'))};
    if (section == name || !is_section(section)) return "one of the keys that \"tern config keys\" lists";
    for (const std::string_view known : names)
        if (known.starts_with(section + "."))
            elsewhere.append(elsewhere.empty() ? "one of " : ", ").append(known.substr(section.size() + 1));
    return elsewhere;
}

std::string section_suggestion(std::string_view name) {
    std::vector<std::string_view> sections;
    for (const Key& key : table)
        if (const auto dot = key.name.find('.'); dot != key.name.npos)
            sections.push_back(key.name.substr(0, dot));
    const auto meant = values::nearest(name, sections);
    return meant.empty() ? key_suggestion(name) : "did you mean [" + std::string{meant} + "]?";
}

}  // namespace server::keys
