// SPDX-License-Identifier: MIT
// Written as a row of netstrings ("5:hello"): per part its name, how many texts it has, and these.
#include "server/session_state.h"

namespace server {

namespace {

void append(std::string& out, std::string_view text) { out.append(std::to_string(text.size())).append(":").append(text); }

std::optional<std::string_view> take(std::string_view& from) {
    std::size_t size = 0;
    const auto [end, problem] = std::from_chars(from.data(), from.data() + from.size(), size);
    const auto digits = static_cast<std::size_t>(end - from.data());
    if (problem != std::errc{} || digits == from.size() || from[digits] != ':' || size > from.size() - digits - 1) return std::nullopt;
    const std::string_view text = from.substr(digits + 1, size);
    from.remove_prefix(digits + 1 + size);
    return text;
}

}  // namespace

const SessionState::Texts* SessionState::find(std::string_view part) const {
    const auto found = parts_.find(std::string{part});
    return found == parts_.end() ? nullptr : &found->second;
}

std::string SessionState::bytes() const {
    std::string out;
    for (const auto& [name, texts] : parts_) {
        append(out, name);
        append(out, std::to_string(texts.size()));
        for (const std::string& text : texts) append(out, text);
    }
    return out;
}

std::optional<SessionState> SessionState::parse(std::string_view bytes) {
    SessionState state;
    while (!bytes.empty()) {
        const auto name = take(bytes), count = name ? take(bytes) : std::nullopt;
        if (!count) return std::nullopt;
        Texts& texts = state[*name];
        for (auto left = number_of<std::size_t>(std::string{*count}); left > 0; --left) {
            const auto text = take(bytes);
            if (!text) return std::nullopt;
            texts.emplace_back(*text);
        }
    }
    return state;
}

}  // namespace server
