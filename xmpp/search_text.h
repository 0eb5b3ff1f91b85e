// SPDX-License-Identifier: MIT
// Text as full-text search compares it: compatibility forms and case are folded, white space is one blank.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xmpp {

std::string search_text(std::string_view text);
// The same, taken apart at the blanks.
std::vector<std::string> search_words(std::string_view text);

}  // namespace xmpp
