// SPDX-License-Identifier: MIT
// What a module sees of the server when it is constructed: the chains to join, the tables to enter itself in, and slots
// for its state. There is one Host, and one instance of every module, per worker: modules share nothing between threads.
// To add a XEP: server/modules/NAME.cpp ending in MODULE(NAME)'s factory, one line in modules.def, a scene NAME*.scs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/sasl.h"
#include "server/commands.h"
#include "server/hooks.h"
#include "server/iq.h"
#include "server/receipt.h"
#include "server/session_state.h"
#include "server/slots.h"
#include "storage/storage.h"
#include "xmpp/data_form.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server {

class Worker;
class Stream;
struct Binding;
struct Config;
struct LoginRequest;

class Module {
public:
    virtual ~Module() = default;
};

// XEP-0030 as data: what to answer for the server and for accounts.
struct DiscoTable {
    struct Identity { std::string category, type, name; };
    struct Item { std::string jid, node, name; };
    struct Of {
        std::vector<Identity> identities;
        std::vector<std::string> features;
        std::vector<Item> items;
        std::vector<xmpp::DataForm> forms;      // XEP-0128
        Chain<void, std::vector<xmpp::DataForm>&> live_forms;   // those that follow the configuration
        Chain<bool, std::string_view> aliases;  // whether a node stands for the whole (its caps node, XEP-0115 §6.2)
    };
    Of server, account;
    // Nodes beneath either: whoever knows the node fills in what is there for who asks.
    Chain<bool, const Iq&, std::string_view, Of&> nodes;
    void feature(std::string_view ns) { server.features.emplace_back(ns); }
    void account_feature(std::string_view ns) { account.features.emplace_back(ns); }
};

// A top-level element that is not a stanza, on a stream that has logged in (or, before_login, has not yet).
struct NonzaTable {
    struct Entry { void* module; void (*call)(void*, Stream&, const xmpp::Stanza&); };
    template <auto Method, class M>
    void add(std::string_view ns, std::string_view name, M* module) {
        entries[{ns, name}] = {module, [](void* self, Stream& stream, const xmpp::Stanza& element) { (static_cast<M*>(self)->*Method)(stream, element); }};
    }
    std::map<std::pair<std::string_view, std::string_view>, Entry> entries;
};

struct IqBeforeLoginTable {
    struct Entry { void* module; storage::Task<IqReply> (*start)(void*, IqBeforeLogin); };
    template <auto Method, class M>
    void add(std::string_view ns, std::string_view name, M* module) {
        entries[{ns, name}] = {module, [](void* self, IqBeforeLogin iq) { return (static_cast<M*>(self)->*Method)(std::move(iq)); }};
    }
    std::map<std::pair<std::string_view, std::string_view>, Entry> entries;
};

// An account's agreement to a subscription, which may have used something up.
struct Agreement {
    std::function<void()> undo;   // nothing came of it: the subscription could not be stored. Empty: there is no agreement
    explicit operator bool() const { return undo != nullptr; }
};

// Asks the one module that provides something; without one, there is none of it.
template <class R, class... A>
class Provider {
public:
    template <auto Method, class M>
    void provide(M* module) {
        module_ = module;
        call_ = [](void* self, A... arguments) -> R { return (static_cast<M*>(self)->*Method)(std::forward<A>(arguments)...); };
    }
    explicit operator bool() const { return call_ != nullptr; }
    R operator()(A... arguments) const { return call_ ? call_(module_, std::forward<A>(arguments)...) : R(); }

private:
    void* module_ = nullptr;
    R (*call_)(void*, A...) = nullptr;
};

// An entity of ours that is neither the server nor an account: who it is, and what it alone answers.
struct ServiceOf {
    DiscoTable::Of disco;
    IqTable iq;                                  // under Asked::service
    // Who takes what is sent to the entities that it has beneath it: addresses with a localpart, each of which lives on the
    // worker of its bare JID, as an account does, and is called there. The service itself then lives on the worker of its
    // domain, where its IQs are answered; messages and presence for it come here as well.
    Provider<void, const xmpp::Stanza&, xmpp::JidView> entities;
};

class Host {
public:
    explicit Host(Worker& w) : worker{w} {}

    Worker& worker;                              // config, clock, storage, routing
    std::string_view module;                     // the one that is being constructed: its name in chains

    // A stanza's passage.
    Stations outbound, inbound;
    Chain<Verdict, Passage&> unclaimed;          // no resource took it: offline, push. drop: taken care of
    Chain<Verdict, Leaving&> leaving;            // to one session; drop: held back or not wanted
    Chain<void, Passage&> missed;                // not sent to it, since it was not there: a room keeps it

    // XEP-0388: beside the mechanisms; and what its client is to do before <success/>. True: a module sees to that, and then
    // calls Stream::succeed().
    Chain<void, Stream&, xmpp::XmlWriter&> login_features;
    Provider<bool, Stream&, const auth::Success&> login_tasks;
    Chain<void, Stream&, const auth::Success&, const storage::Verifiers&> password_seen;   // PLAIN: what verifies it
    // XEP-0388: a login in its words has succeeded; its stream has come to this worker, held.
    Provider<void, Stream&, const xmpp::Stanza&, const auth::Success&> logged_in;
    Provider<std::unique_ptr<auth::Exchange>, Stream&, std::string_view /*mechanism*/, const xmpp::Stanza&> token_exchange;
    Chain<storage::Task<void>, const storage::Account&, const xmpp::Stanza&, auth::Credentials&> credentials;   // what else may prove who it is
    // Such a thing has proved it. Before the login succeeds a module may refuse it nevertheless.
    Chain<storage::Task<std::optional<auth::SaslCondition>>, const storage::Account&, const xmpp::Stanza&, const auth::Credentials::Token&> token_uses;
    Chain<void, Stream&, xmpp::XmlWriter&> inline_features; // what may be asked for with a login
    Chain<storage::Task<void>, LoginRequest&> inline_requests;
    std::vector<std::string_view> bind_features;            // and what with a resource (XEP-0386)
    Chain<storage::Task<void>, const Account&, std::string& /*answers*/> before_binding;   // what its client is told of the account
    Chain<void, Binding&> binding;                          // from here to <success/> nothing is awaited, nothing else is sent

    // A session's life.
    Chain<void, Stream&, xmpp::XmlWriter&> features;        // add a stream feature; stream.phase() tells which round
    Chain<void, Session&> bound;                            // it has its resource
    Provider<std::shared_ptr<Receipt>, Session&> receipt;   // a stanza from its client comes in: who waits for what it causes
    Chain<void, Session&, const xmpp::Stanza&> received;    // and was taken in
    Chain<void, Session&, bool /*initial*/> available;      // it sent available presence, and that has been broadcast
    Chain<void, Session&> unavailable;                      // it was available and is no more
    Chain<bool, Session&> lost;                             // its stream broke off; true: a module keeps it for resumption
    Chain<void, Session&> resumed;                          // … and goes on with a new stream, which has got what it lacked
    Chain<void, Session&, SessionState&> storing;           // the server goes down: what the next one must know of a kept session
    Chain<void, Session&, const SessionState&> restored;    // it is there again in that one, lost as before
    Chain<void, Session&> silent;                           // nothing came for limits.idle: ask for a sign of life
    Chain<void, Session&> ended;                            // it is about to be forgotten

    // An account's life on this worker.
    Chain<storage::Task<storage::Result<void>>, Account&> loading;   // fetch what belongs to it; nothing passes before
    Chain<void, Account&> unloading;
    Chain<void, Account&, const storage::Device&> device_linked;     // before it takes part

    Chain<void, const xmpp::Jid&> account_removed;          // any account, on every worker: nothing is stored for it any more

    Chain<void> going_down;                                 // the server is; streams still go on for a moment

    // Somebody asks for a subscription (RFC 6121 §3.1): whether the account has agreed to it already.
    Chain<storage::Task<Agreement>, Account&, const xmpp::Stanza&> agreed;
    // Before login: what who registers on this stream was invited with.
    Provider<std::optional<storage::Invitation>, const std::weak_ptr<Stream>&> invitation;

    IqTable iq;
    IqBeforeLoginTable iq_before_login;
    NonzaTable nonzas, nonzas_before_login;
    CommandTable commands;
    DiscoTable disco;
    std::map<std::string, ServiceOf, std::less<>> services;   // by domain
    Chain<void, Account&, const xmpp::Stanza&> answered;     // a result or an error, for an IQ that was sent in the account's name

    SlotLayout session_slots, account_slots;

    // host.at<&Blocking::screen>(host.inbound, Station::screen, this)
    template <auto Method, class M>
    void at(Stations& stations, Station station, M* self) { stations[static_cast<std::size_t>(station)].template add<Method>(self, module); }
    template <auto Method, class C, class M>
    void at(C& chain, M* self) { chain.template add<Method>(self, module); }
};

template <class T>
struct SessionSlot : Slot<Session, T> {
    explicit SessionSlot(Host& host) : Slot<Session, T>{host.session_slots} {}
};
template <class T>
struct AccountSlot : Slot<Account, T> {
    explicit AccountSlot(Host& host) : Slot<Account, T>{host.account_slots} {}
};

// The line that ends a module's file: its constructor behind the name of its line in modules.def.
#define MODULE_FACTORY(name, type) \
    std::unique_ptr<Module> make_##name(Host& host) { return std::make_unique<type>(host); }

std::vector<std::unique_ptr<Module>> make_modules(Host& host);   // modules.cpp, in the order of modules.def
std::vector<std::string_view> module_names();

}  // namespace server
