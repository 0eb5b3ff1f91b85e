// SPDX-License-Identifier: MIT
// ${…} of scenes that speak SASL themselves: what a client says, in base 64.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tests {

// nullopt: the name is none of these.
std::optional<std::string> sasl_variable(std::string_view name);

}  // namespace tests
