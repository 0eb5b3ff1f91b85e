// SPDX-License-Identifier: MIT
// The configuration: defaults, file, environment, and problems that say where, what and what would be right.
#include "server/config.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

namespace {

using namespace std::chrono_literals;
using server::Config;
using server::Environment;
using server::read_config;
namespace fs = std::filesystem;

class Directory {
public:
    Directory() {
        std::string pattern = (fs::temp_directory_path() / "tern-config-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Directory() { fs::remove_all(path_); }
    std::string write(const std::string& name, std::string_view content) const {
        std::ofstream{path_ / name, std::ios::binary} << content;
        return (path_ / name).string();
    }

private:
    fs::path path_;
};

using Read = xmpp::Result<Config, std::vector<server::ConfigProblem>>;

Read read(std::string_view toml, const Environment& environment = {}) {
    const Directory directory;
    return read_config(directory.write("tern.toml", toml), environment);
}

std::vector<std::string> problems(const Read& result) {
    std::vector<std::string> texts;
    if (!result)
        for (const auto& problem : result.error()) texts.push_back(problem.text);
    return texts;
}

Config good(const Read& result) {
    for (const std::string& text : problems(result)) UNSCOPED_INFO(text);
    REQUIRE(result.ok());
    return result.value();
}

std::string unquoted(const std::string& toml) {
    return toml.starts_with('"') ? toml.substr(1, toml.size() - 2) : toml;
}

}  // namespace

TEST_CASE("with no file and no environment everything is on loopback, with SQLite below data") {
    const Config config = good(read_config(std::nullopt, {}));
    CHECK(config.domains == std::vector<std::string>{"localhost"});
    CHECK(config.storage.url == "sqlite:data/tern.db");
    CHECK(config.c2s.listen == std::vector<std::string>{"127.0.0.1:5222"});
    CHECK(config.c2s.require_tls);
    CHECK(config.http.listen == std::vector<std::string>{"127.0.0.1:5280"});
    CHECK(config.sms.gateway == "console");
    CHECK(config.messages.retention == "30d");
    CHECK(config.limits.devices == 5);
    CHECK(config.limits.stanza.stanza_bytes == 262144);
}

TEST_CASE("a file with every kind of value is read") {
    const Config config = good(read(R"(
domains = ["Chat.Example", "b.example"]
data = "/var/lib/tern"
workers = 4
admins = ["Admin@chat.example"]
[storage]
url = "mysql://tern:p@ss/w:rd@db.example:3306/tern"
group_commit = 5
[c2s]
listen = ["0.0.0.0:5222", "[::]:5222"]
direct_tls = []
require_tls = false
[registration]
pin_lifetime = "10m"
resend_after = 90
prefixes = ["+49", "+1202"]
[sms]
gateway = "http"
url = "https://sms.example/send"
headers = ["Authorization: Bearer abc, def"]
timeout = "5s"
[messages]
retention = "delivered"
ack = "receive"
[limits]
stanza_bytes = "512k"
outbox_bytes = 65536
idle = "1h"
[http]
trusted_proxies = ["10.0.0.0/8", "::1"]
[contact]
abuse = ["mailto:abuse@chat.example"]
)"));
    CHECK(config.domains == std::vector<std::string>{"chat.example", "b.example"});
    CHECK(config.workers == 4);
    CHECK(config.admins == std::vector<std::string>{"admin@chat.example"});
    CHECK(config.storage.url == "mysql://tern:p@ss/w:rd@db.example:3306/tern");
    CHECK(config.storage.group_commit == 5ms);
    CHECK(config.c2s.listen == std::vector<std::string>{"0.0.0.0:5222", "[::]:5222"});
    CHECK(config.c2s.direct_tls.empty());
    CHECK_FALSE(config.c2s.require_tls);
    CHECK(config.registration.pin_lifetime == 600s);
    CHECK(config.registration.resend_after == 90s);
    CHECK(config.registration.prefixes == std::vector<std::string>{"+49", "+1202"});
    CHECK(config.sms.file == "/var/lib/tern/sms.jsonl");
    CHECK(config.sms.timeout == 5s);
    CHECK(config.sms.headers == std::vector<std::string>{"Authorization: Bearer abc, def"});
    CHECK(config.messages.retention == "delivered");
    CHECK(config.limits.stanza.stanza_bytes == 512u << 10);
    CHECK(config.limits.outbox_bytes == 65536);
    CHECK(config.limits.idle == 3600s);
    CHECK(config.is_local("b.example"));
    CHECK_FALSE(config.is_local("c.example"));
    CHECK(config.is_admin(xmpp::JidView{"admin@chat.example", 5, std::string_view::npos}));
    CHECK(config.is_admin(xmpp::JidView{"admin@chat.example/desk", 5, 18}));
    CHECK_FALSE(config.is_admin(xmpp::JidView{"romeo@chat.example", 5, std::string_view::npos}));
}

TEST_CASE("defaults of paths lie in data, wherever that is, unless they are set") {
    Config config = good(read("data = \"/srv/tern/\""));
    CHECK(config.storage.url == "sqlite:/srv/tern/tern.db");
    CHECK(config.sms.file == "/srv/tern/sms.jsonl");
    config = good(read_config(std::nullopt, {{"TERN_DATA", "elsewhere"}, {"TERN_SMS_FILE", "sms.txt"}}));
    CHECK(config.storage.url == "sqlite:elsewhere/tern.db");
    CHECK(config.sms.file == "sms.txt");
}

TEST_CASE("the environment stands over the file") {
    const Config config =
        good(read("domains = [\"a.example\"]\n[c2s]\nrequire_tls = true\n[limits]\ndevices = 3\n",
                  {{"TERN_DOMAINS", "b.example, C.example"},
                   {"TERN_C2S_REQUIRE_TLS", "no"},
                   {"TERN_C2S_LISTEN", "127.0.0.1:0,[::1]:5222"},
                   {"TERN_C2S_DIRECT_TLS", ""},
                   {"TERN_LIMITS_IDLE", "5m"},
                   {"TERN_LIMITS_STANZA_BYTES", "128k"},
                   {"TERN_STORAGE_URL", "mysql://u:p@h/d"},
                   {"TERN_SMS_HEADERS", "[\"Accept: a, b\", 'X: y']"},
                   {"TERN_WORKERS", "2"}}));
    CHECK(config.domains == std::vector<std::string>{"b.example", "c.example"});
    CHECK_FALSE(config.c2s.require_tls);
    CHECK(config.c2s.listen == std::vector<std::string>{"127.0.0.1:0", "[::1]:5222"});
    CHECK(config.c2s.direct_tls.empty());
    CHECK(config.limits.devices == 3);
    CHECK(config.limits.idle == 300s);
    CHECK(config.limits.stanza.stanza_bytes == 131072);
    CHECK(config.storage.url == "mysql://u:p@h/d");
    CHECK(config.sms.headers == std::vector<std::string>{"Accept: a, b", "X: y"});
    CHECK(config.workers == 2);
}

TEST_CASE("an IPv6 address first in a list is not taken for a TOML list") {
    const Config config = good(read_config(std::nullopt, {{"TERN_C2S_LISTEN", "[::1]:5222,127.0.0.1:5222"}}));
    CHECK(config.c2s.listen == std::vector<std::string>{"[::1]:5222", "127.0.0.1:5222"});
}

TEST_CASE("TERN_..._FILE reads the value from a file, as containers keep secrets") {
    const Directory directory;
    const std::string secret = directory.write("url", "mysql://tern:hush@db/tern\n");
    const Config config = good(read_config(std::nullopt, {{"TERN_STORAGE_URL_FILE", secret}}));
    CHECK(config.storage.url == "mysql://tern:hush@db/tern");

    const auto both = problems(
        read_config(std::nullopt, {{"TERN_STORAGE_URL_FILE", secret}, {"TERN_STORAGE_URL", "sqlite:x"}}));
    REQUIRE(both.size() == 1);
    CHECK_THAT(both[0],
               Catch::StartsWith("TERN_STORAGE_URL: storage.url: set here and by TERN_STORAGE_URL_FILE too"));
    const auto missing = problems(read_config(std::nullopt, {{"TERN_STORAGE_URL_FILE", secret + ".not"}}));
    REQUIRE(missing.size() == 1);
    CHECK_THAT(missing[0], Catch::Contains("TERN_STORAGE_URL_FILE") && Catch::Contains("No such file"));
}

TEST_CASE("a problem says file, line, key, what was there and what would be right") {
    struct Row {
        std::string toml, begins, has;
    };
    const Row rows[] = {
        {"\n\nworkers = -1", "tern.toml:3: workers: -1 — expected ", "a whole number from 0 to 1024"},
        {"workers = \"4\"", "tern.toml:1: workers: \"4\" — expected ", "whole number"},
        {"[rooms]\nmax_occupants = 19000", "tern.toml:2: rooms.max_occupants: 19000 — expected ", "from 2 to 18900"},
        {"workers = 1.5", "tern.toml:1: workers: 1.5 — expected ", "whole number"},
        {"domains = \"a\"", "tern.toml:1: domains: \"a\" — expected ", "a list of texts"},
        {"domains = [1]", "tern.toml:1: domains: [ 1 ] — expected ", "a list of texts"},
        {"domains = []", "tern.toml:1: domains: [] — expected ", "one domain at least"},
        {"domains = [\"a b\"]", "tern.toml:1: domains: \"a b\" — expected ", "a domain name"},
        {"domains = [\"a\", \"A\"]", "tern.toml:1: domains: the same domain twice", "once"},
        {"domain = [\"a\"]", "tern.toml:1: domain: no such key — ", "did you mean \"domains\"?"},
        {"listen = [\"a\"]", "tern.toml:1: listen: no such key — ",
         "did you mean \"c2s.listen\" or \"http.listen\"?"},
        {"[c2s]\nport = 5222", "tern.toml:2: c2s.port: no such key",
         "one of listen, direct_tls, require_tls"},
        {"[limit]\ndevices = 5", "tern.toml:1: limit: no such section — ", "did you mean [limits]?"},
        {"c2s = 1", "tern.toml:1: c2s: not a section", "[c2s]"},
        {"[[c2s]]\nlisten = []", "tern.toml:1: c2s: not a section", "[c2s]"},
        {"[domains]\na = 1", "tern.toml:1: domains: a section — expected ", "a list"},
        {"[c2s]\nlisten = [\"127.0.0.1\"]", "tern.toml:2: c2s.listen: \"127.0.0.1\" — expected ",
         "address:port"},
        {"[c2s]\nlisten = [\"127.0.0.1:70000\"]", "tern.toml:2: c2s.listen: ", "address:port"},
        {"[c2s]\nlisten = [\"999.1.1.1:1\"]", "tern.toml:2: c2s.listen: ", "address:port"},
        {"[c2s]\nlisten = [\"::1:5222\"]", "tern.toml:2: c2s.listen: ", "[v6 address]:port"},
        {"[c2s]\nlisten = [\"127.0.0.1:5280\"]", "tern.toml: http.listen: ", "is in c2s.listen too"},
        {"[c2s]\nrequire_tls = 1", "tern.toml:2: c2s.require_tls: 1 — expected ", "true or false"},
        {"[messages]\nretention = \"30\"", "tern.toml:2: messages.retention: \"30\" — expected ", "\"30d\""},
        {"[messages]\nretention = 30", "tern.toml:2: messages.retention: 30 — expected ", "a text in quotes"},
        {"[messages]\nack = \"comit\"", "tern.toml:2: messages.ack: ", "did you mean \"commit\"?"},
        {"[sms]\ngateway = \"http\"", "tern.toml:2: sms.url: not set", "the URL"},
        {"[sms]\ntext = \"hello\"", "tern.toml:2: sms.text: ", "{pin}"},
        {"[limits]\nstanza_bytes = \"9k\"", "tern.toml:2: limits.stanza_bytes: \"9k\" — expected ",
         "from 10000 to 32M"},
        {"[limits]\nidle = \"5 minutes\"", "tern.toml:2: limits.idle: ", "\"30s\" or \"10m\""},
        {"[limits]\nidle = \"1500ms\"", "tern.toml:2: limits.idle: ", "whole seconds"},
        {"[limits]\nidle = \"0s\"", "tern.toml:2: limits.idle: ", "from 1s to 7d"},
        {"[limits]\nstanza_bytes = 10000\nstanza_bytes_before_login = 12000",
         "tern.toml:3: limits.stanza_bytes_before_login: ", "which is 10000"},
        {"[auth]\niterations = 1000", "tern.toml:2: auth.iterations: 1000 — expected ", "from 4096"},
        {"[tls]\nkey = \"k.pem\"", "tern.toml:2: tls.certificate: not set", "both, or neither"},
        {"admins = [\"admin\"]", "tern.toml:1: admins: \"admin\" — expected ", "a bare JID"},
        {"admins = [\"a@b.example\"]", "tern.toml:1: admins: \"a@b.example\" — expected ",
         "at one of the domains"},
        {"[http]\ntrusted_proxies = [\"10.0.0.0/33\"]", "tern.toml:2: http.trusted_proxies: ", "network"},
        {"[http]\nmetrics_from = [\"prometheus\"]", "tern.toml:2: http.metrics_from: ", "network"},
        {"[registration]\nprefixes = [\"49\"]", "tern.toml:2: registration.prefixes: \"49\" — expected ", "\"+49\""},
        {"[registration]\nprefixes = [\"+\"]", "tern.toml:2: registration.prefixes: ", "international form"},
        {"[contact]\nabuse = [\"abuse@a\"]", "tern.toml:2: contact.abuse: ", "a URI"},
        {"[storage]\nurl = \"postgres://u:hush@h/d\"",
         "tern.toml:2: storage.url: \"postgres://…\" — expected ", "mysql://"},
        {"[storage]\nurl = \"sqlite:\"", "tern.toml:2: storage.url: ", "a path"},
        {"[storage]\nurl = \"mysql://u:hush@h\"", "tern.toml:2: storage.url: \"mysql://…\"",
         "a database after the host"},
        {"[storage]\nurl = \"mysql://h/d\"", "tern.toml:2: storage.url: \"mysql://…\"", "a user"},
        {"[storage]\nurl = \"mysql://u:p@h:port/d\"", "tern.toml:2: storage.url: \"mysql://…\"", "a host"},
        {"[.", "tern.toml:1: ", "TOML"},
        {"workers = \n", "tern.toml:1: ", "TOML"},
        {"workers = 1\nworkers = 2\n", "tern.toml:2: ", "TOML"},
    };
    for (const Row& row : rows) {
        const auto texts = problems(read(row.toml));
        INFO(row.toml);
        REQUIRE(texts.size() == 1);
        CHECK_THAT(texts[0], Catch::StartsWith(row.begins));
        CHECK_THAT(texts[0], Catch::Contains(row.has));
    }
}

TEST_CASE("all problems are found, of the file and the environment") {
    const auto texts = problems(
        read("workers = -1\nfoo = 1\n[c2s]\nlisten = [\"a\", \"b:1\", \"c\"]\n[log]\nlevel = \"loud\"\n",
             {{"TERN_LIMITS_DEVICES", "many"}, {"TERN_SMS_TEXT", "none"}}));
    CHECK(texts.size() == 7);
}

TEST_CASE("variables: slips are told, others' are left alone") {
    struct Row {
        std::string variable, value, has;
    };
    const Row rows[] = {
        {"TERN_DOMAIN", "a", "did you mean TERN_DOMAINS?"},
        {"TERN_C2S_LISTENS", "a", "did you mean TERN_C2S_LISTEN?"},
        {"TERN_LIMITS_SOMETHING_ELSE_ENTIRELY", "a", "tern config keys"},
        {"TERN_CONFIG", "/etc/tern.toml", ""},
        {"TERN_SERVICE_HOST", "10.0.0.1", ""},
        {"TERN_PORT", "tcp://10.0.0.1:5222", ""},
        {"TERN_PORT_5222_TCP_ADDR", "10.0.0.1", ""},
        {"TERN_HTTP_SERVICE_PORT", "5280", ""},
        {"TERN_HTTP_PORT_5280_TCP", "tcp://10.0.0.1:5280", ""},
        {"PATH", "/bin", ""},
    };
    for (const Row& row : rows) {
        const auto texts = problems(read_config(std::nullopt, {{row.variable, row.value}}));
        INFO(row.variable);
        REQUIRE(texts.size() == (row.has.empty() ? 0 : 1));
        if (!row.has.empty())
            CHECK_THAT(texts[0],
                       Catch::StartsWith(row.variable + ": no such variable") && Catch::Contains(row.has));
    }
}

TEST_CASE("no problem shows a secret, wherever it was written") {
    const std::string wrong[] = {
        "mysql://u:hush@h",     "mysql://u:hush/d",   "mysql:u:hush@h/d", "hush",
        "my sql://u:hush@h/d",  "mysql://u:p?hush@h", "u:hush@h://",      "mysqlx://hush",
        "mysql://u:hu\nsh@h/d", "MYSQL://u:hush@h/d",
    };
    for (const std::string& url : wrong) {
        const auto texts = problems(read_config(std::nullopt, {{"TERN_STORAGE_URL", url}}));
        INFO(url);
        REQUIRE(texts.size() == 1);
        CHECK_THAT(texts[0], !Catch::Contains("hush"));
    }
    for (const std::string toml :
         {"[sms]\nurl = \"gopher://hush\"", "[sms]\nheaders = [\"hush\"]", "[sms]\nheaders = [1, \"hush\"]",
          "[sms]\nheaders = \"hush\"", "[sms]\nbody = \"hush\"", "[storage]\nurl = [\"hush\"]"}) {
        const auto texts = problems(read(toml));
        INFO(toml);
        REQUIRE(texts.size() == 1);
        CHECK_THAT(texts[0], !Catch::Contains("hush"));
    }
}

TEST_CASE("a file that is not there, or a directory, is a problem") {
    const auto missing = problems(read_config("/nonexistent/tern.toml", {}));
    REQUIRE(missing.size() == 1);
    CHECK_THAT(missing[0], Catch::StartsWith("/nonexistent/tern.toml: cannot be read: No such file"));
    const auto directory = problems(read_config("/", {}));
    REQUIRE(directory.size() == 1);
    CHECK_THAT(directory[0], Catch::Contains("Is a directory"));
    CHECK(read("").ok());
}

TEST_CASE("durations, sizes and addresses") {
    CHECK(server::parse_duration("500ms") == 500ms);
    CHECK(server::parse_duration("30s") == 30s);
    CHECK(server::parse_duration("10m") == 10min);
    CHECK(server::parse_duration("12h") == 12h);
    CHECK(server::parse_duration("30d") == 720h);
    CHECK(server::parse_duration("2w") == 336h);
    for (const std::string wrong : {"", "s", "30", "-1s", "1.5h", "30 s", "30S", "99999999999999999999d",
                                    "9999999999999d", "1dd", " 1d"})
        CHECK_FALSE(server::parse_duration(wrong));
    const auto v6 = server::parse_listen_address("[::1]:5222");
    REQUIRE(v6);
    CHECK(v6->host == "::1");
    CHECK(v6->port == 5222);
    CHECK(server::parse_listen_address("localhost:0"));
    for (const std::string wrong : {"", ":5222", "a", "a:", "a:b", "a:65536", "a:000005222", "[::1]",
                                    "[::g]:1", "[]:1", "1.2.3:1", "a b:1", "-a:1", "[::1%lo]:1"})
        CHECK_FALSE(server::parse_listen_address(wrong));
}

TEST_CASE("the list of keys tells name, variable, default and whether a reload applies it") {
    std::set<std::string> names, variables;
    for (const auto& key : server::config_keys()) {
        INFO(key.name);
        CHECK(names.insert(key.name).second);
        CHECK(variables.insert(key.variable).second);
        CHECK((key.reload == "live" || key.reload == "restart"));
        CHECK_FALSE(key.help.empty());
        // Each default is what the file would say: written there, nothing changes.
        const auto dot = key.name.find('.');
        const std::string toml = dot == key.name.npos
                                     ? key.name + " = " + key.default_value
                                     : "[" + key.name.substr(0, dot) + "]\n" + key.name.substr(dot + 1) +
                                           " = " + key.default_value;
        CHECK(server::differences(Config{}, good(read(toml))).empty());
        // … and the environment as well.
        CHECK(server::differences(Config{}, good(read_config(std::nullopt, {{key.variable, unquoted(key.default_value)}}))).empty());
    }
    for (const auto& variable : variables) CHECK_FALSE(variables.contains(variable + "_FILE"));
    for (const std::string stable :
         {"domains", "data", "workers", "admins", "storage.url", "c2s.listen", "c2s.direct_tls",
          "c2s.require_tls", "http.listen", "http.tls", "registration.phone", "registration.open",
          "registration.pin_digits", "sms.gateway", "sms.file", "messages.retention", "messages.ack"})
        CHECK(names.contains(stable));
}

TEST_CASE("differences name what a reload applies and what waits") {
    Config after;
    after.log.level = "debug";
    after.c2s.listen = {"0.0.0.0:5222"};
    const auto changes = server::differences(Config{}, after);
    REQUIRE(changes.size() == 2);
    CHECK((changes[0].name == "c2s.listen" && !changes[0].live));
    CHECK((changes[1].name == "log.level" && changes[1].live));
    CHECK(server::differences(after, after).empty());

    // A reload takes the live ones and leaves the others as they run.
    server::keep_restart_keys(Config{}, after);
    CHECK(after.log.level == "debug");
    CHECK(after.c2s.listen == Config{}.c2s.listen);
}

TEST_CASE("no text makes reading the configuration crash") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    const std::string pieces[] = {"[",   "]",    "\"", "=",       "\n",     "c2s",  "listen", ".",
                                  "1",   "\xff", "{",  "}",       "limits", "idle", "'",      ",",
                                  "30d", "#",    "-",  "storage", "url",    "\\u"};
    for (int i = 0; i < 2000; ++i) {
        std::string text;
        for (auto n = random() % 20; n > 0; --n) text += pieces[random() % std::size(pieces)];
        std::ignore = read_config(std::nullopt, {{"TERN_STORAGE_URL", text},
                                                 {"TERN_C2S_LISTEN", text},
                                                 {"TERN_LIMITS_IDLE", text},
                                                 {"TERN_SMS_HEADERS", text}});
        if (i % 10 == 0) std::ignore = read(text);
    }
}
