// SPDX-License-Identifier: MIT
// An immutable text whose copies share its bytes: as small as a pointer, and nothing else when it is empty.
#pragma once

#include <string>
#include <string_view>

#include "xmpp/wire.h"

namespace xmpp {

class SharedText {
public:
    SharedText() = default;
    SharedText(std::string_view text) : bytes_{text.empty() ? Wire{} : Wire{text}} {}
    SharedText(const std::string& text) : SharedText{std::string_view{text}} {}
    SharedText(const char* text) : SharedText{std::string_view{text}} {}

    operator std::string_view() const { return view(); }
    std::string_view view() const { return bytes_.bytes(); }
    operator std::string() const { return std::string{view()}; }
    bool empty() const { return !bytes_; }
    std::size_t size() const { return bytes_.size(); }

    friend bool operator==(const SharedText& a, const SharedText& b) { return a.view() == b.view(); }
    friend bool operator==(const SharedText& a, std::string_view b) { return a.view() == b; }
    friend bool operator==(const SharedText& a, const std::string& b) { return a.view() == b; }
    friend bool operator==(const SharedText& a, const char* b) { return a.view() == b; }

private:
    Wire bytes_;
};

}  // namespace xmpp
