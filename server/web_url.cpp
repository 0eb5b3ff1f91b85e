// SPDX-License-Identifier: MIT
#include "server/web_url.h"

#include "server/config.h"

namespace server {

std::string web_url(const Config& config, std::string_view path) {
    std::string url = config.http.url;
    if (url.empty()) {
        const auto listening = config.http.tls.empty() ? std::nullopt : parse_listen_address(config.http.tls.front());
        if (!listening || listening->port == 0) return {};
        url = "https://" + config.domains.front();
        if (listening->port != 443) url += ":" + std::to_string(listening->port);
    }
    while (url.ends_with('/')) url.pop_back();
    return url.append(path);
}

}  // namespace server
