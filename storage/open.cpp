// SPDX-License-Identifier: MIT
// Puts a Storage together: the URL says which driver, the rest is the same SQL for both.
#include "storage/sql/migrations.h"
#include "storage/sql/tables.h"
#include "storage/url.h"

namespace storage {

namespace {

class SqlStorage final : public Storage {
public:
    SqlStorage(std::unique_ptr<sql::Database> database, std::string description)
        : database_{std::move(database)},
          description_{std::move(description)},
          accounts_{sql::make_accounts(*database_)},
          rosters_{sql::make_rosters(*database_)},
          messages_{sql::make_messages(*database_)},
          private_xml_{sql::make_private_xml(*database_)},
          vcards_{sql::make_vcards(*database_)},
          block_lists_{sql::make_block_lists(*database_)},
          archive_preferences_{sql::make_archive_preferences(*database_)},
          registrations_{sql::make_registrations(*database_)},
          link_requests_{sql::make_link_requests(*database_)},
          invitations_{sql::make_invitations(*database_)},
          fast_tokens_{sql::make_fast_tokens(*database_)},
          push_registrations_{sql::make_push_registrations(*database_)},
          findable_numbers_{sql::make_findable_numbers(*database_)},
          rooms_{sql::make_rooms(*database_)},
          stored_sessions_{sql::make_stored_sessions(*database_)},
          secrets_{sql::make_server_secrets(*database_)} {}
    ~SqlStorage() override {
        database_.reset();
    }  // the rest is still asked for while the last requests are worked off

    Accounts& accounts() override { return *accounts_; }
    Rosters& rosters() override { return *rosters_; }
    Messages& messages() override { return *messages_; }
    PrivateXml& private_xml() override { return *private_xml_; }
    Vcards& vcards() override { return *vcards_; }
    BlockLists& block_lists() override { return *block_lists_; }
    ArchivePreferencesOf& archive_preferences() override { return *archive_preferences_; }
    Registrations& registrations() override { return *registrations_; }
    LinkRequests& link_requests() override { return *link_requests_; }
    Invitations& invitations() override { return *invitations_; }
    FastTokens& fast_tokens() override { return *fast_tokens_; }
    PushRegistrations& push_registrations() override { return *push_registrations_; }
    FindableNumbers& findable_numbers() override { return *findable_numbers_; }
    Rooms& rooms() override { return *rooms_; }
    StoredSessions& stored_sessions() override { return *stored_sessions_; }
    ServerSecrets& secrets() override { return *secrets_; }

    std::vector<QueueDepth> queues() const override { return database_->queues(); }
    bool is_healthy() const override { return database_->is_healthy(); }
    void close() override { database_->close(); }
    std::string describe() const override { return description_; }

private:
    std::unique_ptr<sql::Database> database_;
    const std::string description_;
    std::unique_ptr<Accounts> accounts_;
    std::unique_ptr<Rosters> rosters_;
    std::unique_ptr<Messages> messages_;
    std::unique_ptr<PrivateXml> private_xml_;
    std::unique_ptr<Vcards> vcards_;
    std::unique_ptr<BlockLists> block_lists_;
    std::unique_ptr<ArchivePreferencesOf> archive_preferences_;
    std::unique_ptr<Registrations> registrations_;
    std::unique_ptr<LinkRequests> link_requests_;
    std::unique_ptr<Invitations> invitations_;
    std::unique_ptr<FastTokens> fast_tokens_;
    std::unique_ptr<PushRegistrations> push_registrations_;
    std::unique_ptr<FindableNumbers> findable_numbers_;
    std::unique_ptr<Rooms> rooms_;
    std::unique_ptr<StoredSessions> stored_sessions_;
    std::unique_ptr<ServerSecrets> secrets_;
};

std::unique_ptr<sql::Connector> connector_for(Place place) {
    if (auto* settings = std::get_if<sqlite::Settings>(&place))
        return sqlite::make_connector(std::move(*settings));
    return mysql::make_connector(std::move(std::get<mysql::Settings>(place)));
}

}  // namespace

Result<std::unique_ptr<Storage>> open(Options options) {
    auto place = parse_url(options.url);
    if (!place) return sql::failure(StorageError::Kind::broken, place.error());
    if (options.run_inline && std::holds_alternative<mysql::Settings>(*place)) {
        return sql::failure(StorageError::Kind::broken, "storage: only SQLite runs inline");
    }
    auto connector = connector_for(std::move(*place));
    auto connected = connector->connect(sql::Connector::Purpose::write);
    if (!connected) return Failure<StorageError>{sql::to_storage_error(connected.error())};
    std::unique_ptr<sql::Connection> connection = std::move(*connected);
    if (auto error = sql::migrate(*connection)) return Failure<StorageError>{std::move(*error)};
    auto marks = sql::highest_marks(*connection);
    if (auto error = connection->take_error()) return Failure<StorageError>{sql::to_storage_error(*error)};
    std::string description = connection->describe() + ", " + connector->place() + ", schema " +
                              std::to_string(sql::schema_version);
    auto database =
        std::make_unique<sql::Database>(std::move(options), std::move(connector), std::move(connection));
    database->log().expect_marks(std::move(marks));
    return std::unique_ptr<Storage>{
        std::make_unique<SqlStorage>(std::move(database), std::move(description))};
}

}  // namespace storage
