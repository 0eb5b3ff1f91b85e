// SPDX-License-Identifier: MIT
// XEP-0050 as functions: a command is a coroutine that shows a form, waits for it to be submitted, and ends with what its
// user is told. The module `commands` speaks the protocol; who offers a command knows none of it.
//   Task<CommandOutcome> greet(CommandDialog& dialog) {
//       auto asking = dialog.ask(form_for_a_name(), CommandDialog::Stage::last);
//       const auto submitted = co_await asking;
//       if (!submitted) co_return CommandOutcome::cancelled();
//       co_return CommandOutcome::done("Hello, " + std::string{submitted->value("name")});
//   }
#pragma once

#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/task.h"
#include "xmpp/data_form.h"
#include "xmpp/jid.h"

namespace server {

class Account;
class Worker;

// What a command ends with.
struct CommandOutcome {
    enum class Kind : std::uint8_t { info, warn, error };   // of the note
    static CommandOutcome done(std::string note) { return {Kind::info, std::move(note)}; }
    static CommandOutcome failed(std::string note) { return {Kind::error, std::move(note)}; }
    static CommandOutcome shown(xmpp::DataForm result) {
        CommandOutcome outcome{Kind::info, {}};
        outcome.form = std::move(result);
        return outcome;
    }
    static CommandOutcome cancelled() { return {Kind::info, {}}; }   // nobody is told

    CommandOutcome(Kind k, std::string n) : kind{k}, note{std::move(n)} {}
    Kind kind;
    std::string note;                     // for humans; may be empty
    std::optional<xmpp::DataForm> form;   // type result
};

// One execution of a command by one of the account's sessions. On the account's worker.
class CommandDialog {
public:
    CommandDialog(Worker& w, std::shared_ptr<Account> a, xmpp::Jid u, std::string d)
        : worker{w}, account{std::move(a)}, user{std::move(u)}, device{std::move(d)} {}

    Worker& worker;
    const std::shared_ptr<Account> account;
    const xmpp::Jid user;                 // the full JID that executes it
    const std::string device;             // its device

    enum class Stage : std::uint8_t { next, last };   // whether another form may follow
    struct Answer;
    // Awaits the submitted form, in which every required field has a value; nullopt: it was cancelled, or its time is up.
    Answer ask(xmpp::DataForm form, Stage stage);

private:
    friend class Commands;
    std::optional<xmpp::DataForm> shown_;       // waits to be sent, or was
    std::optional<xmpp::DataForm> submitted_;
    std::optional<CommandOutcome> outcome_;
    Stage stage_ = Stage::next;
    bool cancelled_ = false;
    std::coroutine_handle<> command_;           // waits for what is submitted
    std::coroutine_handle<> request_;           // waits for what is shown, or the outcome
};

struct CommandDialog::Answer {
    explicit Answer(CommandDialog& d) : dialog{d} {}
    CommandDialog& dialog;
    bool await_ready() const { return dialog.cancelled_; }
    void await_suspend(std::coroutine_handle<> command);
    std::optional<xmpp::DataForm> await_resume();
};

struct CommandTable {
    struct Entry {
        std::string_view node, name;      // the name is for humans
        void* module;
        storage::Task<CommandOutcome> (*run)(void*, CommandDialog&);
        bool (*may)(void*, const Account&) = [](void*, const Account&) { return true; };   // see and execute it
        // …add(…).only_for<&Invitations::may_create_accounts>(this)
        template <auto Method, class M>
        void only_for(M*) {
            may = [](void* self, const Account& account) -> bool { return (static_cast<M*>(self)->*Method)(account); };
        }
    };
    // host.commands.add<&ClientAccess::revoke>("urn:…", "Revoke a device", this)
    template <auto Method, class M>
    Entry& add(std::string_view node, std::string_view name, M* module) {
        Entry entry{node, name, module, [](void* self, CommandDialog& dialog) { return (static_cast<M*>(self)->*Method)(dialog); }};
        return entries.emplace_back(entry);
    }
    std::vector<Entry> entries;
};

}  // namespace server
