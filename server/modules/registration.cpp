// SPDX-License-Identifier: MIT
// XEP-0077 2.4: In-Band Registration. Two doors before login: a phone number, proved by a PIN, buys a device key
// (auth::Registration; registration.phone), and user name with password (registration.open, or an invitation that the
// module pre_authentication was shown). The phone's way takes two steps: the number is answered with <not-acceptable/> and
// the form for the PIN, the PIN with a result that shows user name and key. Clients that log in with what stood in their
// form, and look at no result, find user name and key there.
// The PIN is a challenge in the sense of XEP-0158 1.0.1 §4, as far as that fits: challenge, sid and answers are there. But it
// comes in the second form, since nothing can be sent before the number is known; its field is "pin", a type of our own
// (§6.1) beside which "qa" is understood, for two fields would ask people for two codes; and a wrong one can be mended
// (type "modify", where §3.1.4 has "cancel").
// After login: the state, a new password, and the end of the account.
// A new password is a new device: every session ends, the one that asked with <reset/>, and logs in again.
// Leaves out redirection (§5), <key/> as §7 has it, and registration with other entities than the server.
#include <algorithm>
#include <map>

#include "auth/passwords.h"
#include "auth/phone.h"
#include "auth/rate_limit.h"
#include "server/account.h"
#include "server/config.h"
#include "server/invited.h"
#include "server/log.h"
#include "server/registration_forms.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

using storage::Task;
using xmpp::Condition;
using xmpp::DataForm;
using xmpp::ErrorType;
using xmpp::StanzaError;

constexpr std::string_view ns = ns_registration_form;
constexpr std::string_view ns_feature = "http://jabber.org/features/iq-register";
constexpr std::string_view ns_change_password = "jabber:iq:register:changepassword";  // §13.4.3, a FORM_TYPE
constexpr std::chrono::minutes a_minute{1};

// What a client filled in: the form, or where there is none the elements of the same names (§6).
struct Submitted {
    bool is_cancelled = false;
    bool is_misplaced = false;   // a form of another kind
    std::string username, password, phone, pin, id, device;
};

Submitted read(const xmpp::Element& query) {
    Submitted submitted;
    if (const xmpp::Element x = query.child("x", xmpp::ns::data_form)) {
        const DataForm form = DataForm::parse(x);
        submitted.is_cancelled = form.type == "cancel";
        const std::string_view form_type = form.form_type();
        submitted.is_misplaced = !form_type.empty() && form_type != ns && form_type != ns_change_password;
        submitted.username = form.value("username");
        submitted.password = form.value("password");
        submitted.phone = form.value("phone");
        submitted.pin = form.value(form.value("pin").empty() ? "qa" : "pin");   // XEP-0158 §6.3: a text for a text
        submitted.id = form.value(form.value("id").empty() ? "challenge" : "id");
        submitted.device = form.value("device");
        return submitted;
    }
    submitted.username = query.child("username", ns).text();
    submitted.password = query.child("password", ns).text();
    submitted.phone = query.child("phone", ns).text();
    submitted.pin = query.child("key", ns).text();  // the schema knows no better name
    return submitted;
}

// A number as a user name is written, by its digits alone.
std::string in_international_form(const std::string& username) {
    return !username.empty() && username.front() >= '0' && username.front() <= '9' ? "+" + username : username;
}

// A number that waits for its PIN. Empty: none does yet.
struct Waiting {
    std::string id = {}, username = {};
    std::string asked_by = {};   // the id of the IQ that is being answered
    bool was_encrypted = false;  // the stream, when the number was named
};

StanzaError try_later() { return {ErrorType::wait, Condition::resource_constraint, "Try again later."}; }

constexpr const char* companions_may_not = "A linked device cannot delete the account.";

class Registration final : public Module {
public:
    explicit Registration(Host& host)
        : host_{host}, worker_{host.worker}, accounts_a_minute_{host.worker.config->registration.per_minute, a_minute},
          from_one_network_{std::max(1U, host.worker.config->registration.per_minute / 10), a_minute} {
        host.disco.feature(ns);
        host.at<&Registration::offer>(host.features, this);
        host.iq_before_login.add<&Registration::before_login>(ns, "query", this);
        host.iq.get<&Registration::show>(Asked::server, ns, "query", this);
        host.iq.set<&Registration::change>(Asked::server, ns, "query", this);
        host.commands.add<&Registration::remove_by_command>("urn:tern:account:0#delete", "Delete my account", this);
        host.iq.get<&Registration::show>(Asked::account, ns, "query", this, Condition::forbidden);
        host.iq.set<&Registration::change>(Asked::account, ns, "query", this, Condition::forbidden);
    }

private:
    // What is open to whoever has connected there.
    Doors doors_of(const std::weak_ptr<Stream>& stream, std::string_view domain) const {
        return doors(*worker_.config, domain, host_.invitation(stream));
    }

    // XEP-0077 §8
    void offer(Stream& stream, xmpp::XmlWriter& w) {
        const Doors open = doors(*worker_.config, stream.domain(), std::nullopt);
        if (stream.may_register() && (open.phone || open.name)) w.leaf_ns("register", ns_feature);
    }

    // ---- before login: §3.1 ----

    Task<IqReply> before_login(IqBeforeLogin iq) {
        const Doors doors = doors_of(iq.stream, iq.domain);
        if (!doors.phone && !doors.name) co_return IqReply{Condition::service_unavailable};
        if (iq.stanza.type() == "get") {
            begin(iq);
            co_return IqReply{first_step(doors)};
        }
        // §3.2: nobody is logged in.
        if (iq.payload.child("remove", ns)) co_return IqReply{Condition::unexpected_request};
        Submitted submitted = read(iq.payload);
        if (submitted.is_cancelled) {
            begin(iq) = none_yet(iq);
            co_return IqReply::result();
        }
        if (submitted.is_misplaced) co_return IqReply{Condition::bad_request};
        // Where only numbers register, the user name is one.
        if (doors.phone && !doors.name && submitted.phone.empty()) submitted.phone = in_international_form(submitted.username);
        if (doors.phone && !submitted.pin.empty()) {
            auto confirming = confirm(std::move(iq), std::move(submitted));
            auto reply = co_await confirming;
            co_return std::move(reply);
        }
        if (doors.phone && !submitted.phone.empty()) {
            auto starting = start(std::move(iq), std::move(submitted));
            auto reply = co_await starting;
            co_return std::move(reply);
        }
        if (doors.name && !submitted.username.empty() && !submitted.password.empty()) {
            auto making = make_account(std::move(iq), std::move(submitted));
            auto reply = co_await making;
            co_return std::move(reply);
        }
        // §3.1: what is required was not given.
        Waiting& waiting = begin(iq);
        waiting.asked_by = iq.stanza.id();
        if (!waiting.id.empty())
            co_return IqReply{ask_again("The code is missing.", second_step(waiting))};
        co_return IqReply{ask_again("Something that is required is missing.", first_step(doors))};
    }

    // The stream's registration, which begins with this. Its user has to find the SMS and type the PIN.
    Waiting& begin(const IqBeforeLogin& iq) {
        const auto known = pending_.find(iq.stream);
        if (known == pending_.end()) {
            std::erase_if(pending_, [](const auto& entry) { return entry.first.expired(); });
            extend_login(iq.stream);
            return pending_[iq.stream] = none_yet(iq);
        }
        // RFC 6120 §5.4.3.3: what was said before STARTTLS counts no more, for somebody else may have said it.
        if (known->second.was_encrypted != iq.encrypted) known->second = none_yet(iq);
        return known->second;
    }

    static Waiting none_yet(const IqBeforeLogin& iq) { return {.was_encrypted = iq.encrypted}; }

    void extend_login(const std::weak_ptr<Stream>& stream) const {
        if (const auto there = stream.lock()) there->extend_login(worker_.config->registration.pin_lifetime);
    }

    // The number: a PIN goes out, and the second form comes back.
    Task<IqReply> start(IqBeforeLogin iq, Submitted submitted) {
        // The second form shows the key, whether the number came in a form or not.
        if (submitted.id.empty()) submitted.id = worker_.server.registration().offer().id;
        auto starting = worker_.server.registration().start(submitted.phone, iq.client_address, submitted.id);
        const auto started = co_await starting;
        if (!started) co_return IqReply{refused(started.error(), doors_of(iq.stream, iq.domain))};
        Waiting& waiting = begin(iq);
        waiting = {started->id, auth::localpart_of(started->phone), std::string{iq.stanza.id()}, iq.encrypted};
        extend_login(iq.stream);
        std::string text = "A code was sent to this number. Enter it to go on.";
        // What will be the user name must be written like one.
        if (!submitted.username.empty() && submitted.username != waiting.username)
            text = "A code was sent. Enter it to go on, with " + waiting.username + " where the number is asked for.";
        co_return IqReply{ask_again(std::move(text), second_step(waiting))};
    }

    // The PIN: the key comes back, shown once.
    Task<IqReply> confirm(IqBeforeLogin iq, Submitted submitted) {
        const Waiting waiting = begin(iq);
        if (submitted.id.empty()) submitted.id = waiting.id;
        const Waiting again{submitted.id, submitted.id == waiting.id ? waiting.username : submitted.username, std::string{iq.stanza.id()}};
        Confirmation confirmation{submitted.id, submitted.pin, submitted.device, iq.client_address, {}};
        confirmation.login.username = std::move(submitted.username);
        confirmation.login.key = std::move(submitted.password);
        auto confirming = confirm_registration(worker_.server, host_.invitation(iq.stream), std::move(confirmation));
        const auto issued = co_await confirming;
        if (!issued) co_return IqReply{refused(issued.error(), doors_of(iq.stream, iq.domain), again)};
        begin(iq) = none_yet(iq);
        log::info("device registered",
                  {{"jid", issued->jid.text()}, {"device", issued->device_id}, {"address", iq.client_address}});
        co_return IqReply{key_shown(*issued)};
    }

    // User name and password.
    Task<IqReply> make_account(IqBeforeLogin iq, Submitted submitted) {
        const Doors doors = doors_of(iq.stream, iq.domain);
        const auto jid = xmpp::Jid::from_parts(submitted.username, iq.domain);
        // A number's account belongs to whoever has the number.
        if (!jid || jid->localpart().empty() || is_like_a_number(*worker_.config, *jid))
            co_return IqReply{ask_again("This user name is not allowed.", first_step(doors))};
        if (!doors.username.empty() && jid->localpart() != doors.username)
            co_return IqReply{ask_again("This invitation is for the user name " + doors.username + ".", first_step(doors))};
        // Nobody makes himself an admin.
        if (worker_.config->is_admin(*jid)) co_return IqReply{Condition::conflict};
        auto looking = is_free(*jid, host_.invitation(iq.stream));
        const auto looked = co_await looking;
        if (!looked) co_return IqReply{looked.error()};
        if (!*looked) co_return IqReply{Condition::conflict};
        // Not before the name was found free: whoever asks for names that are taken uses up nobody's accounts.
        if (const auto wait = take_account(iq.client_address); wait.count() > 0) co_return IqReply{too_many(wait)};
        auto asking = admit(host_.invitation(iq.stream));
        const auto admitted = co_await asking;
        if (!admitted) co_return IqReply{admitted.error()};
        auto making = auth::make_password_account(worker_.storage(), worker_.server.hashes(), *jid,
                                                  std::move(submitted.password), worker_.config->auth.iterations);
        const auto made = co_await making;
        if (!made) {
            if (*admitted) {
                auto giving = worker_.server.invitations().give_back((*admitted)->id);
                co_await giving;
            }
            co_return IqReply{refused(made.error(), *jid)};
        }
        ++worker_.counters.accounts_made;
        log::info("account registered", {{"jid", jid->text()}, {"address", iq.client_address}});
        if (*admitted) {
            welcome(worker_.server, **admitted, *jid);
            auto releasing = worker_.server.invitations().release(**admitted);
            co_await releasing;
        }
        co_return IqReply::result();
    }

    using Invited = std::optional<storage::Invitation>;
    Task<xmpp::Result<bool, StanzaError>> is_free(xmpp::Jid jid, Invited invitation) {
        auto finding = worker_.storage().accounts().find(jid);
        const auto found = co_await finding;
        if (!found) co_return xmpp::Failure{*IqReply{found.error()}.error()};
        // XEP-0445 §5: the name is kept for whom it was promised to.
        auto asking = worker_.server.invitations().is_kept_from(std::move(jid), invitation ? invitation->id : "");
        const auto is_kept = co_await asking;
        if (!is_kept) co_return xmpp::Failure{stanza_error_of(is_kept.error())};
        co_return (!*found || invitation) && !*is_kept;   // that an invitation is used up is told first
    }

    // Nobody takes all accounts of a minute for himself.
    std::chrono::seconds take_account(const std::string& client_address) {
        const auto wait = from_one_network_.take(auth::network_of(client_address), worker_.now());
        return wait.count() > 0 ? wait : accounts_a_minute_.take("", worker_.now());
    }

    // With the invitation that has been used for it, if there is one. Used before the account is made, so that two do not
    // share the last use.
    Task<xmpp::Result<Invited, StanzaError>> admit(Invited invitation) {
        if (!invitation) co_return Invited{};
        auto using_up = worker_.server.invitations().use(invitation->id);
        const auto used = co_await using_up;
        if (used) co_return std::move(invitation);
        if (!worker_.config->registration.open) co_return xmpp::Failure{stanza_error_of(used.error())};
        co_return Invited{};
    }

    // ---- the forms: §4 ----

    // §6: the same fields stand beside the form, for clients without forms.
    std::string first_step(const Doors& doors) const {
        const DataForm form = registration_form(doors, worker_.server.registration());
        xmpp::XmlWriter w;
        w.open("query", ns).leaf("instructions", form.instructions.front());
        if (doors.name) w.leaf("username", doors.username).leaf("password");
        if (doors.phone) w.leaf("phone");
        form.write(w);
        return w.take();
    }

    // XEP-0158 §4: a challenge among the other fields.
    std::string second_step(const Waiting& waiting) const {
        DataForm form = code_form(waiting.id, waiting.username, worker_.server.registration());
        add_field(form, "challenge", "hidden", "", waiting.id);
        add_field(form, "sid", "hidden", "", waiting.asked_by);
        add_field(form, "answers", "hidden", "", "1");
        xmpp::XmlWriter w;
        w.open("query", ns).leaf("instructions", form.instructions.front()).leaf("key");
        form.write(w);
        return w.take();
    }

    static std::string key_shown(const auth::Registration::Issued& issued) {
        const DataForm form = issued_form(issued);
        xmpp::XmlWriter w;
        w.open("query", ns).leaf("registered").leaf("instructions", form.instructions.front());
        w.leaf("username", issued.jid.localpart()).leaf("password", issued.key);
        form.write(w);
        return w.take();
    }

    // ---- refusals ----

    // §3.1, §3.2: the form to fill in stands beside the error.
    static StanzaError ask_again(std::string text, std::string query) {
        StanzaError error{Condition::not_acceptable, std::move(text)};
        error.beside = std::move(query);
        return error;
    }

    StanzaError wrong_pin(std::uint32_t tries_left, const Waiting& waiting, const Doors& doors) const {
        if (tries_left == 0) return ask_again("The code is wrong. Ask for a new one.", first_step(doors));
        return ask_again("The code is wrong. Tries left: " + std::to_string(tries_left) + ".", second_step(waiting));
    }

    static StanzaError too_many(std::chrono::seconds wait) {
        return {ErrorType::wait, Condition::resource_constraint,
                "Try again in " + std::to_string(wait.count()) + " seconds."};
    }

    StanzaError refused(const auth::RegistrationError& error, const Doors& doors, const Waiting& waiting = {}) const {
        using Kind = auth::RegistrationError::Kind;
        switch (error.kind) {
            case Kind::not_a_number:
                return ask_again("This is no phone number in international form.", first_step(doors));
            case Kind::gone: return ask_again("The code has expired. Ask for a new one.", first_step(doors));
            case Kind::too_many: return too_many(error.retry_after);
            case Kind::disabled: return {Condition::not_allowed, "This number cannot be registered here."};
            case Kind::not_invited: return {Condition::not_allowed, "New numbers need an invitation."};
            case Kind::wrong_pin: return wrong_pin(error.tries_left, waiting, doors);
            case Kind::other_login:
                return ask_again("The user name is the number, digits only, and the password stays as it was offered.",
                                 second_step(waiting));
            case Kind::unavailable: break;
        }
        return try_later();
    }

    StanzaError refused(const auth::PasswordError& error, const xmpp::Jid& jid) const {
        using Kind = auth::PasswordError::Kind;
        switch (error.kind) {
            case Kind::not_allowed: return {Condition::not_acceptable, "This user name or password is not allowed."};
            case Kind::conflict: return Condition::conflict;
            case Kind::not_found: return Condition::registration_required;
            case Kind::unavailable:
                log::warn("registration not stored", {{"jid", jid.text()}, {"why", error.text}});
                break;
            case Kind::busy: break;
        }
        return try_later();
    }

    // ---- after login ----

    // An account speaks for itself, with its own address or the server's as 'to' (examples of §3.2 and §3.3).
    static bool is_own(const Iq& iq) { return iq.account && iq.session && iq.account->jid() == iq.from.bare(); }

    IqReply show(Iq& iq) {
        if (!is_own(iq)) return Condition::forbidden;
        const bool has_number = !iq.account->record().phone.empty();
        const bool has_password = !has_number && !is_companion(*iq.account, iq.session->device());
        xmpp::XmlWriter w;
        w.open("query", ns).leaf("registered");
        w.leaf("instructions", has_number     ? "You are registered by your phone number."
                               : has_password ? "You are registered. Your password can be changed."
                                              : "You are registered. This device is linked to your account.");
        w.leaf("username", iq.account->jid().localpart());
        if (has_password) w.leaf("password");
        return w.take();
    }

    Task<IqReply> change(Iq iq) {
        if (!is_own(iq)) co_return IqReply{Condition::forbidden};
        if (iq.payload.child("remove", ns)) {
            if (iq.payload.child_count() != 1) co_return IqReply{Condition::bad_request};
            auto removing = remove(std::move(iq));
            auto reply = co_await removing;
            co_return std::move(reply);
        }
        auto changing = change_password(std::move(iq));
        auto reply = co_await changing;
        co_return std::move(reply);
    }

    // §3.3
    Task<IqReply> change_password(Iq iq) {
        Submitted submitted = read(iq.payload);
        const xmpp::Jid& jid = iq.account->jid();
        if (submitted.is_cancelled) co_return IqReply::result();
        if (submitted.is_misplaced || submitted.password.empty()) co_return IqReply{Condition::bad_request};
        const auto username = xmpp::normalise_localpart(submitted.username);
        const bool is_named = username ? *username == jid.localpart() : xmpp::Jid::parse(submitted.username) == jid;
        if (!submitted.username.empty() && !is_named) co_return IqReply{Condition::bad_request};
        if (!iq.account->record().phone.empty())
            co_return IqReply{StanzaError{Condition::not_allowed, "Register the number again to be given a new key."}};
        if (is_companion(*iq.account, iq.session->device()))
            co_return IqReply{StanzaError{Condition::not_allowed, "A linked device cannot change the password."}};
        auto changing = auth::change_password(worker_.storage(), worker_.server.hashes(), iq.account->id(),
                                              std::move(submitted.password), worker_.config->auth.iterations);
        const auto changed = co_await changing;
        if (!changed) co_return IqReply{refused(changed.error(), jid)};
        log::info("password changed", {{"jid", jid.text()}});
        // The reply goes out first. RFC 6120 §4.9.3.16: <reset/> asks the client to log in again.
        worker_.loop.post([session = std::weak_ptr{iq.session}, &server = worker_.server, jid] {
            if (const auto still_there = session.lock())
                still_there->end({xmpp::StreamCondition::reset, "Log in with the new password."});
            server.keys_changed(jid);
        });
        co_return IqReply::result();
    }

    // §3.2
    Task<IqReply> remove(Iq iq) {
        if (is_companion(*iq.account, iq.session->device())) co_return IqReply{StanzaError{Condition::not_allowed, companions_may_not}};
        auto removing = remove_account(iq.account);
        const auto removed = co_await removing;
        if (removed) co_return IqReply::result();
        if (removed.error().kind == storage::StorageError::Kind::not_found) co_return IqReply{Condition::registration_required};
        co_return IqReply{removed.error()};
    }

    Task<storage::Result<void>> remove_account(std::shared_ptr<Account> account) {
        auto removing = worker_.storage().accounts().remove(account->id());
        const auto removed = co_await removing;
        if (!removed) co_return removed;
        log::info("registration cancelled", {{"jid", account->jid().text()}});
        cancel_subscriptions(*account);
        // The reply goes out first, then all its streams end with <not-authorized/>.
        worker_.loop.post([&server = worker_.server, jid = account->jid()] { server.account_removed(jid); });
        co_return removed;
    }

    // Whoever holds a lost laptop shall neither end the account of the phone nor take it over; nor shall a device that is gone.
    static bool is_companion(const Account& account, std::string_view device) {
        const storage::Device* const found = account.device(device);
        return !found || found->role == storage::DeviceRole::companion;
    }

    // The same, from a menu.
    Task<CommandOutcome> remove_by_command(CommandDialog& dialog) {
        if (is_companion(*dialog.account, dialog.device)) co_return CommandOutcome::failed(companions_may_not);
        const xmpp::Jid& jid = dialog.account->jid();
        xmpp::DataForm form;
        form.title = "Delete my account?";
        form.instructions.emplace_back("Your contacts, your messages and your devices on this server will be gone, at once and for good.");
        xmpp::FormField name;
        name.var = "name";
        name.label = "Type " + std::string{jid.localpart()} + " to go on";
        name.required = true;
        form.fields.push_back(std::move(name));
        auto asking = dialog.ask(std::move(form), CommandDialog::Stage::last);
        const auto typed = co_await asking;
        if (!typed) co_return CommandOutcome::cancelled();
        const auto localpart = xmpp::normalise_localpart(typed->value("name"));
        if (!localpart || *localpart != jid.localpart()) co_return CommandOutcome::failed("That is not your name: nothing was deleted.");
        auto removing = remove_account(dialog.account);
        const auto removed = co_await removing;
        co_return removed ? CommandOutcome::done("Your account has been deleted.") : CommandOutcome::failed("It could not be deleted now. Try again later.");
    }

    void cancel_subscriptions(const Account& account) {
        using storage::Subscription;
        for (const auto& [contact, item] : account.roster.items()) {
            if (item.subscription == Subscription::to || item.subscription == Subscription::both || item.ask)
                send_presence(account, "unsubscribe", contact);
            if (item.subscription == Subscription::from || item.subscription == Subscription::both || item.pending_in)
                send_presence(account, "unsubscribed", contact);
        }
    }

    void send_presence(const Account& account, std::string_view type, const xmpp::Jid& contact) {
        xmpp::XmlWriter w;
        w.open("presence").attr("type", type).attr("from", account.jid().text()).attr("to", contact.text());
        worker_.router.send_xml(w.take(), contact);
    }

    Host& host_;
    Worker& worker_;
    auth::RateLimit accounts_a_minute_, from_one_network_;   // user name and password, on this worker
    // Streams that register, and which number of theirs waits for its PIN, for clients that do not send the form's hidden id.
    std::map<std::weak_ptr<Stream>, Waiting, std::owner_less<>> pending_;
};

}  // namespace

MODULE_FACTORY(registration, Registration)

}  // namespace server
