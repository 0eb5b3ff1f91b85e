// SPDX-License-Identifier: MIT
// RFC 8264/8265 (PRECIS) and IDNA2008 on ICU. Every profile is applied until it changes nothing more: what
// does not come to rest after the second pass is refused, so that a normalised text always normalises to
// itself.
#include "xmpp/precis.h"

#include <unicode/idna.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <memory>

namespace xmpp::precis {

namespace {

using icu::UnicodeString;

enum class Class { valid, only_freeform, context, disallowed };  // RFC 8264 §8

const icu::Normalizer2& nfc() {
    UErrorCode status = U_ZERO_ERROR;
    return *icu::Normalizer2::getNFCInstance(status);
}

const icu::Normalizer2& nfkc() {
    UErrorCode status = U_ZERO_ERROR;
    return *icu::Normalizer2::getNFKCInstance(status);
}

std::optional<UnicodeString> normalised(const UnicodeString& text, const icu::Normalizer2& form) {
    UErrorCode status = U_ZERO_ERROR;
    UnicodeString result = form.normalize(text, status);
    if (U_FAILURE(status)) return std::nullopt;
    return result;
}

// RFC 8264 §9.17
bool has_compatibility_form(UChar32 c) {
    const UnicodeString alone{c};
    const auto changed = normalised(alone, nfkc());
    return !changed || *changed != alone;
}

bool is_arabic_indic_digit(UChar32 c) { return c >= 0x0660 && c <= 0x0669; }
bool is_extended_arabic_indic_digit(UChar32 c) { return c >= 0x06F0 && c <= 0x06F9; }

// RFC 8264 §9.6 (RFC 5892 §2.6)
std::optional<Class> exception(UChar32 c) {
    switch (c) {
        case 0x00DF:
        case 0x03C2:
        case 0x06FD:
        case 0x06FE:
        case 0x0F0B:
        case 0x3007: return Class::valid;
        case 0x00B7:
        case 0x0375:
        case 0x05F3:
        case 0x05F4:
        case 0x30FB: return Class::context;
        case 0x0640:
        case 0x07FA:
        case 0x302E:
        case 0x302F:
        case 0x3031:
        case 0x3032:
        case 0x3033:
        case 0x3034:
        case 0x3035:
        case 0x303B: return Class::disallowed;
        default: break;
    }
    if (is_arabic_indic_digit(c) || is_extended_arabic_indic_digit(c)) return Class::context;
    return std::nullopt;
}

// RFC 8264 §8, in its order.
Class classify(UChar32 c) {
    if (const auto special = exception(c)) return *special;
    const std::int8_t category = u_charType(c);
    if (category == U_UNASSIGNED) return Class::disallowed;
    if (c >= 0x21 && c <= 0x7E) return Class::valid;
    if (c == 0x200C || c == 0x200D) return Class::context;
    const int hangul = u_getIntPropertyValue(c, UCHAR_HANGUL_SYLLABLE_TYPE);
    const bool is_old_hangul =
        hangul == U_HST_LEADING_JAMO || hangul == U_HST_VOWEL_JAMO || hangul == U_HST_TRAILING_JAMO;
    if (is_old_hangul || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) ||
        U_IS_UNICODE_NONCHAR(c) || category == U_CONTROL_CHAR)
        return Class::disallowed;
    if (has_compatibility_form(c)) return Class::only_freeform;
    const auto mask = U_MASK(category);
    constexpr auto letters_and_digits = U_GC_LL_MASK | U_GC_LU_MASK | U_GC_LO_MASK | U_GC_ND_MASK |
                                        U_GC_LM_MASK | U_GC_MN_MASK | U_GC_MC_MASK;
    if (mask & letters_and_digits) return Class::valid;
    constexpr auto others =
        U_GC_LT_MASK | U_GC_NL_MASK | U_GC_NO_MASK | U_GC_ME_MASK | U_GC_ZS_MASK | U_GC_S_MASK | U_GC_P_MASK;
    return mask & others ? Class::only_freeform : Class::disallowed;
}

bool has_script(UChar32 c, UScriptCode script) {
    UErrorCode status = U_ZERO_ERROR;
    return uscript_getScript(c, &status) == script && U_SUCCESS(status);
}

UChar32 before(const UnicodeString& text, int at) { return at > 0 ? text.char32At(at - 1) : U_SENTINEL; }
UChar32 after(const UnicodeString& text, int at) {
    const int next = text.moveIndex32(at, 1);
    return next < text.length() ? text.char32At(next) : U_SENTINEL;
}

bool follows_virama(const UnicodeString& text, int at) {
    return at > 0 && u_getCombiningClass(before(text, at)) == 9;
}

// RFC 5892 appendix A.1: between a character that joins to its left and one that joins to its right.
bool breaks_a_cursive_connection(const UnicodeString& text, int at) {
    const auto joining = [&](int index) {
        return u_getIntPropertyValue(text.char32At(index), UCHAR_JOINING_TYPE);
    };
    int left = at;
    do {
        if (left == 0) return false;
        left = text.moveIndex32(left, -1);
    } while (joining(left) == U_JT_TRANSPARENT);
    if (joining(left) != U_JT_LEFT_JOINING && joining(left) != U_JT_DUAL_JOINING) return false;
    int right = at;
    do {
        right = text.moveIndex32(right, 1);
        if (right >= text.length()) return false;
    } while (joining(right) == U_JT_TRANSPARENT);
    return joining(right) == U_JT_RIGHT_JOINING || joining(right) == U_JT_DUAL_JOINING;
}

template <class Predicate>
bool any_of(const UnicodeString& text, Predicate predicate) {
    for (int i = 0; i < text.length(); i = text.moveIndex32(i, 1))
        if (predicate(text.char32At(i))) return true;
    return false;
}

// RFC 5892 appendix A.1 to A.6: by what stands beside it.
bool is_allowed_here(const UnicodeString& text, int at) {
    switch (text.char32At(at)) {
        case 0x200C: return follows_virama(text, at) || breaks_a_cursive_connection(text, at);
        case 0x200D: return follows_virama(text, at);
        case 0x00B7: return before(text, at) == 'l' && after(text, at) == 'l';
        case 0x0375: return has_script(after(text, at), USCRIPT_GREEK);
        case 0x05F3:
        case 0x05F4: return has_script(before(text, at), USCRIPT_HEBREW);
        default: return true;
    }
}

// RFC 5892 appendix A.7 to A.9: by what else is anywhere in the text, looked for once and not for each that asks.
bool are_allowed_together(const UnicodeString& text) {
    const auto is_middle_dot = [](UChar32 c) { return c == 0x30FB; };
    const auto is_japanese = [](UChar32 c) {
        return has_script(c, USCRIPT_HIRAGANA) || has_script(c, USCRIPT_KATAKANA) || has_script(c, USCRIPT_HAN);
    };
    if (any_of(text, is_middle_dot) && !any_of(text, is_japanese)) return false;
    return !any_of(text, is_arabic_indic_digit) || !any_of(text, is_extended_arabic_indic_digit);
}

bool conforms(const UnicodeString& text, bool to_freeform) {
    for (int i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
        const Class found = classify(text.char32At(i));
        const bool is_space = to_freeform && text.char32At(i) == ' ';
        if (found == Class::valid || is_space || (found == Class::only_freeform && to_freeform)) continue;
        if (found == Class::context && is_allowed_here(text, i)) continue;
        return false;
    }
    return are_allowed_together(text);
}

// RFC 8264 §5.2.1: fullwidth and halfwidth characters become what they are compatible with; nothing else
// does.
std::optional<UnicodeString> width_mapped(const UnicodeString& text) {
    UnicodeString mapped;
    for (int i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
        const UChar32 c = text.char32At(i);
        const int width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
        if (c > 0x7f && (width == U_EA_FULLWIDTH || width == U_EA_HALFWIDTH)) {
            const auto plain = normalised(UnicodeString{c}, nfkc());
            if (!plain) return std::nullopt;
            mapped.append(*plain);
        } else {
            mapped.append(c);
        }
    }
    return mapped;
}

constexpr std::uint32_t bit(UCharDirection direction) { return U_MASK(static_cast<int>(direction)); }

// RFC 5893 §2, for a text with a right-to-left character in it.
bool keeps_bidi_rule(const UnicodeString& text) {
    constexpr std::uint32_t right = bit(U_RIGHT_TO_LEFT) | bit(U_RIGHT_TO_LEFT_ARABIC);
    constexpr std::uint32_t arabic_number = bit(U_ARABIC_NUMBER), european_number = bit(U_EUROPEAN_NUMBER);
    constexpr std::uint32_t left = bit(U_LEFT_TO_RIGHT), mark = bit(U_DIR_NON_SPACING_MARK);
    constexpr std::uint32_t neutral = bit(U_EUROPEAN_NUMBER_SEPARATOR) | bit(U_COMMON_NUMBER_SEPARATOR) |
                                      bit(U_EUROPEAN_NUMBER_TERMINATOR) | bit(U_OTHER_NEUTRAL) |
                                      bit(U_BOUNDARY_NEUTRAL) | mark;
    std::uint32_t all = 0, first = 0, last_but_marks = 0;
    for (int i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
        const std::uint32_t direction = bit(u_charDirection(text.char32At(i)));
        all |= direction;
        if (i == 0) first = direction;
        if (direction != mark) last_but_marks = direction;
    }
    if ((all & (right | arabic_number)) == 0) return true;
    if (first & right) {
        return (all & ~(right | arabic_number | european_number | neutral)) == 0 &&
               (last_but_marks & (right | arabic_number | european_number)) != 0 &&
               !((all & arabic_number) && (all & european_number));
    }
    return (first & left) && (all & ~(left | european_number | neutral)) == 0 &&
           (last_but_marks & (left | european_number)) != 0;
}

// Refuses what is not UTF-8 instead of repairing it.
std::optional<UnicodeString> decode(std::string_view utf8) {
    UnicodeString text =
        UnicodeString::fromUTF8(icu::StringPiece{utf8.data(), static_cast<std::int32_t>(utf8.size())});
    std::string back;
    text.toUTF8String(back);
    if (back != utf8) return std::nullopt;
    return text;
}

std::string encode(const UnicodeString& text) {
    std::string utf8;
    text.toUTF8String(utf8);
    return utf8;
}

std::optional<UnicodeString> username_once(const UnicodeString& text) {
    auto mapped = width_mapped(text);
    if (!mapped || !conforms(*mapped, false)) return std::nullopt;
    mapped->toLower(icu::Locale::getRoot());
    auto result = normalised(*mapped, nfc());
    if (!result || !conforms(*result, false) || !keeps_bidi_rule(*result)) return std::nullopt;
    return result;
}

std::optional<UnicodeString> opaque_once(const UnicodeString& text) {
    UnicodeString mapped;
    for (int i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
        const UChar32 c = text.char32At(i);
        mapped.append(u_charType(c) == U_SPACE_SEPARATOR ? UChar32{' '} : c);
    }
    auto result = normalised(mapped, nfc());
    if (!result || !conforms(*result, true)) return std::nullopt;
    return result;
}

template <class Profile>
std::optional<std::string> apply(Profile profile, std::string_view utf8) {
    const auto text = decode(utf8);
    if (!text || text->isEmpty()) return std::nullopt;
    const auto once = profile(*text);
    if (!once) return std::nullopt;
    const auto twice = profile(*once);
    if (!twice || *twice != *once) return std::nullopt;
    return encode(*once);
}

const icu::IDNA* idna() {
    static const std::unique_ptr<const icu::IDNA> instance = [] {
        UErrorCode status = U_ZERO_ERROR;
        const std::uint32_t options = UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ |
                                      UIDNA_CHECK_CONTEXTO | UIDNA_NONTRANSITIONAL_TO_ASCII |
                                      UIDNA_NONTRANSITIONAL_TO_UNICODE;
        return std::unique_ptr<const icu::IDNA>{icu::IDNA::createUTS46Instance(options, status)};
    }();
    return instance.get();
}

// RFC 5892 §3 for a U-label: what UTS 46 lets through beyond IDNA2008 (symbols, emoji, compatibility forms)
// is refused.
bool is_idna2008(const UnicodeString& label) {
    const bool is_ldh = !any_of(label, [](UChar32 c) {
        return c < 0x80 && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    });
    return is_ldh && conforms(label, false);
}

bool begins_as_a_label(const UnicodeString& label) { return label.startsWith(UnicodeString{"xn--"}); }

// One label. RFC 7622 §3.2 maps case and width and composes, no more: UTS 46 must have nothing left to map.
std::optional<UnicodeString> domain_label(const UnicodeString& label) {
    auto mapped = width_mapped(label);
    if (!mapped) return std::nullopt;
    mapped->toLower(icu::Locale::getRoot());
    const auto composed = normalised(*mapped, nfc());
    if (!composed || composed->isEmpty() || composed->indexOf('.') >= 0) return std::nullopt;

    UErrorCode status = U_ZERO_ERROR;
    UnicodeString unicode, ascii;
    icu::IDNAInfo to_unicode, to_ascii;
    idna()->labelToUnicode(*composed, unicode, to_unicode, status);
    idna()->labelToASCII(*composed, ascii, to_ascii, status);
    if (U_FAILURE(status) || to_unicode.hasErrors() || to_ascii.hasErrors()) return std::nullopt;
    if (!begins_as_a_label(*composed) && unicode != *composed) return std::nullopt;
    if (!is_idna2008(unicode)) return std::nullopt;
    return unicode;
}

}  // namespace

std::optional<std::string> username_case_mapped(std::string_view text) { return apply(username_once, text); }

std::optional<std::string> opaque_string(std::string_view text) { return apply(opaque_once, text); }

std::optional<std::string> domain_name(std::string_view utf8) {
    const auto text = decode(utf8);
    if (!text) return std::nullopt;
    UnicodeString whole;
    for (int start = 0; start <= text->length();) {
        int end = text->indexOf('.', start);
        if (end < 0) end = text->length();
        const auto label = domain_label(text->tempSubStringBetween(start, end));
        if (!label) return std::nullopt;
        if (start > 0) whole.append(u'.');
        whole.append(*label);
        start = end + 1;
    }
    // RFC 5893 §1.4: one right-to-left label puts all under the rule.
    UErrorCode status = U_ZERO_ERROR;
    UnicodeString checked;
    icu::IDNAInfo info;
    idna()->nameToUnicode(whole, checked, info, status);
    const bool is_accepted =
        (info.getErrors() & ~static_cast<std::uint32_t>(UIDNA_ERROR_DOMAIN_NAME_TOO_LONG)) == 0;
    if (U_FAILURE(status) || !is_accepted || checked != whole) return std::nullopt;
    return encode(whole);
}

}  // namespace xmpp::precis
