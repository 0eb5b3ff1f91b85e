// SPDX-License-Identifier: MIT
// Starts, kills and asks a private MariaDB server.
#include "tests/support/mariadb.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <vector>

#include "storage/mysql/connection.h"

namespace tests {

namespace {

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool ok = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(fd);
    if (!ok) throw std::runtime_error{"no free port"};
    return ntohs(address.sin_port);
}

pid_t spawn(const std::vector<std::string>& arguments, const std::string& log) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    // A starting server throws away every temporary table that it finds, its neighbour's as well.
    const std::string temporary = log.substr(0, log.rfind('/'));
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlives the test
    if (::getppid() != parent) ::_exit(127);
    ::setenv("TMPDIR", temporary.c_str(), 1);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
}

std::string text_of(const std::string& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

bool is_installed(const std::string& program) {
    for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"}) {
        if (::access((folder + program).c_str(), X_OK) == 0) return true;
    }
    return false;
}

std::unique_ptr<storage::sql::Connection> connect(std::uint16_t port, const std::string& database) {
    storage::mysql::Settings settings;
    settings.user = "root";
    settings.host = "127.0.0.1";
    settings.port = port;
    settings.database = database;
    auto connection =
        storage::mysql::make_connector(std::move(settings))->connect(storage::sql::Connector::Purpose::write);
    return connection ? std::move(*connection) : nullptr;
}

}  // namespace

MariaDb::MariaDb(std::vector<std::string> more_arguments) : more_arguments_{std::move(more_arguments)} {
    if (!is_installed("mariadbd"))
        throw std::runtime_error{"mariadbd is not installed: apt-get install mariadb-server"};
    std::vector<std::string> arguments{"mariadb-install-db", "--no-defaults",
                                       "--datadir=" + directory_.path() + "/data", "--skip-test-db",
                                       "--auth-root-authentication-method=normal"};
    if (::geteuid() == 0) arguments.push_back("--user=root");
    const std::string log = directory_.path() + "/install.log";
    int status = 0;
    if (::waitpid(spawn(arguments, log), &status, 0) < 0 || status != 0) {
        throw std::runtime_error{"mariadb-install-db failed: " + text_of(log)};
    }
    for (int tries = 3; pid_ <= 0; --tries) {  // somebody else may take the port meanwhile
        port_ = free_port();
        try {
            start();
        } catch (const std::runtime_error&) {
            if (tries <= 1) throw;
            stop();
        }
    }
    execute("mysql", std::string{"CREATE USER tern@'%' IDENTIFIED BY '"} + password + "'");
    execute("mysql", "GRANT ALL ON *.* TO tern@'%'");
}

MariaDb::~MariaDb() { stop(); }

MariaDb& MariaDb::shared() {
    static MariaDb server;
    return server;
}

void MariaDb::start() {
    std::vector<std::string> arguments{"mariadbd",
                                       "--no-defaults",
                                       "--datadir=" + directory_.path() + "/data",
                                       "--socket=" + directory_.path() + "/s",
                                       "--port=" + std::to_string(port_),
                                       "--bind-address=127.0.0.1",
                                       "--skip-name-resolve",
                                       "--innodb-buffer-pool-size=256M",
                                       "--innodb-log-file-size=128M",
                                       "--pid-file=" + directory_.path() + "/pid"};
    if (::geteuid() == 0) arguments.push_back("--user=root");
    arguments.insert(arguments.end(), more_arguments_.begin(), more_arguments_.end());
    const std::string log = directory_.path() + "/server.log";
    pid_ = spawn(arguments, log);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (!connect(port_, "mysql")) {
        if (::waitpid(pid_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > end) {
            throw std::runtime_error{"mariadbd did not start: " + text_of(log)};
        }
        std::this_thread::sleep_for(
            std::chrono::milliseconds{20});  // it has no other way to say that it is ready
    }
}

void MariaDb::stop() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);  // its files go away with it
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

void MariaDb::kill() { stop(); }
void MariaDb::restart() { start(); }
void MariaDb::freeze() { ::kill(pid_, SIGSTOP); }
void MariaDb::thaw() { ::kill(pid_, SIGCONT); }

std::string MariaDb::create_database() {
    std::string name = "tern_" + std::to_string(++databases_);
    execute("mysql",
            "CREATE DATABASE " + name + " CHARACTER SET latin1");  // whatever its default is, ours counts
    return name;
}

void MariaDb::drop_database(const std::string& name) { execute("mysql", "DROP DATABASE " + name); }

void MariaDb::execute(const std::string& database, const std::string& sql) {
    const auto connection = connect(port_, database);
    if (!connection) throw std::runtime_error{"mariadbd does not answer"};
    connection->execute(sql);
    if (auto error = connection->take_error()) throw std::runtime_error{error->text};
}

std::string MariaDb::query(const std::string& database, const std::string& sql) {
    const auto connection = connect(port_, database);
    if (!connection) throw std::runtime_error{"mariadbd does not answer"};
    storage::sql::Rows rows = connection->query(sql);
    std::string result = rows.next() ? rows.text(0) : std::string{};
    if (auto error = connection->take_error()) throw std::runtime_error{error->text};
    return result;
}

std::string MariaDb::url(const std::string& database) const {
    return "mysql://tern:s3cret%3Ap%40ss%2Fword@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

}  // namespace tests
