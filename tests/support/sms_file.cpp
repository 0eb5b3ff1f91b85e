// SPDX-License-Identifier: MIT
#include "tests/support/sms_file.h"

#include <chrono>
#include <fstream>
#include <regex>
#include <thread>

#include "tests/support/player.h"

namespace tests {

std::string pin_in_sms_file(const std::string& path, const std::string& number) {
    const std::regex pin{"\\D(\\d{4,8})\\D"};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (std::chrono::steady_clock::now() < deadline) {
        std::ifstream file{path};
        std::string found;
        for (std::string line; std::getline(file, line);) {
            const std::size_t text = line.find("\"text\"");
            if (line.find("\"" + number + "\"") == std::string::npos || text == std::string::npos) continue;
            const std::string rest = line.substr(text);
            if (std::smatch match; std::regex_search(rest, match, pin)) found = match[1];
        }
        if (!found.empty()) return found;
        std::this_thread::yield();
    }
    throw Wrong{"no SMS was sent to " + number};
}

}  // namespace tests
