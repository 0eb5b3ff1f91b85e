// SPDX-License-Identifier: MIT
#include "server/registration_forms.h"

#include "server/config.h"

namespace server {

using xmpp::DataForm;

// Numbers have their accounts at the first domain.
Doors doors(const Config& config, std::string_view domain, const std::optional<storage::Invitation>& invitation) {
    Doors doors;
    doors.phone = config.registration.phone && domain == config.domains.front();
    doors.name = config.registration.open || (invitation && invitation->registers);
    if (invitation && !invitation->address.localpart().empty()) {   // which no number has
        doors.phone = false;
        doors.username = invitation->address.localpart();
    }
    return doors;
}

xmpp::FormField& add_field(DataForm& form, std::string_view var, std::string_view type, std::string_view label, std::string value) {
    xmpp::FormField field;
    field.var = var;
    field.type = type;
    field.label = label;
    if (!value.empty()) field.values.push_back(std::move(value));
    form.fields.push_back(std::move(field));
    return form.fields.back();
}

DataForm registration_form(const Doors& doors, const auth::Registration& registration, std::string_view form_type) {
    DataForm form;
    form.title = "Registration";
    std::string how;
    if (doors.phone && doors.name) {
        how = "Enter your phone number in international form (+49…) to be sent a code. Or choose a user name and a password.";
        add_field(form, "phone", "text-single", "Phone number");
    }
    if (doors.phone && !doors.name) {
        how = "Enter your phone number in international form without + (49…) to be sent a code. It is your user name; "
              "the password is made for you: keep it.";
        // A client may take its login from this form, and may ask for no other: user name and key have to stand here,
        // and the code must find its place.
        auth::Registration::Offer offer = registration.offer();
        add_field(form, "id", "hidden", "", std::move(offer.id));
        add_field(form, "username", "text-single", "Phone number").required = true;
        add_field(form, "password", "text-single", "Password", std::move(offer.key));
        add_field(form, "pin", "text-single", "Code, when you have it");
    } else {
        if (!doors.phone) how = doors.username.empty() ? "Choose a user name and a password." : "Choose a password. The user name is yours.";
        add_field(form, "username", "text-single", "User name", doors.username).required = !doors.phone;
        add_field(form, "password", "text-private", "Password").required = !doors.phone;
    }
    form.instructions.push_back(std::move(how));
    form.hidden_form_type(form_type);
    return form;
}

DataForm code_form(const std::string& id, const std::string& username, const auth::Registration& registration, std::string_view form_type) {
    DataForm form;
    form.title = "Registration";
    form.instructions.emplace_back("Enter the code that was sent to your phone. The password is made for you: keep it.");
    add_field(form, "id", "hidden", "", id);
    add_field(form, "username", "hidden", "", username);
    add_field(form, "pin", "text-single", "Code").required = true;
    add_field(form, "password", "text-single", "Password", registration.key_offered(id));
    add_field(form, "device", "text-single", "Name of this device");
    form.hidden_form_type(form_type);
    return form;
}

DataForm issued_form(const auth::Registration::Issued& issued, std::string_view form_type) {
    DataForm form;
    form.type = "result";
    form.title = "Registered";
    form.instructions.emplace_back("This is your password. It is shown this once: keep it.");
    add_field(form, "username", "text-single", "User name", std::string{issued.jid.localpart()});
    add_field(form, "password", "text-single", "Password", issued.key);
    add_field(form, "jid", "jid-single", "Address", issued.jid.text());
    add_field(form, "device", "text-single", "Device", issued.device_id);
    form.hidden_form_type(form_type);
    return form;
}

}  // namespace server
