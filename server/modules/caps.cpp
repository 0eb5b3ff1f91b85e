// SPDX-License-Identifier: MIT
// XEP-0115 1.6.0: Entity Capabilities, §6.3 — the server's own in its stream features, so that a client need not ask it
// again at every login. Leaves out the optimization of §8.4: clients' capabilities pass with their presence untouched.
#include <algorithm>

#include "auth/crypto.h"
#include "server/config.h"
#include "server/host.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/base64.h"

namespace server {

namespace {

constexpr std::string_view ns = "http://jabber.org/protocol/caps";
constexpr std::string_view node = "urn:x-tern:server";

class Caps final : public Module {
public:
    explicit Caps(Host& host) : worker_{host.worker}, table_{host.disco} {
        host.disco.feature(ns);
        host.at<&Caps::is_caps_node>(host.disco.server.aliases, this);
        host.at<&Caps::add_feature>(host.features, this);
    }

private:
    // XEP-0115 §6.3, once it is known who asks.
    void add_feature(Stream& stream, xmpp::XmlWriter& w) {
        if (!stream.is_for_sessions()) return;
        w.open("c", ns).attr("hash", "sha-1").attr("node", node).attr("ver", version()).close();
    }

    // §6.2: node#ver; an old ver is as good as none.
    bool is_caps_node(std::string_view asked) {
        return asked.starts_with(node) && asked.size() > node.size() && asked[node.size()] == '#' &&
               asked.substr(node.size() + 1) == version();
    }

    // What it is made of is complete when all modules are, and changes with the configuration.
    const std::string& version() {
        if (version_.empty() || made_for_ != worker_.config) {
            made_for_ = worker_.config;
            version_ = xmpp::base64(auth::digest(storage::Hash::sha1, verification_string()));
        }
        return version_;
    }

    // §5.1
    std::string verification_string() const {
        const DiscoTable::Of& server = table_.server;
        std::vector<std::string> identities;
        for (const auto& identity : server.identities)
            identities.push_back(identity.category + '/' + identity.type + "//" + identity.name);
        std::string s;
        append_sorted(s, std::move(identities));
        append_sorted(s, server.features);

        std::vector<xmpp::DataForm> forms = server.forms;
        server.live_forms.tell(forms);
        std::ranges::sort(forms, {}, [](const xmpp::DataForm& form) { return form.form_type(); });
        for (xmpp::DataForm& form : forms) {
            s.append(form.form_type()) += '<';
            std::ranges::sort(form.fields, {}, &xmpp::FormField::var);
            for (const xmpp::FormField& field : form.fields) {
                if (field.var == "FORM_TYPE") continue;
                s.append(field.var) += '<';
                std::vector<std::string> values = field.values;
                std::ranges::sort(values);
                for (const std::string& value : values) s.append(value) += '<';
            }
        }
        return s;
    }

    static void append_sorted(std::string& s, std::vector<std::string> names) {
        std::ranges::sort(names);
        names.erase(std::unique(names.begin(), names.end()), names.end());
        for (const std::string& name : names) s.append(name) += '<';
    }

    Worker& worker_;
    const DiscoTable& table_;
    std::shared_ptr<const Config> made_for_;
    std::string version_;
};

}  // namespace

MODULE_FACTORY(caps, Caps)

}  // namespace server
