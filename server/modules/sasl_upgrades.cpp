// SPDX-License-Identifier: MIT
// XEP-0480 0.2.0: SASL Upgrade Tasks — an account that was imported with a verifier of one hash gets those of the others from
// a client that has just proved its password, and asks for it; without asking from one that sends the password itself
// (PLAIN). The tasks are offered to everybody, so they tell nothing of an account; what does is in partial_accounts.h.
// Where there is nothing to do, <success/> comes at once.
// Salt and iterations are the account's, since all its verifiers share them.
// What a client brings cannot be checked against a verifier of another hash. If it is wrong, logins by that hash fail; those
// with the password itself do not, and the first of them puts it right if there is a verifier of SHA-1, which none brings.
#include <algorithm>

#include "auth/crypto.h"
#include "auth/scram.h"
#include "server/host.h"
#include "server/log.h"
#include "server/login_request.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/base64.h"

namespace server {

namespace {

namespace ns = xmpp::ns;
using auth::SaslCondition;
using storage::Hash;
using storage::Task;
using xmpp::Stanza;

constexpr std::string_view ns_upgrade = "urn:xmpp:sasl:upgrade:0", ns_scram = "urn:xmpp:scram-upgrade:0";

struct Upgrade {
    std::string_view task;
    Hash hash;
};
constexpr Upgrade upgrades[] = {{"UPGR-SCRAM-SHA-256", Hash::sha256}, {"UPGR-SCRAM-SHA-512", Hash::sha512}};

struct Upgrading final : LoginTasks {
    Upgrading(auth::Success s, const storage::Account& account) : success{std::move(s)}, id{account.id}, jid{account.jid}, salt{account.salt}, iterations{account.iterations} {}

    auth::Success success;
    storage::AccountId id;
    xmpp::Jid jid;
    std::string salt;
    std::uint32_t iterations;
    std::vector<const Upgrade*> left;   // the first is the one that is under way
    bool is_begun = false;              // its <next/> has come
};

bool lacks(const storage::Device& device, Hash hash) { return device.verifiers[static_cast<std::size_t>(hash)].stored_key.empty(); }

class SaslUpgrades final : public Module {
public:
    explicit SaslUpgrades(Host& host) : worker_{host.worker} {
        host.at<&SaslUpgrades::offer>(host.login_features, this);
        host.login_tasks.provide<&SaslUpgrades::begin>(this);
        host.at<&SaslUpgrades::learn>(host.password_seen, this);
        host.nonzas_before_login.add<&SaslUpgrades::next>(ns::sasl2, "next", this);
        host.nonzas_before_login.add<&SaslUpgrades::take>(ns::sasl2, "task-data", this);
    }

private:
    // §2.1
    void offer(Stream&, xmpp::XmlWriter& w) {
        for (const Upgrade& upgrade : upgrades) w.leaf_ns("upgrade", ns_upgrade, upgrade.task);
    }

    // §2.2
    bool begin(Stream& stream, const auth::Success& success) {
        const auto account = xmpp::Jid::from_parts(success.username, stream.domain(), {});
        const auto lacking = worker_.server.partial_accounts().lacks(*account);
        std::vector<const Upgrade*> wanted;
        for (const xmpp::Element child : stream.login_request().children()) {
            if (!child.is("upgrade", ns_upgrade)) continue;
            const auto* const upgrade = std::ranges::find(upgrades, child.text(), &Upgrade::task);
            if (upgrade == std::end(upgrades) || !lacking[static_cast<std::size_t>(upgrade->hash)]) continue;
            if (std::ranges::find(wanted, upgrade) == wanted.end()) wanted.push_back(upgrade);
        }
        if (wanted.empty() || success.token) return false;   // who comes with a token knows no password
        worker_.spawn("beginning an upgrade", look(stream.shared_from_this(), *account, success, std::move(wanted)));
        return true;
    }

    Task<void> look(std::shared_ptr<Stream> stream, xmpp::Jid jid, auth::Success success, std::vector<const Upgrade*> wanted) {
        stream->hold();
        auto finding = worker_.storage().accounts().find(std::move(jid));
        const auto found = co_await finding;
        if (stream->phase() == Stream::Phase::closing) co_return;
        const storage::Device* const device = found && *found ? (*found)->device(success.device) : nullptr;
        if (device) std::erase_if(wanted, [&](const Upgrade* upgrade) { return !lacks(*device, upgrade->hash); });
        if (!device || wanted.empty()) {
            stream->succeed(success);   // without: it is no condition of a login
        } else {
            auto upgrading = std::make_unique<Upgrading>(std::move(success), **found);
            upgrading->left = std::move(wanted);
            go_on_with(*stream, *upgrading);
            stream->begin_tasks(std::move(upgrading));
        }
        stream->go_on();
    }

    // XEP-0388 §2.6.3: the next of them, together with what SASL itself still has to say.
    static void go_on_with(Stream& stream, Upgrading& upgrading) {
        xmpp::XmlWriter w;
        w.open("continue", ns::sasl2);
        if (!upgrading.success.data.empty()) w.leaf("additional-data", xmpp::base64(std::exchange(upgrading.success.data, {})));
        w.open("tasks").leaf("task", upgrading.left.front()->task);
        stream.send_xml(w.take());
        upgrading.is_begun = false;
    }

    // §2.3, §3
    void next(Stream& stream, const Stanza& element) {
        stream.speak(ns::sasl2);
        auto* const upgrading = dynamic_cast<Upgrading*>(stream.tasks());
        if (!upgrading || upgrading->is_begun || element.element().attr("task") != upgrading->left.front()->task) return stream.refuse(SaslCondition::malformed_request);
        upgrading->is_begun = true;
        xmpp::XmlWriter w;
        w.open("task-data", ns::sasl2).open("salt", ns_scram).attr("iterations", std::uint64_t{upgrading->iterations}).text(xmpp::base64(upgrading->salt));
        stream.send_xml(w.take());
    }

    void take(Stream& stream, const Stanza& element) {
        stream.speak(ns::sasl2);
        auto* const upgrading = dynamic_cast<Upgrading*>(stream.tasks());
        auto salted = xmpp::parse_base64(element.child("hash", ns_scram).text());
        if (!upgrading || !upgrading->is_begun) return stream.refuse(SaslCondition::malformed_request);
        const Hash hash = upgrading->left.front()->hash;
        if (!salted || salted->size() != auth::digest_size(hash)) return stream.refuse(SaslCondition::malformed_request, "This is no SaltedPassword of that hash.");
        storage::Verifier verifier = auth::verifier_of(hash, *salted);
        auth::wipe(*salted);
        worker_.spawn("an upgrade", store(stream.shared_from_this(), hash, std::move(verifier)));
    }

    Task<void> store(std::shared_ptr<Stream> stream, Hash hash, storage::Verifier verifier) {
        stream->hold();
        auto* const upgrading = dynamic_cast<Upgrading*>(stream->tasks());
        const xmpp::Jid jid = upgrading->jid;
        auto adding = add(jid, upgrading->id, upgrading->success.device, hash, std::move(verifier));
        const bool added = co_await adding;
        if (stream->phase() == Stream::Phase::closing) co_return;
        upgrading->left.erase(upgrading->left.begin());
        if (!added) stream->refuse(SaslCondition::temporary_auth_failure);
        else if (!upgrading->left.empty()) go_on_with(*stream, *upgrading);
        else stream->succeed(auth::Success{upgrading->success});
        stream->go_on();
    }

    // False: storage cannot take it now. Somebody else may have been faster, with the same password.
    Task<bool> add(xmpp::Jid jid, storage::AccountId account, std::string device, Hash hash, storage::Verifier verifier, std::string wrong = {}) {
        auto adding = worker_.storage().accounts().add_verifier(account, std::move(device), hash, std::move(verifier), std::move(wrong));
        const auto added = co_await adding;
        if (!added && added.error().kind != storage::StorageError::Kind::not_found) co_return false;
        if (added) log::info("verifier added", {{"jid", jid.text()}, {"mechanism", hash == Hash::sha256 ? "SCRAM-SHA-256" : hash == Hash::sha512 ? "SCRAM-SHA-512" : "SCRAM-SHA-1"}});
        auto finding = worker_.storage().accounts().find(jid);
        const auto found = co_await finding;
        if (found && *found) worker_.server.partial_accounts().set(jid, lacks_of(**found));
        co_return true;
    }

    // The password itself has come by, and it is right.
    void learn(Stream& stream, const auth::Success& success, const storage::Verifiers& verifiers) {
        const auto account = xmpp::Jid::from_parts(success.username, stream.domain(), {});
        if (!success.is_contradicted && worker_.server.partial_accounts().lacks(*account) == PartialAccounts::Lacks{}) return;
        worker_.spawn("completing verifiers", complete(*account, success.device, verifiers));
    }

    Task<void> complete(xmpp::Jid jid, std::string device, storage::Verifiers verifiers) {
        auto finding = worker_.storage().accounts().find(jid);
        const auto found = co_await finding;
        const storage::Device* const known = found && *found ? (*found)->device(device) : nullptr;
        if (!known) co_return;
        const auto verifier = [](const storage::Verifiers& all, Hash hash) -> const storage::Verifier& { return all[static_cast<std::size_t>(hash)]; };
        const auto is_right = [&](Hash hash) { return auth::equal_in_constant_time(verifier(known->verifiers, hash).stored_key, verifier(verifiers, hash).stored_key); };
        const auto is_unknown_or_right = [&](Hash hash) { return lacks(*known, hash) || is_right(hash); };
        constexpr Hash all[] = {Hash::sha1, Hash::sha256, Hash::sha512};
        // Nobody brings one of SHA-1: it tells which password is the account's where clients have brought another's.
        if (!std::ranges::all_of(all, is_unknown_or_right) && !is_right(Hash::sha1)) co_return;
        for (const Hash hash : all) {
            if (is_right(hash)) continue;
            auto adding = add(jid, (*found)->id, device, hash, verifier(verifiers, hash), verifier(known->verifiers, hash).stored_key);
            co_await adding;
        }
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(sasl_upgrades, SaslUpgrades)

}  // namespace server
