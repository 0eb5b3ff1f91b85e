// SPDX-License-Identifier: MIT
// Reads the storage URL.
#include "storage/url.h"

#include <charconv>

namespace storage {

namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
}

// RFC 3986 §2.1
std::optional<std::string> decode(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
        if (!high || !low) return std::nullopt;
        result += static_cast<char>(*high * 16 + *low);
        i += 2;
    }
    return result;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

bool read_flag(std::string_view text, bool& flag) {
    flag = text == "true";
    return flag || text == "false";
}

// Takes "?a=b&c=d" off the end.
std::optional<Options> take_options(std::string_view& url) {
    Options options;
    const std::size_t mark = url.find('?');
    if (mark == std::string_view::npos) return options;
    std::string_view rest = url.substr(mark + 1);
    url = url.substr(0, mark);
    while (!rest.empty()) {
        const std::string_view option = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), option.size() + 1));
        const std::size_t equals = option.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        auto value = decode(option.substr(equals + 1));
        if (!value) return std::nullopt;
        options.emplace_back(option.substr(0, equals), std::move(*value));
    }
    return options;
}

using Answer = xmpp::Result<Place, std::string>;

Failure<std::string> wrong(std::string text) { return {"storage url: " + std::move(text)}; }
Failure<std::string> wrong_option(std::string_view name) {
    return wrong("the option " + std::string{name} + " is not known or has a wrong value");
}

Answer parse_sqlite(std::string_view rest, const Options& options) {
    if (rest.starts_with("//")) rest.remove_prefix(2);  // sqlite:///var/lib/… means an absolute path
    sqlite::Settings settings;
    settings.path = rest;
    if (settings.path.empty()) return wrong("a path must follow sqlite:");
    for (const auto& [name, value] : options) {
        if (name != "max_pages" || !read_number(value, settings.most_pages)) return wrong_option(name);
    }
    return Place{std::move(settings)};
}

bool take_option(mysql::Settings& settings, std::string_view name, const std::string& value) {
    if (name == "socket") {
        settings.socket = value;
    } else if (name == "ssl-ca") {
        settings.ssl_ca = value;
        settings.ssl = true;
    } else if (name == "ssl") {
        return read_flag(value, settings.ssl);
    } else if (name == "ssl-verify") {
        return read_flag(value, settings.ssl_verify);
    } else if (name == "connect-timeout") {
        return read_number(value, settings.connect_seconds) && settings.connect_seconds > 0;
    } else if (name == "answer-timeout") {
        return read_number(value, settings.answer_seconds) && settings.answer_seconds > 0;
    } else {
        return false;
    }
    return true;
}

// host, host:port, [IPv6] or [IPv6]:port
bool take_host(mysql::Settings& settings, std::string_view text) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return false;
        settings.host = text.substr(1, end - 1);
        port = text.substr(end + 1);
    } else {
        settings.host = text.substr(0, text.find(':'));
        port = text.substr(settings.host.size());
    }
    if (port.empty()) return true;
    return port.starts_with(':') && read_number(port.substr(1), settings.port) && settings.port != 0;
}

Answer parse_mysql(std::string_view rest, const Options& options) {
    mysql::Settings settings;
    const std::size_t slash = rest.rfind('/');
    if (slash == std::string_view::npos || slash + 1 == rest.size())
        return wrong("a database name must follow the host");
    settings.database = rest.substr(slash + 1);
    std::string_view authority = rest.substr(0, slash);
    const std::size_t at = authority.rfind('@');  // a password may hold one, though it should be %40
    if (at == std::string_view::npos)
        return wrong("a user must come before the host, as in mysql://user:password@host/database");
    const std::string_view login = authority.substr(0, at);
    const std::size_t colon = login.find(':');
    auto user = decode(login.substr(0, colon));
    auto password = decode(colon == std::string_view::npos ? std::string_view{} : login.substr(colon + 1));
    if (!user || !password || user->empty())
        return wrong("user or password are not encoded as RFC 3986 says");
    settings.user = std::move(*user);
    settings.password = std::move(*password);
    if (!take_host(settings, authority.substr(at + 1))) return wrong("host and port cannot be understood");
    for (const auto& [name, value] : options) {
        if (!take_option(settings, name, value)) return wrong_option(name);
    }
    if (settings.host.empty() && settings.socket.empty()) return wrong("a host is missing");
    return Place{std::move(settings)};
}

}  // namespace

xmpp::Result<Place, std::string> parse_url(std::string_view url) {
    const auto options = take_options(url);
    if (!options) return wrong("options look like ?name=value&name=value");
    constexpr std::string_view sqlite = "sqlite:", mysql = "mysql://";
    if (url.starts_with(sqlite)) return parse_sqlite(url.substr(sqlite.size()), *options);
    if (url.starts_with(mysql)) return parse_mysql(url.substr(mysql.size()), *options);
    return wrong("it must begin with sqlite: or mysql://");
}

}  // namespace storage
