// SPDX-License-Identifier: MIT
// E.164 through libphonenumber, which is included here alone. Numbers in national form, with letters or with
// an extension are refused: an account is one number, and there must be one way to write it. So are those that
// are nobody's phone, which an SMS only costs money.
#include "auth/phone.h"

#include <phonenumbers/phonenumberutil.h>

namespace auth {

namespace {

using i18n::phonenumbers::PhoneNumberUtil;

constexpr std::size_t longest_text = 40;  // 15 digits, '+', and whatever people put between them

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// libphonenumber reads letters as a keypad does and knows RFC 3966 parameters; neither belongs into an
// account's name.
bool looks_like_a_number(std::string_view text) {
    if (text.size() > longest_text || text.empty() || text.front() != '+') return false;
    for (const char c : text.substr(1)) {
        if (!is_digit(c) && std::string_view{" -()./"}.find(c) == std::string_view::npos) return false;
    }
    return true;
}

bool is_nobodys_phone(PhoneNumberUtil::PhoneNumberType type) {
    switch (type) {
        case PhoneNumberUtil::PREMIUM_RATE:
        case PhoneNumberUtil::SHARED_COST:
        case PhoneNumberUtil::UAN:
        case PhoneNumberUtil::VOICEMAIL:
        case PhoneNumberUtil::PAGER: return true;
        default: return false;
    }
}

}  // namespace

std::optional<std::string> parse_phone(std::string_view text) {
    if (!looks_like_a_number(text)) return std::nullopt;
    const PhoneNumberUtil& library = *PhoneNumberUtil::GetInstance();
    i18n::phonenumbers::PhoneNumber number;
    // Region ZZ: no country is assumed, the '+' is demanded.
    if (library.Parse(std::string{text}, "ZZ", &number) != PhoneNumberUtil::NO_PARSING_ERROR)
        return std::nullopt;
    if (!library.IsValidNumber(number) || number.has_extension()) return std::nullopt;
    if (is_nobodys_phone(library.GetNumberType(number))) return std::nullopt;
    std::string e164;
    library.Format(number, PhoneNumberUtil::E164, &e164);
    return e164;
}

std::string localpart_of(std::string_view e164) {
    std::string digits;
    for (const char c : e164) {
        if (is_digit(c)) digits += c;
    }
    return digits;
}

}  // namespace auth
