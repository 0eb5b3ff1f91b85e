// SPDX-License-Identifier: MIT
// Folding for search: NFKC_Casefold (Unicode §5.18) by ICU, without it for plain ASCII.
#include "xmpp/search_text.h"

#include <algorithm>

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

namespace xmpp {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string folded(std::string_view text) {
    UErrorCode error = U_ZERO_ERROR;
    const icu::Normalizer2* const fold = icu::Normalizer2::getNFKCCasefoldInstance(error);
    if (U_FAILURE(error)) return std::string{text};
    const icu::UnicodeString result =
        fold->normalize(icu::UnicodeString::fromUTF8({text.data(), static_cast<std::int32_t>(text.size())}), error);
    std::string utf8;
    if (U_FAILURE(error)) return std::string{text};
    return result.toUTF8String(utf8);
}

}  // namespace

std::string search_text(std::string_view text) {
    const bool is_ascii = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    const std::string source = is_ascii ? std::string{text} : folded(text);
    std::string result;
    result.reserve(source.size());
    for (const char c : source) {
        if (is_blank(c)) {
            if (!result.empty() && result.back() != ' ') result += ' ';
        } else {
            result += is_ascii && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        }
    }
    if (!result.empty() && result.back() == ' ') result.pop_back();
    return result;
}

std::vector<std::string> search_words(std::string_view text) {
    const std::string folded_text = search_text(text);
    std::vector<std::string> words;
    for (std::string_view rest = folded_text; !rest.empty();) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        words.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return words;
}

}  // namespace xmpp
