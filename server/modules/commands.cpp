// SPDX-License-Identifier: MIT
// XEP-0050 1.3.0: Ad-Hoc Commands — what modules offer as coroutines (commands.h), spoken as a protocol. Commands are for
// the accounts of this server, each for itself: asked of the server or of one's own address. Leaves out "prev", the
// announcement of lists by messages (§2.3), and languages other than English (§3.7).
#include "server/commands.h"

#include <algorithm>
#include <map>

#include "auth/crypto.h"
#include "server/account.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

using storage::Task;
using xmpp::Condition;
using xmpp::DataForm;

void CommandDialog::Answer::await_suspend(std::coroutine_handle<> command) {
    dialog.command_ = command;
    if (const auto request = std::exchange(dialog.request_, nullptr)) request.resume();
}

std::optional<DataForm> CommandDialog::Answer::await_resume() {
    if (dialog.cancelled_) return std::nullopt;
    return std::exchange(dialog.submitted_, std::nullopt);
}

CommandDialog::Answer CommandDialog::ask(DataForm form, Stage stage) {
    form.type = "form";
    shown_ = std::move(form);
    stage_ = stage;
    return Answer{*this};
}

namespace {

constexpr std::string_view ns = "http://jabber.org/protocol/commands";
constexpr std::chrono::minutes patience{10};        // between two stages
constexpr std::ptrdiff_t most_of_an_account = 10;   // executions at the same time

// §4.4
xmpp::StanzaError refused(Condition condition, std::string_view specific) {
    xmpp::StanzaError error{condition};
    xmpp::XmlWriter w;
    error.payload = w.leaf_ns(specific, ns).take();
    return error;
}

// §4.1; `execute` is resolved to what it stands for when the stage is known.
enum class Action : std::uint8_t { execute, cancel, prev, next, complete };

std::optional<Action> action_of(const xmpp::Element& command) {
    const std::string_view text = command.attr("action");
    if (text.empty() || text == "execute") return Action::execute;
    if (text == "cancel") return Action::cancel;
    if (text == "prev") return Action::prev;
    if (text == "next") return Action::next;
    if (text == "complete") return Action::complete;
    return std::nullopt;
}

// XEP-0004 §3.2, §3.3: what is required is there, and of a list only what was in it.
bool answers(const DataForm& submitted, const DataForm& shown) {
    return std::ranges::all_of(shown.fields, [&](const xmpp::FormField& asked) {
        const std::string_view value = submitted.value(asked.var);
        if (asked.required && value.empty()) return false;
        if (asked.type != "list-single" || value.empty()) return true;
        return std::ranges::any_of(asked.options, [value](const auto& option) { return option.second == value; });
    });
}

}  // namespace

class Commands final : public Module {
public:
    explicit Commands(Host& host) : worker_{host.worker}, table_{host.commands} {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.at<&Commands::describe>(host.disco.nodes, this);
        host.iq.set<&Commands::execute>(Asked::server, ns, "command", this, Condition::forbidden);
        host.iq.set<&Commands::execute>(Asked::account, ns, "command", this, Condition::forbidden);
        host.at<&Commands::forget>(host.ended, this);
    }
    ~Commands() override {
        while (!running_.empty()) cancel(running_.begin()->second);
    }

private:
    struct Execution {
        CommandDialog dialog;
        std::string id;
        std::string_view node;
        net::Timer patience;
    };

    static bool may_execute(const Iq& iq) {
        return iq.account && iq.session && iq.account->jid() == iq.from.bare() && (iq.asked == Asked::server || iq.is_own());
    }

    const CommandTable::Entry* find(std::string_view node) const {
        const auto found = std::ranges::find(table_.entries, node, &CommandTable::Entry::node);
        return found == table_.entries.end() ? nullptr : &*found;
    }

    std::vector<const CommandTable::Entry*> offered(const Account& account) const {
        std::vector<const CommandTable::Entry*> entries;
        for (const CommandTable::Entry& entry : table_.entries)
            if (entry.may(entry.module, account)) entries.push_back(&entry);
        return entries;
    }

    // §2.2
    bool describe(const Iq& iq, std::string_view node, DiscoTable::Of& answer) {
        if (!may_execute(iq)) return false;
        answer.features = {std::string{ns}};
        const auto entries = offered(*iq.account);
        if (node == ns) {
            answer.identities.push_back({"automation", "command-list", "Commands"});
            for (const auto* const entry : entries)
                answer.items.push_back({std::string{iq.to.text()}, std::string{entry->node}, std::string{entry->name}});
            return true;
        }
        const auto entry = std::ranges::find(entries, node, &CommandTable::Entry::node);
        if (entry == entries.end()) return false;
        answer.identities.push_back({"automation", "command-node", std::string{(*entry)->name}});
        answer.features.emplace_back(xmpp::ns::data_form);
        return true;
    }

    // §2.4
    Task<IqReply> execute(Iq iq) {
        if (!may_execute(iq)) co_return IqReply{Condition::forbidden};
        const CommandTable::Entry* const entry = find(iq.payload.attr("node"));
        if (!entry) co_return IqReply{Condition::item_not_found};
        if (!entry->may(entry->module, *iq.account)) co_return IqReply{xmpp::StanzaError{xmpp::ErrorType::cancel, Condition::forbidden}};   // §4.4
        const auto action = action_of(iq.payload);
        if (!action) co_return IqReply{refused(Condition::bad_request, "malformed-action")};
        std::shared_ptr<Execution> execution;
        if (const auto id = iq.payload.find_attr("sessionid"); id && !id->empty()) {
            auto found = go_on(iq, *entry, *id, *action);
            if (!found) co_return IqReply{found.error()};
            execution = std::move(*found);
            if (execution->dialog.cancelled_) co_return IqReply{described(*execution, "canceled")};
        } else {
            if (*action != Action::execute) co_return IqReply{refused(Condition::bad_request, "bad-action")};
            execution = begin(iq, *entry);
            if (!execution) co_return IqReply{xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint, "Too many commands are being executed."}};
        }
        const Utterance utterance{execution->dialog};
        co_await utterance;
        co_return IqReply{described(*execution, execution->dialog.outcome_ ? "completed" : "executing")};
    }

    // What the command says next: a form, or how it ended.
    struct Utterance {
        CommandDialog& dialog;
        bool await_ready() const { return dialog.outcome_ || dialog.command_; }
        void await_suspend(std::coroutine_handle<> request) const { dialog.request_ = request; }
        void await_resume() const {}
    };

    std::shared_ptr<Execution> begin(const Iq& iq, const CommandTable::Entry& entry) {
        const auto of_account = std::ranges::count_if(running_, [&](const auto& each) { return each.second->dialog.account == iq.account; });
        if (of_account >= most_of_an_account) return nullptr;
        const std::shared_ptr<Execution> execution{
            new Execution{CommandDialog{worker_, iq.account, iq.from, iq.session->device()}, auth::random_token(12), entry.node, {}}};
        running_[execution->id] = execution;
        be_patient(*execution);
        worker_.spawn("a command", run(execution, entry));
        return execution;
    }

    Task<void> run(std::shared_ptr<Execution> execution, CommandTable::Entry entry) {
        CommandDialog& dialog = execution->dialog;
        auto running = entry.run(entry.module, dialog);
        CommandOutcome outcome = co_await running;
        dialog.outcome_ = std::move(outcome);
        running_.erase(execution->id);
        if (const auto request = std::exchange(dialog.request_, nullptr)) request.resume();
    }

    // A later stage: hands the command what was submitted.
    xmpp::Result<std::shared_ptr<Execution>, xmpp::StanzaError> go_on(const Iq& iq, const CommandTable::Entry& entry, std::string_view id, Action action) {
        const auto found = running_.find(id);
        if (found == running_.end()) return xmpp::Failure{refused(Condition::not_allowed, "session-expired")};
        const std::shared_ptr<Execution> execution = found->second;
        CommandDialog& dialog = execution->dialog;
        if (dialog.user != iq.from || execution->node != entry.node) return xmpp::Failure{refused(Condition::bad_request, "bad-sessionid")};
        if (action == Action::cancel) {   // §2.4.3
            cancel(execution);
            return execution;
        }
        if (!dialog.command_) return xmpp::Failure{xmpp::StanzaError{Condition::unexpected_request}};   // it is at work
        const Action allowed = dialog.stage_ == CommandDialog::Stage::last ? Action::complete : Action::next;
        if (action != Action::execute && action != allowed) return xmpp::Failure{refused(Condition::bad_request, "bad-action")};
        DataForm form;
        if (const xmpp::Element x = iq.payload.child("x", xmpp::ns::data_form)) form = DataForm::parse(x);
        if (!answers(form, *dialog.shown_)) return xmpp::Failure{refused(Condition::bad_request, "bad-payload")};
        be_patient(*execution);
        dialog.submitted_ = std::move(form);
        std::exchange(dialog.command_, nullptr).resume();
        return execution;
    }

    void be_patient(Execution& execution) {
        execution.patience.start(worker_.loop, patience, [this, id = execution.id] {
            if (const auto found = running_.find(id); found != running_.end()) cancel(found->second);
        });
    }

    void cancel(const std::shared_ptr<Execution>& execution) {
        const std::shared_ptr<Execution> kept = execution;
        running_.erase(kept->id);
        kept->dialog.cancelled_ = true;
        if (const auto command = std::exchange(kept->dialog.command_, nullptr)) command.resume();
    }

    void forget(Session& session) {
        std::vector<std::shared_ptr<Execution>> its;
        for (const auto& [id, execution] : running_)
            if (execution->dialog.user == session.jid()) its.push_back(execution);
        for (const auto& execution : its) cancel(execution);
    }

    static std::string described(const Execution& execution, std::string_view status) {
        const CommandDialog& dialog = execution.dialog;
        xmpp::XmlWriter w;
        w.open("command", ns).attr("node", execution.node).attr("sessionid", execution.id).attr("status", status);
        if (status == "executing") {
            const std::string_view action = dialog.stage_ == CommandDialog::Stage::last ? "complete" : "next";
            w.open("actions").attr("execute", action).leaf(action).close();   // §3.4
            dialog.shown_->write(w);
        } else if (status == "completed") {
            static constexpr std::string_view kinds[] = {"info", "warn", "error"};
            const CommandOutcome& outcome = *dialog.outcome_;
            if (!outcome.note.empty()) w.open("note").attr("type", kinds[static_cast<int>(outcome.kind)]).text(outcome.note).close();
            if (outcome.form) outcome.form->write(w);
        }
        return w.take();
    }

    Worker& worker_;
    const CommandTable& table_;
    std::map<std::string, std::shared_ptr<Execution>, std::less<>> running_;   // by sessionid
};

MODULE_FACTORY(commands, Commands)

}  // namespace server
