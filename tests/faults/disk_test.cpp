// SPDX-License-Identifier: MIT
// The disk is full (attack row 54): messages that cannot be stored come back as errors of type wait, nobody
// is thrown out, and all is well again when there is space.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

// A small disk of the test's own.
class SmallDisk {
public:
    explicit SmallDisk(const char* options)
        : is_mounted_{::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, options) == 0},
          problem_{std::strerror(errno)} {}
    ~SmallDisk() {
        if (is_mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;

    bool is_mounted() const { return is_mounted_; }
    const std::string& problem() const { return problem_; }
    const std::string& path() const { return directory_.path(); }
    void fill() const {
        const int file =
            ::open((path() + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
        const std::string block(4096, 'x');
        while (::write(file, block.data(), block.size()) > 0) {
        }
        ::close(file);
    }
    void free() const { std::filesystem::remove(path() + "/filler"); }

private:
    TemporaryDirectory directory_;
    bool is_mounted_;
    std::string problem_;
};

struct Fate {
    std::set<int> refused;
    std::set<std::string> errors;
};

// Sends numbered messages to somebody offline, and waits until each is stored or refused.
Fate send_numbers(WireClient& romeo, int from, int count, unsigned& stanzas) {
    Fate fate;
    const std::string text(6'000, 'x');
    for (int n = from; n < from + count; ++n)
        romeo.send("<message to='mercutio@localhost' type='chat' id='" + std::to_string(n) + "'><body>" +
                   text + "</body></message>");
    stanzas += static_cast<unsigned>(count);
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (std::chrono::steady_clock::now() < until) {
        const auto node = romeo.next(100ms);
        if (!node) continue;
        if (node->name == "a" && std::stoul(node->attr_or_empty("h")) == stanzas) {
            // A refusal may be on its way from another worker: the answer to a ping comes behind it.
            romeo.send("<iq type='get' id='fates' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
            ++stanzas;
        }
        if (node->attr_or_empty("id") == "fates") return fate;
        if (node->attr_or_empty("type") != "error") continue;
        fate.refused.insert(std::stoi(node->attr_or_empty("id")));
        for (const Node& child : node->children)
            if (child.name == "error")
                fate.errors.insert(child.attr_or_empty("type") + " " + child.children.at(0).name);
    }
    FAIL_CHECK("not all messages had a fate");
    return fate;
}

}  // namespace

TEST_CASE("a full disk: messages are refused with wait, sessions stay, and it is over when there is space") {
    const SmallDisk disk{"size=4m"};
    if (!disk.is_mounted()) {
        WARN("skipped: a tmpfs cannot be mounted here (" << disk.problem() << "); it needs root");
        return;
    }
    LiveServer server{TERN_BINARY, {.prepare = [&](const std::string& data) {
                          std::filesystem::create_directory_symlink(disk.path(), data);
                      }}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password},
        romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    juliet.be_available();
    juliet.forget();
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(romeo.element().name == "enabled");
    unsigned stanzas = 0;
    CHECK(send_numbers(romeo, 0, 20, stanzas).refused.empty());

    disk.fill();
    const Fate full = send_numbers(romeo, 100, 600, stanzas);
    CHECK(full.refused.size() > 100);
    CHECK(full.errors == std::set<std::string>{"wait resource-constraint"});
    REQUIRE(server.is_alive());
    // Who is there is reached all the same; but her other device is not, so romeo is told.
    romeo.send("<message to='juliet@localhost/balcony' type='chat' id='live'><body>Hi</body></message>");
    ++stanzas;
    CHECK(juliet.answer("live").name == "message");
    CHECK(romeo.answer("live").attr_or_empty("type") == "error");
    romeo.ping();
    ++stanzas;
    CHECK_NOTHROW(WireClient{*server, "benvolio@localhost/garden", LiveServer::password}
                      .ping());  // it needs only to read
    CHECK(server.log().find("the database has no space left") != std::string::npos);
    // Hundreds of refusals fill few lines of the log, which may be on the same disk.
    const std::string log = server.log();
    std::size_t lines = 0;
    for (auto at = log.find("message not stored"); at != std::string::npos; at = log.find("message not stored", at + 1)) ++lines;
    CHECK(lines >= 1);
    CHECK(lines < 20);

    disk.free();
    CHECK(send_numbers(romeo, 1'000, 20, stanzas).refused.empty());
    WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password};
    mercutio.be_available();
    std::vector<int> expected, received;
    for (const auto& [from, count] : {std::pair{0, 20}, std::pair{100, 600}, std::pair{1'000, 20}})
        for (int n = from; n < from + count; ++n)
            if (!full.refused.contains(n)) expected.push_back(n);
    while (received.size() < expected.size()) {
        const auto message = mercutio.next_message();
        if (!message) break;
        received.push_back(std::stoi(message->attr_or_empty("id")));
    }
    CHECK(received == expected);
    mercutio.ping();
    CHECK_FALSE(mercutio.next_message(0ms));
    for (WireClient* const client : {&juliet, &romeo, &mercutio}) client->vanish();
    CHECK(server.process().stop() == 0);
}
