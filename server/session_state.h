// SPDX-License-Identifier: MIT
// What the parts of the server write of a session when it is stored for the next process, and read there: texts, in
// order, under the name of who wrote them. A part that is not there any more is not asked; a new one finds nothing.
#pragma once

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace server {

class SessionState {
public:
    using Texts = std::vector<std::string>;
    Texts& operator[](std::string_view part) { return parts_[std::string{part}]; }
    // nullptr: that part has written nothing.
    const Texts* find(std::string_view part) const;
    std::string bytes() const;
    static std::optional<SessionState> parse(std::string_view bytes);   // nullopt: it is cut off, or something else

private:
    std::map<std::string, Texts> parts_;
};

template <class Number>
Number number_of(const std::string& text) {   // 0: it is none
    Number value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace server
