// SPDX-License-Identifier: MIT
// QR codes of short texts, as pictures and for terminals.
#pragma once

#include <string>
#include <string_view>

namespace server::http {

std::string qr_svg(std::string_view text);
std::string qr_png(std::string_view text);
std::string qr_text(std::string_view text);   // half blocks, dark on light; lines of UTF-8

}  // namespace server::http
