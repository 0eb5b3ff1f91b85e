// SPDX-License-Identifier: MIT
// What somebody who would like an account is asked, as data forms (XEP-0004): the same for every door in-band.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "auth/registration.h"
#include "storage/storage.h"
#include "xmpp/data_form.h"

namespace server {

struct Config;

inline constexpr std::string_view ns_registration_form = "jabber:iq:register";   // FORM_TYPE (XEP-0077 §13.4)

// What is open to somebody at a domain.
struct Doors {
    bool phone = false;
    bool name = false;       // user name and password
    std::string username;    // the only one that may be taken; empty: any
};
Doors doors(const Config& config, std::string_view domain, const std::optional<storage::Invitation>& invitation);

xmpp::FormField& add_field(xmpp::DataForm& form, std::string_view var, std::string_view type, std::string_view label, std::string value = {});

// By whichever door is open. Each form has one paragraph of instructions.
xmpp::DataForm registration_form(const Doors& doors, const auth::Registration& registration, std::string_view form_type = ns_registration_form);
// A PIN was sent; `id` stands for the number, whose account will be `username`.
xmpp::DataForm code_form(const std::string& id, const std::string& username, const auth::Registration& registration,
                         std::string_view form_type = ns_registration_form);
// What was got: shown once.
xmpp::DataForm issued_form(const auth::Registration::Issued& issued, std::string_view form_type = ns_registration_form);

}  // namespace server
