// SPDX-License-Identifier: MIT
// RFC 7622: Address Format. A JID is parsed once, normalised by PRECIS, and is a type from then on.
// JidView borrows normalised text (a stanza's, a Jid's); Jid owns it. Both compare by their normalised text.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace xmpp {

// A normalised address that somebody else owns. Empty: no address at all.
class JidView {
public:
    constexpr JidView() = default;
    // `normal` must be normalised text; at: position of '@' or npos; slash: position of '/' or npos.
    constexpr JidView(std::string_view normal, std::size_t at, std::size_t slash)
        : text_{normal},
          at_{at == std::string_view::npos ? none : static_cast<std::uint16_t>(at)},
          slash_{slash == std::string_view::npos ? none : static_cast<std::uint16_t>(slash)} {}

    constexpr bool empty() const { return text_.empty(); }
    constexpr std::string_view text() const { return text_; }
    constexpr std::string_view localpart() const { return at_ == none ? std::string_view{} : text_.substr(0, at_); }
    constexpr std::string_view domainpart() const {
        const std::size_t start = at_ == none ? 0 : at_ + 1U;
        return text_.substr(start, (slash_ == none ? text_.size() : slash_) - start);
    }
    constexpr std::string_view resourcepart() const {
        return slash_ == none ? std::string_view{} : text_.substr(slash_ + 1U);
    }
    constexpr JidView bare() const {
        return slash_ == none ? *this : JidView{text_.substr(0, slash_), at_ == none ? std::string_view::npos : at_, std::string_view::npos};
    }
    constexpr bool is_bare() const { return slash_ == none; }
    constexpr bool is_full() const { return slash_ != none; }
    constexpr bool is_domain() const { return at_ == none && slash_ == none; }

    friend constexpr bool operator==(JidView a, JidView b) { return a.text_ == b.text_; }
    friend constexpr auto operator<=>(JidView a, JidView b) { return a.text_ <=> b.text_; }

private:
    static constexpr std::uint16_t none = 0xffff;
    std::string_view text_;
    std::uint16_t at_ = none;
    std::uint16_t slash_ = none;
};

// A normalised address with its own text.
class Jid {
public:
    Jid() = default;
    explicit Jid(JidView view);

    // Normalises by RFC 7622 §3 (UsernameCaseMapped localpart, IDNA2008 or IP-literal domainpart, OpaqueString
    // resourcepart; each part at most 1023 bytes). nullopt for anything that is not an address.
    static std::optional<Jid> parse(std::string_view text);
    // From its parts, each normalised; an empty localpart or resourcepart is absent.
    static std::optional<Jid> from_parts(std::string_view localpart, std::string_view domainpart, std::string_view resourcepart = {});

    operator JidView() const { return view(); }
    JidView view() const;
    bool empty() const { return text_.empty(); }
    const std::string& text() const { return text_; }
    std::string_view localpart() const { return view().localpart(); }
    std::string_view domainpart() const { return view().domainpart(); }
    std::string_view resourcepart() const { return view().resourcepart(); }
    Jid bare() const { return Jid{view().bare()}; }
    bool is_bare() const { return view().is_bare(); }
    bool is_full() const { return view().is_full(); }
    bool is_domain() const { return view().is_domain(); }
    // This address with another resourcepart, which must be normalised already.
    Jid with_resource(std::string_view normal_resourcepart) const;

    friend bool operator==(const Jid& a, const Jid& b) { return a.text_ == b.text_; }
    friend auto operator<=>(const Jid& a, const Jid& b) { return a.text_ <=> b.text_; }

private:
    std::string text_;
    std::uint16_t at_ = 0xffff;
    std::uint16_t slash_ = 0xffff;
};

// The view of a text that is in normal form already and plain ASCII (the common case, no ICU, no allocation);
// nullopt when the slow path Jid::parse must decide.
std::optional<JidView> view_if_normal(std::string_view text);
// Whether the text is that address, in whatever form it is written.
bool names(std::string_view text, JidView address);

// One part alone, normalised; nullopt when not allowed (RFC 7622 §3.2, §3.3, §3.4).
std::optional<std::string> normalise_localpart(std::string_view text);
std::optional<std::string> normalise_domainpart(std::string_view text);
std::optional<std::string> normalise_resourcepart(std::string_view text);

// RFC 8265 §4 OpaqueString, used for passwords before hashing; nullopt when not allowed.
std::optional<std::string> opaque_string(std::string_view text);

// Lets maps keyed by a JID's text be searched by string_view without a copy.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace xmpp
