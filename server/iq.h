// SPDX-License-Identifier: MIT
// IQ requests and the table of who answers them (RFC 6120 §8.2.3). A handler's return value is the reply: it can neither
// forget to answer nor answer twice; errors are returned, never built.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "storage/storage.h"
#include "storage/task.h"
#include "xmpp/error.h"
#include "xmpp/stanza.h"

namespace server {

class Account;
class Session;
class Stream;
class Worker;

// Of an IQ: whether it asks for an answer.
inline bool is_request(const xmpp::Stanza& iq) { return iq.type() == "get" || iq.type() == "set"; }
// RFC 6120 §8.2.3: a request has an id, and exactly one child element.
inline bool is_malformed(const xmpp::Stanza& request) { return !request.element().find_attr("id") || request.element().child_count() != 1; }

// The payload of a result (XML, may be empty) or an error.
class [[nodiscard]] IqReply {
public:
    IqReply(std::string payload) : value_{std::move(payload)} {}
    IqReply(xmpp::StanzaError error) : value_{std::move(error)} {}
    IqReply(xmpp::Condition condition) : value_{xmpp::StanzaError{condition}} {}
    IqReply(const storage::StorageError& error) : value_{xmpp::StanzaError{xmpp::ErrorType::wait, condition_of(error.kind)}} {}
    static IqReply result() { return IqReply{std::string{}}; }

    const xmpp::StanzaError* error() const { return std::get_if<xmpp::StanzaError>(&value_); }
    const std::string& payload() const { return std::get<std::string>(value_); }

private:
    // What the world does is the server's trouble, not the client's: try again later.
    static xmpp::Condition condition_of(storage::StorageError::Kind kind) {
        using Kind = storage::StorageError::Kind;
        return kind == Kind::unavailable || kind == Kind::full ? xmpp::Condition::resource_constraint
                                                               : xmpp::Condition::internal_server_error;
    }
    std::variant<std::string, xmpp::StanzaError> value_;
};

// Whom an IQ asks: the server (its domain), an account (a bare JID; also no 'to' at all: one's own account), or a
// service of ours (a domain beneath the server's). What a service answers alone is in its own table (host.h).
enum class Asked : std::uint8_t { server, account, service };

// A request on its way to its handler. Owns what it shows, so that a coroutine may keep it.
struct Iq {
    Worker& worker;
    xmpp::Stanza stanza;
    xmpp::Element payload;                 // its one child
    Asked asked = Asked::server;
    std::shared_ptr<Account> account;      // asked == account: the one that is asked; else the sender's, if on this worker
    std::shared_ptr<Session> session;      // the sender, when its account lives on this worker and the request came from it
    xmpp::Jid from, to;

    bool is_set() const { return stanza.type() == "set"; }
    bool is_own() const { return from.bare() == to.bare(); }  // the account asks itself
};

// A request on a stream that has not logged in yet (in-band registration).
struct IqBeforeLogin {
    Worker& worker;
    std::weak_ptr<Stream> stream;
    xmpp::Stanza stanza;
    xmpp::Element payload;
    std::string client_address;
    std::string domain;
    bool encrypted = false;
};

class IqTable {
public:
    struct Entry {
        void* module = nullptr;
        IqReply (*call)(void*, Iq&) = nullptr;                           // answers at once …
        storage::Task<IqReply> (*start)(void*, Iq) = nullptr;            // … or after waiting for something
        std::string_view name;
        // What somebody without access is answered. The same when there is no such account: nobody learns who exists.
        xmpp::Condition to_strangers = xmpp::Condition::service_unavailable;
        bool guards_resources = false;   // strangers are told so for the account's full JIDs as well
    };
    using Key = std::pair<std::string_view, std::string_view>;           // namespace, element name

    // iq.get<&Ping::answer>(Asked::server, ns::ping, "ping", this)
    // Method: IqReply (M::*)(Iq&)  or  Task<IqReply> (M::*)(Iq)
    template <auto Method, class M>
    Entry& get(Asked asked, std::string_view ns, std::string_view name, M* module,
               xmpp::Condition to_strangers = xmpp::Condition::service_unavailable) {
        return table(asked, false)[{ns, name}] = entry<Method>(module, to_strangers);
    }
    template <auto Method, class M>
    Entry& set(Asked asked, std::string_view ns, std::string_view name, M* module,
               xmpp::Condition to_strangers = xmpp::Condition::service_unavailable) {
        return table(asked, true)[{ns, name}] = entry<Method>(module, to_strangers);
    }

    const Entry* find(Asked asked, bool is_set, std::string_view ns, std::string_view name) const {
        const auto& entries = tables_[static_cast<int>(asked)][is_set];
        const auto found = entries.find(Key{ns, name});
        return found == entries.end() ? nullptr : &found->second;
    }
    // RFC 6120 §8.4: for a payload that nobody answers. The right one with the wrong type (get for set): bad-request.
    xmpp::Condition condition_for_unknown(Asked asked, bool is_set, const xmpp::Element& payload) const {
        return find(asked, !is_set, payload.ns(), payload.name()) ? xmpp::Condition::bad_request : xmpp::Condition::service_unavailable;
    }
    const std::map<Key, Entry>& entries(Asked asked, bool is_set) const { return tables_[static_cast<int>(asked)][is_set]; }

private:
    std::map<Key, Entry>& table(Asked asked, bool is_set) { return tables_[static_cast<int>(asked)][is_set]; }
    template <auto Method, class M>
    static Entry entry(M* module, xmpp::Condition to_strangers) {
        Entry made;
        made.to_strangers = to_strangers;
        made.module = module;
        if constexpr (std::is_invocable_r_v<storage::Task<IqReply>, decltype(Method), M*, Iq>)
            made.start = [](void* self, Iq iq) { return (static_cast<M*>(self)->*Method)(std::move(iq)); };
        else
            made.call = [](void* self, Iq& iq) -> IqReply { return (static_cast<M*>(self)->*Method)(iq); };
        return made;
    }
    std::map<Key, Entry> tables_[3][2];
};

}  // namespace server
