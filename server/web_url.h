// SPDX-License-Identifier: MIT
// Links to this server's own HTTP port, for people.
#pragma once

#include <string>
#include <string_view>

namespace server {

struct Config;

// Where the outside finds that path ("/invite/…"); empty when nothing says where (http.url, http.tls).
std::string web_url(const Config& config, std::string_view path);

}  // namespace server
