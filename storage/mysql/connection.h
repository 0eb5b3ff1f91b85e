// SPDX-License-Identifier: MIT
// MySQL or MariaDB as a database for storage/sql.
#pragma once

#include "storage/sql/connection.h"

namespace storage::mysql {

struct Settings {
    std::string user, password, host, database;
    std::uint16_t port = 3306;
    std::string socket;      // a Unix socket instead of host and port
    std::string ssl_ca;      // a file; the server's certificate must be signed by it
    bool ssl = false;        // TLS or nothing; without ssl_ca the certificate is not checked
    bool ssl_verify = true;  // with ssl_ca: and it must be for that host
    int connect_seconds = 5, answer_seconds = 30;
};

std::unique_ptr<sql::Connector> make_connector(Settings settings);

}  // namespace storage::mysql
