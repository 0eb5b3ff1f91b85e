// SPDX-License-Identifier: MIT
// XEP-0045: persistent rooms and who belongs to them.
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

std::optional<std::uint64_t> number_of(Connection& connection, const Jid& room) {
    Rows rows = connection.query("SELECT id FROM rooms WHERE jid = ?", {room.text()});
    return rows.next() ? std::optional{rows.natural(0)} : std::nullopt;
}

AccountId log_of(Connection& connection, const Jid& room) {
    Rows rows = connection.query("SELECT id FROM accounts WHERE domain = ? AND jid = ?", {room.domainpart(), room.text()});
    return rows.next() ? rows.natural(0) : 0;
}

AccountId make_log(Connection& connection, const Room& room) {
    connection.change("INSERT INTO accounts (domain, jid, phone, salt, iterations, created, disabled, last_logout, last_status) "
                      "VALUES (?,?,'',?,0,?,1,0,'')",
                      {room.jid.domainpart(), room.jid.text(), Bytes{""}, room.created});
    return connection.last_id();
}

void put_affiliation(Connection& connection, std::uint64_t room, const RoomAffiliation& a) {
    connection.change("DELETE FROM room_affiliations WHERE room_id = ? AND jid = ?", {room, a.jid.text()});
    if (a.affiliation == Affiliation::none && a.nick.empty()) return;
    connection.change("INSERT INTO room_affiliations (room_id, jid, affiliation, nick, reason) VALUES (?,?,?,?,?)",
                      {room, a.jid.text(), static_cast<int>(a.affiliation), a.nick, a.reason});
}

class SqlRooms final : public Rooms {
public:
    explicit SqlRooms(Database& database) : database_{database} {}

    Task<Result<std::optional<Room>>> find(Jid jid) override {
        using Found = std::optional<Room>;
        return database_.read<Found>([jid = std::move(jid)](Connection& connection) -> Result<Found> {
            Room room;
            room.jid = jid;
            std::uint64_t number = 0;
            {
                Rows rows = connection.query(
                    "SELECT id, founder, secret, config, subject, listed_as, created FROM rooms WHERE jid = ?", {jid.text()});
                if (!rows.next()) return Found{};
                number = rows.natural(0);
                room.founder = stored_jid(rows.text(1));
                room.secret = rows.text(2);
                room.config = rows.text(3);
                room.subject = rows.text(4);
                room.listed_as = rows.text(5);
                room.created = rows.time(6);
            }
            room.log = log_of(connection, jid);
            Rows rows = connection.query(
                "SELECT jid, affiliation, nick, reason FROM room_affiliations WHERE room_id = ? ORDER BY jid", {number});
            while (rows.next()) {
                RoomAffiliation& affiliation = room.affiliations.emplace_back();
                affiliation.jid = stored_jid(rows.text(0));
                affiliation.affiliation = static_cast<Affiliation>(rows.integer(1));
                affiliation.nick = rows.text(2);
                affiliation.reason = rows.text(3);
            }
            return Found{std::move(room)};
        });
    }

    Task<Result<AccountId>> put(Room room) override {
        return database_.transact<AccountId>([room = std::move(room)](Connection& connection) -> Result<AccountId> {
            connection.change("DELETE FROM rooms WHERE jid = ?", {room.jid.text()});
            connection.change(
                "INSERT INTO rooms (jid, domain, founder, secret, config, subject, listed_as, created) VALUES (?,?,?,?,?,?,?,?)",
                {room.jid.text(), room.jid.domainpart(), room.founder.text(), Bytes{room.secret}, room.config, room.subject,
                 room.listed_as, room.created});
            const std::uint64_t number = connection.last_id();
            for (const RoomAffiliation& affiliation : room.affiliations) put_affiliation(connection, number, affiliation);
            const AccountId log = log_of(connection, room.jid);
            return log != 0 ? log : make_log(connection, room);
        });
    }

    Task<Result<void>> change(Jid room, RoomChange change) override {
        return database_.transact<void>([room = std::move(room), change = std::move(change)](Connection& connection) -> Result<void> {
            const auto number = number_of(connection, room);
            if (!number) return failure(StorageError::Kind::not_found, "there is no such room");
            if (change.config)
                connection.change("UPDATE rooms SET config = ?, listed_as = ? WHERE id = ?", {*change.config, change.listed_as, *number});
            if (change.subject) connection.change("UPDATE rooms SET subject = ? WHERE id = ?", {*change.subject, *number});
            for (const RoomAffiliation& affiliation : change.affiliations) put_affiliation(connection, *number, affiliation);
            return {};
        });
    }

    Task<Result<void>> remove(Jid room) override {
        auto finding = database_.read<AccountId>([room](Connection& connection) -> Result<AccountId> { return log_of(connection, room); });
        const auto log = co_await finding;
        if (!log) co_return Failure{log.error()};
        auto emptying = empty_log(database_, *log);
        const auto emptied = co_await emptying;
        if (!emptied) co_return Failure{emptied.error()};
        auto removing = database_.transact<void>(
            [&room](Connection& connection) -> Result<void> {
                connection.change("DELETE FROM rooms WHERE jid = ?", {room.text()});
                connection.change("DELETE FROM accounts WHERE domain = ? AND jid = ?", {room.domainpart(), room.text()});
                return {};
            },
            Database::After::log);
        co_return co_await removing;
    }

    Task<Result<std::uint64_t>> count_founded(Jid founder) override {
        return database_.read<std::uint64_t>([founder = std::move(founder)](Connection& connection) -> Result<std::uint64_t> {
            Rows rows = connection.query("SELECT COUNT(*) FROM rooms WHERE founder = ?", {founder.text()});
            return rows.next() ? rows.natural(0) : std::uint64_t{0};
        });
    }

    Task<Result<std::vector<ListedRoom>>> listed(std::string domain) override {
        using Listed = std::vector<ListedRoom>;
        return database_.read<Listed>([domain = std::move(domain)](Connection& connection) -> Result<Listed> {
            Rows rows = connection.query("SELECT jid, listed_as FROM rooms WHERE domain = ? AND listed_as <> '' ORDER BY jid", {domain});
            Listed all;
            while (rows.next()) {
                ListedRoom& room = all.emplace_back();
                room.jid = stored_jid(rows.text(0));
                room.name = rows.text(1);
            }
            return all;
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<Rooms> make_rooms(Database& database) { return std::make_unique<SqlRooms>(database); }

}  // namespace storage::sql
