// SPDX-License-Identifier: MIT
// The tables, written once; $words stand for what the two databases spell differently. Addresses are binary
// in MySQL: its text collations ignore blanks at the end. Times are microseconds since 1970.
#include "storage/sql/migrations.h"

#include <array>
#include <vector>

namespace storage::sql {

namespace {

struct Migration {
    int version;
    std::vector<std::string_view> statements;
};

// An InnoDB index holds 3072 bytes, one address may have 3071. So where an address is unique in an account,
// MySQL's index is over its SHA-256, in a generated column that only the database sees; the primary key is a
// mere number then, since MariaDB allows none on generated columns and clusters of MySQL allow no table
// without.
const std::vector<Migration>& migrations() {  // NOLINT(readability-function-size): a table, which grows
    static const std::vector<Migration> all{
        {1,
         {R"(CREATE TABLE IF NOT EXISTS accounts (
                id $SERIAL,
                domain $KEY(1023) NOT NULL,
                jid $KEY(2047) NOT NULL,
                phone $KEY(32) NOT NULL,
                salt $BYTES(255) NOT NULL,
                iterations $INT NOT NULL,
                created $INT NOT NULL,
                disabled $INT NOT NULL,
                last_logout $INT NOT NULL,
                last_status $TEXT NOT NULL,
                UNIQUE (domain, jid)
            ) $PLAIN_TABLE)",
          R"(CREATE TABLE IF NOT EXISTS devices (
                account_id $INT NOT NULL,
                id $KEY(128) NOT NULL,
                name $TEXT NOT NULL,
                role $INT NOT NULL,
                stored_sha1 $BYTES(64) NOT NULL,
                server_sha1 $BYTES(64) NOT NULL,
                stored_sha256 $BYTES(64) NOT NULL,
                server_sha256 $BYTES(64) NOT NULL,
                stored_sha512 $BYTES(64) NOT NULL,
                server_sha512 $BYTES(64) NOT NULL,
                created $INT NOT NULL,
                last_seen $INT NOT NULL,
                PRIMARY KEY (account_id, id),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)",
          // Apart from the devices: these rows change with every message.
          R"(CREATE TABLE IF NOT EXISTS device_cursors (
                account_id $INT NOT NULL,
                device $KEY(128) NOT NULL,
                position $INT NOT NULL,
                PRIMARY KEY (account_id, device),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)",
          R"(CREATE TABLE IF NOT EXISTS delivered_out_of_turn (
                account_id $INT NOT NULL,
                device $KEY(128) NOT NULL,
                log_id $INT NOT NULL,
                PRIMARY KEY (account_id, device, log_id),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)",
          "CREATE INDEX delivered_out_of_turn_by_id ON delivered_out_of_turn (log_id)",
          // Not kept by its key on SQLite: appending to the end is three times as fast there.
          R"(CREATE TABLE IF NOT EXISTS message_log (
                account_id $INT NOT NULL,
                id $INT NOT NULL,
                direction $INT NOT NULL,
                peer_bare $KEY(2047) NOT NULL,
                peer_resource $KEY(1023) NOT NULL,
                stanza_type $KEY(64) NOT NULL,
                origin_id $XML NOT NULL,
                xml $XML NOT NULL,
                PRIMARY KEY (account_id, id),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $PLAIN_TABLE)",
          "CREATE INDEX message_log_by_peer ON message_log (account_id, peer_bare, id)",
          "CREATE INDEX message_log_by_id ON message_log (id)",
          R"(CREATE TABLE IF NOT EXISTS roster_items (
                account_id $INT NOT NULL,
                jid $KEY(3071) NOT NULL,
                name $TEXT NOT NULL,
                subscription $INT NOT NULL,
                ask $INT NOT NULL,
                approved $INT NOT NULL,
                pending_in $INT NOT NULL,
                request $XML NOT NULL,
                in_roster $INT NOT NULL,
                removed $INT NOT NULL,
                group_names $TEXT NOT NULL,
                version $INT NOT NULL,
                $UNIQUE_IN_ACCOUNT(jid),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)",
          R"(CREATE TABLE IF NOT EXISTS private_xml (
                account_id $INT NOT NULL,
                element $KEY(3071) NOT NULL,
                xml $XML NOT NULL,
                $UNIQUE_IN_ACCOUNT(element),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)",
          R"(CREATE TABLE IF NOT EXISTS vcards (
                account_id $INT NOT NULL PRIMARY KEY,
                xml $XML NOT NULL,
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)",
          R"(CREATE TABLE IF NOT EXISTS block_list (
                account_id $INT NOT NULL,
                jid $KEY(3071) NOT NULL,
                $UNIQUE_IN_ACCOUNT(jid),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)",
          R"(CREATE TABLE IF NOT EXISTS pending_registrations (
                id $KEY(128) NOT NULL PRIMARY KEY,
                phone $KEY(32) NOT NULL,
                pin_salt $BYTES(255) NOT NULL,
                pin_hash $BYTES(255) NOT NULL,
                tries_left $INT NOT NULL,
                created $INT NOT NULL,
                expires $INT NOT NULL,
                used $INT NOT NULL
            ) $TABLE)",
          "CREATE INDEX pending_registrations_by_phone ON pending_registrations (phone, created)",
          "CREATE INDEX pending_registrations_by_time ON pending_registrations (created)",
          R"(CREATE TABLE IF NOT EXISTS server_secrets (
                name $KEY(128) NOT NULL PRIMARY KEY,
                secret $BYTES(1024) NOT NULL
            ) $TABLE)"}},
        // The archive (XEP-0313), its preferences, and who reads it.
        {2,
         {"ALTER TABLE message_log ADD COLUMN words $XML NOT NULL $EMPTY",
          "ALTER TABLE devices ADD COLUMN reads_archive $INT NOT NULL DEFAULT 0",
          R"(CREATE TABLE IF NOT EXISTS unarchived_entries (
                account_id $INT NOT NULL,
                log_id $INT NOT NULL,
                PRIMARY KEY (account_id, log_id),
                FOREIGN KEY (account_id, log_id) REFERENCES message_log (account_id, id) ON DELETE CASCADE
            ) $TABLE)",
          R"(CREATE TABLE IF NOT EXISTS archive_preferences (
                account_id $INT NOT NULL PRIMARY KEY,
                by_default $INT NOT NULL,
                always_jids $TEXT NOT NULL,
                never_jids $TEXT NOT NULL,
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)"}},
        // What is known of a device, and companions that wait to become one.
        {3,
         {"ALTER TABLE devices ADD COLUMN software $XML NOT NULL $EMPTY",
          "ALTER TABLE devices ADD COLUMN linked_by $KEY(128) NOT NULL DEFAULT ''",
          "ALTER TABLE devices ADD COLUMN identity_key $XML NOT NULL $EMPTY",
          "ALTER TABLE devices ADD COLUMN identity_signature $XML NOT NULL $EMPTY",
          "ALTER TABLE devices ADD COLUMN omemo_id $KEY(64) NOT NULL DEFAULT ''",
          "ALTER TABLE devices ADD COLUMN networks $XML NOT NULL $EMPTY",
          R"(CREATE TABLE IF NOT EXISTS link_requests (
                id $KEY(128) NOT NULL PRIMARY KEY,
                code $KEY(128) NOT NULL,
                device_name $TEXT NOT NULL,
                software $TEXT NOT NULL,
                identity_key $TEXT NOT NULL,
                omemo_id $KEY(64) NOT NULL,
                created $INT NOT NULL,
                expires $INT NOT NULL,
                account $KEY(2047) NOT NULL,
                approved_by $KEY(128) NOT NULL,
                signature $TEXT NOT NULL,
                used $INT NOT NULL,
                UNIQUE (code)
            ) $TABLE)",
          "CREATE INDEX link_requests_by_time ON link_requests (created)"}},
        // Tokens that stand for a device's key.
        {4,
         {R"(CREATE TABLE IF NOT EXISTS fast_tokens (
                account_id $INT NOT NULL,
                client $KEY(64) NOT NULL,
                is_new $INT NOT NULL,
                device $KEY(128) NOT NULL,
                mechanism $KEY(64) NOT NULL,
                token $KEY(128) NOT NULL,
                expires $INT NOT NULL,
                uses $INT NOT NULL,
                PRIMARY KEY (account_id, client, is_new),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)"}},
        // Sessions that wait to be resumed while no server runs.
        {5,
         {R"(CREATE TABLE IF NOT EXISTS stored_sessions (
                account_id $INT NOT NULL,
                resource $KEY(1023) NOT NULL,
                device $KEY(128) NOT NULL,
                state $XML NOT NULL,
                PRIMARY KEY (account_id, resource),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)"}},
        // Clients that want to be woken; target: service and node.
        {6,
         {R"(CREATE TABLE IF NOT EXISTS push_registrations (
                account_id $INT NOT NULL,
                target $KEY(5120) NOT NULL,
                service $KEY(3071) NOT NULL,
                node $XML NOT NULL,
                device $KEY(128) NOT NULL,
                resource $KEY(1023) NOT NULL,
                options $XML NOT NULL,
                $UNIQUE_IN_ACCOUNT(target),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)"}},
        // Links that let their holders in. Without an account: an admin's.
        {7,
         {R"(CREATE TABLE IF NOT EXISTS invitations (
                id $KEY(64) NOT NULL PRIMARY KEY,
                token $KEY(64) NOT NULL,
                account_id $INT,
                address $KEY(2047) NOT NULL,
                purpose $INT NOT NULL,
                registers $INT NOT NULL,
                subscribes $INT NOT NULL,
                uses_left $INT NOT NULL,
                created $INT NOT NULL,
                expires $INT NOT NULL,
                UNIQUE (token),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)",
          "CREATE INDEX invitations_by_account ON invitations (account_id)",
          "CREATE INDEX invitations_by_address ON invitations (address)",
          "CREATE INDEX invitations_by_time ON invitations (expires)"}},
        // Until now tokens stood here as they are. Those are no secret any more: their clients log in with their keys once.
        {8,
         {"DROP TABLE IF EXISTS fast_tokens",
          R"(CREATE TABLE IF NOT EXISTS fast_tokens (
                account_id $INT NOT NULL,
                client $KEY(64) NOT NULL,
                is_new $INT NOT NULL,
                device $KEY(128) NOT NULL,
                mechanism $KEY(64) NOT NULL,
                seed $KEY(128) NOT NULL,
                expires $INT NOT NULL,
                uses $INT NOT NULL,
                PRIMARY KEY (account_id, client, is_new),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)"}},
        // Devices that were imported with verifiers of some hashes alone.
        {9,
         {R"(CREATE TABLE IF NOT EXISTS partial_devices (
                account_id $INT NOT NULL,
                device $KEY(128) NOT NULL,
                PRIMARY KEY (account_id, device),
                FOREIGN KEY (account_id, device) REFERENCES devices (account_id, id) ON DELETE CASCADE
            ) $TABLE)"}},
        // Numbers whose owners let others find them.
        {10,
         {R"(CREATE TABLE IF NOT EXISTS findable_numbers (
                phone $KEY(32) NOT NULL PRIMARY KEY,
                account_id $INT NOT NULL,
                UNIQUE (account_id),
                FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
            ) $TABLE)"}},
        // Persistent rooms (XEP-0045). A row of affiliations has two addresses, which no index of MySQL holds: their room is a
        // number there.
        {11,
         {R"(CREATE TABLE IF NOT EXISTS rooms (
                id $SERIAL,
                jid $KEY(2047) NOT NULL,
                domain $KEY(1023) NOT NULL,
                founder $KEY(2047) NOT NULL,
                secret $BYTES(64) NOT NULL,
                config $XML NOT NULL,
                subject $XML NOT NULL,
                listed_as $TEXT NOT NULL,
                created $INT NOT NULL,
                UNIQUE (jid)
            ) $PLAIN_TABLE)",
          "CREATE INDEX rooms_by_founder ON rooms (founder)",
          "CREATE INDEX rooms_by_domain ON rooms (domain)",
          R"(CREATE TABLE IF NOT EXISTS room_affiliations (
                room_id $INT NOT NULL,
                jid $KEY(2047) NOT NULL,
                affiliation $INT NOT NULL,
                nick $TEXT NOT NULL,
                reason $TEXT NOT NULL,
                PRIMARY KEY (room_id, jid),
                FOREIGN KEY (room_id) REFERENCES rooms (id) ON DELETE CASCADE
            ) $TABLE)",
          "CREATE INDEX room_affiliations_by_jid ON room_affiliations (jid)"}},
        // Logs of rooms.
        {12,
         {"INSERT INTO accounts (domain, jid, phone, salt, iterations, created, disabled, last_logout, last_status) "
          "SELECT r.domain, r.jid, '', X'', 0, r.created, 1, 0, '' FROM rooms r WHERE NOT EXISTS "
          "(SELECT 1 FROM accounts a WHERE a.domain = r.domain AND a.jid = r.jid)"}},
    };
    return all;
}

// Replaces $WORD and $WORD(argument); in what a word stands for, $1 is the argument.
std::string spelled(std::string_view text, Dialect dialect) {
    struct Word {
        std::string_view word, sqlite, mysql;
    };
    static constexpr std::array<Word, 10> words{{
        {"$PLAIN_TABLE", "STRICT",
         "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"},
        {"$SERIAL", "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT"},
        {"$TABLE", "STRICT, WITHOUT ROWID",
         "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"},
        {"$KEY", "TEXT", "VARBINARY($1)"},
        {"$BYTES", "BLOB", "VARBINARY($1)"},
        {"$INT", "INTEGER", "BIGINT"},
        {"$TEXT", "TEXT", "MEDIUMTEXT"},
        {"$XML", "TEXT", "MEDIUMBLOB"},
        {"$EMPTY", "DEFAULT ''", ""},  // MySQL fills in '' by itself and knows no defaults for blobs
        {"$UNIQUE_IN_ACCOUNT", "PRIMARY KEY (account_id, $1)",
         "number BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT, $1_sha256 BINARY(32) AS (UNHEX(SHA2($1, 256))) "
         "STORED, "
         "UNIQUE KEY (account_id, $1_sha256)"},
    }};
    std::string result;
    while (!text.empty()) {
        const std::size_t dollar = text.find('$');
        result += text.substr(0, dollar);
        if (dollar == std::string_view::npos) break;
        text.remove_prefix(dollar);
        const auto word =
            std::find_if(words.begin(), words.end(), [&](const Word& w) { return text.starts_with(w.word); });
        assert(word != words.end());
        text.remove_prefix(word->word.size());
        std::string_view argument;
        if (text.starts_with('(')) {
            argument = text.substr(1, text.find(')') - 1);
            text.remove_prefix(argument.size() + 2);
        }
        std::string_view meaning = dialect == Dialect::sqlite ? word->sqlite : word->mysql;
        for (std::size_t at = 0; (at = meaning.find("$1")) != std::string_view::npos;) {
            result += meaning.substr(0, at);
            result += argument;
            meaning.remove_prefix(at + 2);
        }
        result += meaning;
    }
    return result;
}

int version_of(Connection& connection) {
    Rows rows = connection.query("SELECT COALESCE(MAX(version), 0) FROM schema_version");
    return rows.next() ? static_cast<int>(rows.integer(0)) : 0;
}

// MySQL commits at every CREATE. So each statement can be done again, after a step that was interrupted.
void apply(Connection& connection, const Migration& migration) {
    for (const std::string_view statement : migration.statements) {
        connection.execute(spelled(statement, connection.dialect()));
        auto error = connection.take_error();
        if (!error) continue;
        const bool is_there_already =
            error->kind == Error::Kind::duplicate &&
            (statement.starts_with("CREATE INDEX") || statement.starts_with("ALTER TABLE"));
        if (!is_there_already) return connection.fail(std::move(*error));
    }
    connection.change("INSERT INTO schema_version (version) VALUES (?)", {migration.version});
}

// One server after another: MySQL has no transactions for this.
void lock_schema(Connection& connection) {
    if (connection.dialect() == Dialect::sqlite) return connection.begin();
    Rows rows = connection.query("SELECT GET_LOCK('tern-schema', 60)");
    if (rows.next() && rows.integer(0) != 1) {
        connection.fail({Error::Kind::busy, "another server is changing the schema"});
    }
}

void unlock_schema(Connection& connection) {
    if (connection.dialect() == Dialect::sqlite)
        return connection.failed() ? connection.rollback() : connection.commit();
    auto before = connection.take_error();
    { Rows rows = connection.query("SELECT RELEASE_LOCK('tern-schema')"); }
    auto after = connection.take_error();
    if (before || after) connection.fail(std::move(before ? *before : *after));
}

}  // namespace

std::optional<StorageError> migrate(Connection& connection) {
    std::optional<StorageError> refused;
    lock_schema(connection);
    if (!connection.failed()) {
        connection.execute(
            spelled("CREATE TABLE IF NOT EXISTS schema_version (version $INT NOT NULL PRIMARY KEY) $TABLE",
                    connection.dialect()));
        const int version = version_of(connection);
        if (version > schema_version) {
            refused.emplace(StorageError::Kind::broken, "the database has schema " + std::to_string(version) +
                                                            ", but this program knows only up to " +
                                                            std::to_string(schema_version) +
                                                            ": it was used by a newer one");
        }
        for (const Migration& migration : migrations()) {
            if (migration.version > version && !connection.failed()) apply(connection, migration);
        }
        unlock_schema(connection);
    }
    if (refused) return refused;
    if (auto error = connection.take_error()) return to_storage_error(*error);
    return std::nullopt;
}

}  // namespace storage::sql
