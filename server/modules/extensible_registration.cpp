// SPDX-License-Identifier: MIT
// XEP-0389: Extensible In-Band Registration — one flow, "Verify with SMS": a data form for the number, a second one for the
// PIN, and <success/> with the device key; on the state machine of all doors (auth::Registration). Recovery is the same
// flow: whoever has the number gets a new key. Under TLS alone.
// Follows 0.4.0, with <success/>'s address and user name from 0.5.0 and the refusal of unknown flows from 0.6.0. The key
// stands in the second form, as it will be, and in a form of type "result" inside <success/>.
// After login there is no flow (§5.3).
#include <map>

#include "auth/phone.h"
#include "server/config.h"
#include "server/host.h"
#include "server/invited.h"
#include "server/log.h"
#include "server/registration_forms.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

using auth::RegistrationError;
using storage::Task;
using xmpp::Condition;
using xmpp::DataForm;

constexpr std::string_view ns = "urn:xmpp:register:0";
constexpr std::string_view flow_id = "sms";

class ExtensibleRegistration final : public Module {
public:
    explicit ExtensibleRegistration(Host& host) : host_{host}, worker_{host.worker} {
        host.disco.feature(ns);
        host.at<&ExtensibleRegistration::offer>(host.features, this);
        for (const std::string_view what : {"register", "recovery"}) {
            host.nonzas_before_login.add<&ExtensibleRegistration::begin>(ns, what, this);
            host.iq.get<&ExtensibleRegistration::no_flows>(Asked::server, ns, what, this);
            host.iq.set<&ExtensibleRegistration::no_such_flow>(Asked::server, ns, what, this);
        }
        host.nonzas_before_login.add<&ExtensibleRegistration::respond>(ns, "response", this);
        host.nonzas_before_login.add<&ExtensibleRegistration::cancel>(ns, "cancel", this);
    }

private:
    // How far a stream is. Without an id: no number has been sent a PIN yet.
    struct Flow {
        std::string id, username;
    };

    // §5.1
    void offer(Stream& stream, xmpp::XmlWriter& w) {
        if (!is_open(stream)) return;
        for (const std::string_view what : {"register", "recovery"})
            w.open(what, ns).open("flow").attr("id", flow_id).leaf("name", "Verify with SMS").open("challenge").attr("type", xmpp::ns::data_form).close().close().close();
    }

    bool is_open(Stream& stream) const {
        return stream.may_register() && stream.transport().is_encrypted() &&
               doors(*worker_.config, stream.domain(), host_.invitation(stream.weak_from_this())).phone;
    }

    // §6: a flow is chosen.
    void begin(Stream& stream, const xmpp::Stanza& element) {
        if (!stream.transport().is_encrypted()) return stream.close({xmpp::StreamCondition::policy_violation, "Not without TLS."});
        const std::weak_ptr<Stream> key = stream.weak_from_this();
        flows_.erase(key);
        if (!is_open(stream) || element.child("flow", ns).attr("id") != flow_id) return stream.send_xml(cancelled());
        std::erase_if(flows_, [](const auto& entry) { return entry.first.expired(); });
        flows_[key] = {};
        stream.extend_login(worker_.config->registration.pin_lifetime);
        stream.send_xml(challenge(number_form("Enter your phone number in international form (+49…) to be sent a code.")));
    }

    // §7; a form of type "cancel" says the same.
    void cancel(Stream& stream, const xmpp::Stanza&) { flows_.erase(stream.weak_from_this()); }

    void respond(Stream& stream, const xmpp::Stanza& element) {
        const auto found = flows_.find(stream.weak_from_this());
        if (found == flows_.end()) return stream.send_xml(cancelled());
        DataForm form;
        if (const xmpp::Element x = element.child("x", xmpp::ns::data_form)) form = DataForm::parse(x);
        if (form.type == "cancel") return cancel(stream, element);
        stream.hold();   // nothing else is taken meanwhile
        worker_.spawn("registration", answer(stream.shared_from_this(), std::move(form), found->second));
    }

    Task<void> answer(std::shared_ptr<Stream> stream, DataForm form, Flow flow) {
        const std::string address = stream->transport().peer_address();
        auto asking = flow.id.empty() ? send_code(stream, form, address) : confirm(stream, form, address, flow);
        const std::string reply = co_await asking;
        if (stream->phase() != Stream::Phase::closing) stream->send_xml(reply);
        stream->go_on();
    }

    // The number.
    Task<std::string> send_code(std::shared_ptr<Stream> stream, DataForm form, std::string address) {
        auth::Registration& registration = worker_.server.registration();
        auto starting = registration.start(std::string{form.value("phone")}, address, registration.offer().id);
        const auto started = co_await starting;
        if (!started) co_return refused(stream, started.error(), {});
        const Flow flow{started->id, auth::localpart_of(started->phone)};
        flows_[stream] = flow;
        stream->extend_login(started->expires_in);
        co_return challenge(code_form(flow.id, flow.username, registration, ns));
    }

    // The PIN.
    Task<std::string> confirm(std::shared_ptr<Stream> stream, DataForm form, std::string address, Flow flow) {
        Confirmation confirmation{flow.id, std::string{form.value("pin")}, std::string{form.value("device")}, address, {}};
        confirmation.login.key = form.value("password");
        auto confirming = confirm_registration(worker_.server, host_.invitation(stream), std::move(confirmation));
        const auto issued = co_await confirming;
        if (!issued) co_return refused(stream, issued.error(), flow);
        flows_.erase(stream);
        log::info("device registered", {{"jid", issued->jid.text()}, {"device", issued->device_id}, {"address", address}});
        xmpp::XmlWriter w;
        w.open("success", ns).leaf("jid", issued->jid.text()).leaf("username", issued->jid.localpart());
        issued_form(*issued, ns).write(w);
        co_return w.take();
    }

    // What can be mended is asked again, with the reason; everything else ends the flow.
    std::string refused(const std::shared_ptr<Stream>& stream, const RegistrationError& error, const Flow& flow) {
        using Kind = RegistrationError::Kind;
        const auto code = [&](std::string why) { return challenge(code_form(flow.id, flow.username, worker_.server.registration(), ns), std::move(why)); };
        const auto number = [&](std::string why) {
            flows_[stream] = {};
            return challenge(number_form(std::move(why)));
        };
        const auto again = [&](std::string why) { return flow.id.empty() ? number(std::move(why)) : code(std::move(why)); };
        switch (error.kind) {
            case Kind::not_a_number: return number("This is no phone number in international form.");
            case Kind::gone: return number("The code has expired. Ask for a new one.");
            case Kind::wrong_pin:
                if (error.tries_left == 0) return number("The code is wrong. Ask for a new one.");
                return code("The code is wrong. Tries left: " + std::to_string(error.tries_left) + ".");
            case Kind::other_login: return code("The password stays as it was offered.");
            case Kind::too_many: return again("Try again in " + std::to_string(error.retry_after.count()) + " seconds.");
            case Kind::unavailable: return again("Try again later.");
            case Kind::disabled:
            case Kind::not_invited: break;
        }
        flows_.erase(stream);
        return cancelled();
    }

    static DataForm number_form(std::string how) {
        DataForm form;
        form.title = "Registration";
        form.instructions.push_back(std::move(how));
        add_field(form, "phone", "text-single", "Phone number").required = true;
        form.hidden_form_type(ns);
        return form;
    }

    static std::string challenge(DataForm form, std::string why = {}) {
        if (!why.empty()) form.instructions = {std::move(why)};
        xmpp::XmlWriter w;
        w.open("challenge", ns).attr("type", xmpp::ns::data_form);
        form.write(w);
        return w.take();
    }

    static std::string cancelled() {
        xmpp::XmlWriter w;
        return w.leaf_ns("cancel", ns).take();
    }

    // ---- after login: §5.3 ----

    IqReply no_flows(Iq& iq) {
        xmpp::XmlWriter w;
        return w.leaf_ns(iq.payload.name(), ns).take();
    }
    IqReply no_such_flow(Iq&) { return xmpp::StanzaError{Condition::item_not_found, "There is no such flow."}; }

    Host& host_;
    Worker& worker_;
    std::map<std::weak_ptr<Stream>, Flow, std::owner_less<>> flows_;
};

}  // namespace

MODULE_FACTORY(extensible_registration, ExtensibleRegistration)

}  // namespace server
