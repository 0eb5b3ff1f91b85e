// SPDX-License-Identifier: MIT
// XEP-0157 1.1.1: Contact Addresses for XMPP Services — a form in the server's disco#info (XEP-0128) that says where to
// write about abuse, security and the like. Nothing is configured: no form.
#include "server/config.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view form_type = "http://jabber.org/network/serverinfo";

class ContactAddresses final : public Module {
public:
    explicit ContactAddresses(Host& host) : worker_{host.worker} {
        host.at<&ContactAddresses::add_form>(host.disco.server.live_forms, this);
    }

private:
    // XEP-0157 §3; the addresses follow the configuration.
    void add_form(std::vector<xmpp::DataForm>& forms) {
        const Config::Contact& contact = worker_.config->contact;
        xmpp::DataForm form;
        form.type = "result";
        add_field(form, "abuse-addresses", contact.abuse);
        add_field(form, "admin-addresses", contact.admin);
        add_field(form, "feedback-addresses", contact.feedback);
        add_field(form, "sales-addresses", contact.sales);
        add_field(form, "security-addresses", contact.security);
        add_field(form, "status-addresses", contact.status);
        add_field(form, "support-addresses", contact.support);
        if (form.fields.empty()) return;
        form.hidden_form_type(form_type);
        forms.push_back(std::move(form));
    }

    static void add_field(xmpp::DataForm& form, std::string_view var, const std::vector<std::string>& addresses) {
        if (addresses.empty()) return;
        xmpp::FormField field;
        field.var = var;
        field.type = "list-multi";  // XEP-0157 §7.1
        field.values = addresses;
        form.fields.push_back(std::move(field));
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(contact_addresses, ContactAddresses)

}  // namespace server
