// SPDX-License-Identifier: MIT
// urn:tern:contacts:0: whose phone number is whose account, in the manner of XEP-0055: <find/> with numbers is answered by
// <found/> with the accounts; the same as a command (XEP-0050). Only whole numbers are looked for, and only those are found
// whose owners have said that they want to be: by <findable/>, or by a command. What is nobody's and what is hidden are
// answered alike, and are alike in storage (findable_numbers.cpp). An account looks for so many a day (discovery.numbers_a_day),
// valid or not; where anybody can make accounts with a user name (registration.open, or invitations.register = "everybody"),
// those without a number of their own look for none.
#include <algorithm>

#include "auth/phone.h"
#include "auth/rate_limit.h"
#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

namespace {

using storage::Task;
using xmpp::Condition;
using xmpp::DataForm;
using xmpp::StanzaError;

constexpr std::string_view ns = "urn:tern:contacts:0";
constexpr std::size_t most_at_once = 200;

xmpp::FormField field(std::string_view var, std::string_view type, std::string_view label) {
    xmpp::FormField made;
    made.var = var;
    made.type = type;
    made.label = label;
    return made;
}

bool is_true(std::string_view text) { return text == "true" || text == "1"; }

class ContactDiscovery final : public Module {
public:
    explicit ContactDiscovery(Host& host)
        : worker_{host.worker}, a_day_{std::max(1U, host.worker.server.config()->discovery.numbers_a_day), std::chrono::hours{24}} {
        if (worker_.server.config()->discovery.numbers_a_day == 0) return;
        host.disco.feature(ns);
        host.iq.get<&ContactDiscovery::find>(Asked::server, ns, "find", this);
        host.iq.get<&ContactDiscovery::show>(Asked::server, ns, "findable", this);
        host.iq.set<&ContactDiscovery::change>(Asked::server, ns, "findable", this);
        host.commands.add<&ContactDiscovery::find_by_command>("urn:tern:contacts:0#find", "Find contacts by their numbers", this);
        host.commands.add<&ContactDiscovery::change_by_command>("urn:tern:contacts:0#findable", "Let others find me by my number", this);
    }

private:
    using Found = std::vector<storage::FindableNumbers::Found>;
    using Search = xmpp::Result<Found, StanzaError>;

    // ---- looking for others ----

    Task<IqReply> find(Iq iq) {
        if (!iq.session) co_return IqReply{Condition::forbidden};
        std::vector<std::string> numbers;
        for (const xmpp::Element child : iq.payload.children()) {
            if (!child.is("number", ns)) co_return IqReply{Condition::bad_request};
            numbers.push_back(child.text());
        }
        auto searching = search(iq.session->account().shared_from_this(), std::move(numbers));
        const Search found = co_await searching;
        if (!found) co_return IqReply{found.error()};
        xmpp::XmlWriter w;
        w.open("found", ns);
        for (const auto& contact : *found) w.open("contact").attr("number", contact.number).attr("jid", contact.jid.text()).close();
        co_return IqReply{w.take()};
    }

    Task<Search> search(std::shared_ptr<Account> account, std::vector<std::string> texts) {
        if (texts.empty()) co_return xmpp::Failure{StanzaError{Condition::bad_request, "Which numbers?"}};
        const std::size_t most = std::min<std::size_t>(most_at_once, worker_.config->discovery.numbers_a_day);
        if (texts.size() > most) co_return xmpp::Failure{StanzaError{Condition::not_acceptable, "At most " + std::to_string(most) + " numbers at once."}};
        const bool have_many_accounts = worker_.config->registration.open || worker_.config->invitations.register_by == "everybody";
        if (account->record().phone.empty() && have_many_accounts)
            co_return xmpp::Failure{StanzaError{Condition::not_allowed, "Only accounts of phone numbers look for others."}};
        // All of them, or none is paid for.
        const auto wait = a_day_.take(account->jid().text(), worker_.now(), static_cast<std::uint32_t>(texts.size()));
        if (wait.count() > 0)
            co_return xmpp::Failure{StanzaError{xmpp::ErrorType::wait, Condition::policy_violation, "Not so many numbers are left for today. Try again in " + std::to_string(wait.count()) + " seconds, or with fewer."}};
        std::vector<std::string> numbers;
        for (const std::string& text : texts) {
            auto number = auth::parse_phone(text);
            if (number && std::ranges::find(numbers, *number) == numbers.end()) numbers.push_back(std::move(*number));
        }
        auto finding = worker_.storage().findable_numbers().find(std::move(numbers));
        auto found = co_await finding;
        if (!found) co_return xmpp::Failure{*IqReply{found.error()}.error()};
        co_return std::move(*found);
    }

    Task<CommandOutcome> find_by_command(CommandDialog& dialog) {
        DataForm form;
        form.title = "Find contacts by their numbers";
        form.instructions.emplace_back("One number a line, with the country's code: +49 151 12345678. You find those who want to be found.");
        form.fields.push_back(field("numbers", "text-multi", "Numbers"));
        form.fields.back().required = true;
        auto asking = dialog.ask(std::move(form), CommandDialog::Stage::last);
        const auto submitted = co_await asking;
        if (!submitted) co_return CommandOutcome::cancelled();
        std::vector<std::string> numbers;
        if (const xmpp::FormField* const given = submitted->field("numbers")) numbers = given->values;
        std::erase(numbers, "");
        auto searching = search(dialog.account, std::move(numbers));
        const Search found = co_await searching;
        if (!found) co_return CommandOutcome::failed(found.error().text.empty() ? "This does not work now. Try again later." : found.error().text);
        if (found->empty()) co_return CommandOutcome::done("Nobody was found.");
        DataForm table;
        table.type = "result";
        table.title = "Contacts";
        table.reported = {field("number", "text-single", "Number"), field("jid", "jid-single", "Address")};
        for (const auto& contact : *found) table.rows.push_back({contact.number, contact.jid.text()});
        co_return CommandOutcome::shown(std::move(table));
    }

    // ---- being found ----

    Task<IqReply> show(Iq iq) {
        if (!iq.session) co_return IqReply{Condition::forbidden};
        auto asking = worker_.storage().findable_numbers().has(iq.session->account().id());
        const auto is_findable = co_await asking;
        if (!is_findable) co_return IqReply{is_findable.error()};
        co_return IqReply{described(*is_findable)};
    }

    Task<IqReply> change(Iq iq) {
        if (!iq.session) co_return IqReply{Condition::forbidden};
        const std::string said = iq.payload.text();
        if (!is_true(said) && said != "false" && said != "0") co_return IqReply{Condition::bad_request};
        auto setting = set(iq.session->account().shared_from_this(), is_true(said));
        auto refused = co_await setting;
        if (refused) co_return IqReply{std::move(*refused)};
        co_return IqReply{described(is_true(said))};
    }

    static std::string described(bool is_findable) {
        xmpp::XmlWriter w;
        return w.leaf_ns("findable", ns, is_findable ? "true" : "false").take();
    }

    // nullopt: it is done.
    Task<std::optional<StanzaError>> set(std::shared_ptr<Account> account, bool is_findable) {
        using Refusal = std::optional<StanzaError>;
        const std::string number = account->record().phone;
        if (number.empty()) co_return Refusal{StanzaError{Condition::not_allowed, "This account has no phone number."}};
        storage::FindableNumbers& numbers = worker_.storage().findable_numbers();
        auto storing = is_findable ? numbers.put(account->id(), number) : numbers.remove(account->id());
        const auto stored = co_await storing;
        if (!stored) co_return Refusal{*IqReply{stored.error()}.error()};
        co_return Refusal{};
    }

    Task<CommandOutcome> change_by_command(CommandDialog& dialog) {
        if (dialog.account->record().phone.empty()) co_return CommandOutcome::failed("This account has no phone number.");
        auto looking = worker_.storage().findable_numbers().has(dialog.account->id());
        const auto is_findable = co_await looking;
        if (!is_findable) co_return CommandOutcome::failed("This does not work now. Try again later.");
        DataForm form;
        form.title = "Let others find me by my number";
        form.instructions.emplace_back("Who knows your number learns that you have an account here, and its address.");
        form.fields.push_back(field("findable", "boolean", "Others may find me"));
        form.fields.back().values.emplace_back(*is_findable ? "1" : "0");
        auto asking = dialog.ask(std::move(form), CommandDialog::Stage::last);
        const auto submitted = co_await asking;
        if (!submitted) co_return CommandOutcome::cancelled();
        const bool wants_it = is_true(submitted->value("findable"));
        auto setting = set(dialog.account, wants_it);
        const auto refused = co_await setting;
        if (refused) co_return CommandOutcome::failed("This could not be stored.");
        co_return CommandOutcome::done(wants_it ? "Who knows your number finds you." : "Nobody finds you by your number.");
    }

    Worker& worker_;
    auth::RateLimit a_day_;   // numbers, by account; an account is looked after by one worker
};

}  // namespace

MODULE_FACTORY(contact_discovery, ContactDiscovery)

}  // namespace server
