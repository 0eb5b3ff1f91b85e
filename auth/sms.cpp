// SPDX-License-Identifier: MIT
// The gateways that need no network: the console and a file; and how templates are filled in for the HTTP
// one.
#include "auth/sms.h"

#include <cerrno>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "xmpp/xml_writer.h"

namespace auth {

namespace {

std::string json_escaped(const std::string& text) {
    // Bytes that are no UTF-8 become U+FFFD: they come from templates, never from numbers or PINs.
    const std::string quoted =
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return quoted.substr(1, quoted.size() - 2);
}

std::string percent_encoded(std::string_view text) {  // RFC 3986 §2.3: all but the unreserved
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved)
            out += c;
        else
            (out += '%') += {hex[byte >> 4U], hex[byte & 15U]};
    }
    return out;
}

std::string xml_escaped(std::string_view text) {
    std::string out;
    xmpp::append_escaped_attribute(out, text);
    return out;
}

std::string escaped(const std::string& text, std::string_view content_type) {
    if (content_type.find("json") != std::string_view::npos) return json_escaped(text);
    if (content_type.find("urlencoded") != std::string_view::npos) return percent_encoded(text);
    if (content_type.find("xml") != std::string_view::npos) return xml_escaped(text);
    return text;
}

class ConsoleGateway final : public SmsGateway {
public:
    explicit ConsoleGateway(Log log) : log_{std::move(log)} {}
    bool send(Sms sms) override {
        // The one place where a text is logged: showing it is what this gateway is for.
        log_("warn", "SMS to " + sms.to + ": " + sms.text);
        count(true);
        return true;
    }
    storage::QueueDepth depth() const override {
        storage::QueueDepth none;
        none.name = "sms";
        return none;
    }

private:
    const Log log_;
};

// Written at once, on the caller's thread: one short line to a local file, in installations for trying things
// out.
class FileGateway final : public SmsGateway {
public:
    FileGateway(std::string path, Log log) : path_{std::move(path)}, log_{std::move(log)} {}
    bool send(Sms sms) override {
        nlohmann::ordered_json line;
        line["to"] = sms.to;
        line["text"] = sms.text;
        const std::string bytes = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
        const std::lock_guard lock{mutex_};
        // Opened for each, so that the file may be moved away; readable by nobody else: PINs are in it.
        const int file = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        const bool written =
            file >= 0 && write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
        const int reason = errno;
        if (file >= 0) close(file);
        count(written);
        if (!written)
            log_("error",
                 "SMS to " + masked(sms.to) + " not written to " + path_ + ": " + std::strerror(reason));
        return written;
    }
    storage::QueueDepth depth() const override {
        storage::QueueDepth none;
        none.name = "sms";
        return none;
    }

private:
    const std::string path_;
    const Log log_;
    std::mutex mutex_;
};

}  // namespace

std::string masked(std::string_view number) {
    if (number.size() < 8) return "…";
    return std::string{number.substr(0, 3)} + "…" + std::string{number.substr(number.size() - 2)};
}

std::string filled(std::string_view form, const Sms& sms, std::string_view content_type) {
    constexpr std::string_view to = "{to}";
    constexpr std::string_view text = "{text}";
    std::string out;
    while (!form.empty()) {  // in one pass: what was filled in is not looked at again
        if (form.starts_with(to)) {
            out += escaped(sms.to, content_type);
            form.remove_prefix(to.size());
        } else if (form.starts_with(text)) {
            out += escaped(sms.text, content_type);
            form.remove_prefix(text.size());
        } else {
            out += form.front();
            form.remove_prefix(1);
        }
    }
    return out;
}

std::unique_ptr<SmsGateway> console_gateway(Log log) {
    return std::make_unique<ConsoleGateway>(std::move(log));
}

std::unique_ptr<SmsGateway> file_gateway(std::string path, Log log) {
    return std::make_unique<FileGateway>(std::move(path), std::move(log));
}

}  // namespace auth
