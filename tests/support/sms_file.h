// SPDX-License-Identifier: MIT
// What the SMS gateway "file" has written.
#pragma once

#include <string>

namespace tests {

// The last PIN sent to that number. The gateway writes on a thread of its own: waits for its line. Throws Wrong.
std::string pin_in_sms_file(const std::string& path, const std::string& number);

}  // namespace tests
