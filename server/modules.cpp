// SPDX-License-Identifier: MIT
// Constructs the modules in the order of modules.def.
#include "server/host.h"

namespace server {

#define MODULE(name) std::unique_ptr<Module> make_##name(Host& host);
#include "server/modules/modules.def"
#undef MODULE

std::vector<std::unique_ptr<Module>> make_modules(Host& host) {
    std::vector<std::unique_ptr<Module>> modules;
#define MODULE(name)      \
    host.module = #name; \
    modules.push_back(make_##name(host));
#include "server/modules/modules.def"
#undef MODULE
    return modules;
}

std::vector<std::string_view> module_names() {
    return {
#define MODULE(name) #name,
#include "server/modules/modules.def"
#undef MODULE
    };
}

}  // namespace server
