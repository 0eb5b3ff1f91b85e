// SPDX-License-Identifier: MIT
// What a delivered message may cost in memory that is asked for: the stanza's block and the wire, nothing else; in a room
// (XEP-0045), where the block is everybody's, a wire for each who hears it. Real connections over sockets, one worker,
// nothing stored (what every device has when it has left is never written).
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "server/connection.h"
#include "server/worker.h"
#include "tests/support/in_process.h"
#include "xmpp/base64.h"

namespace {

std::uint64_t allocations = 0;   // of this process, which has one thread

}  // namespace

// glibc's own is behind these names; every library of the process calls ours.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);

void* malloc(std::size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++allocations;
    return __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) {
    ++allocations;
    return __libc_realloc(block, size);
}
}

namespace {

using namespace tests;

constexpr int messages = 500;

class Client {
public:
    Client(InProcess& stage, const std::string& user) : stage_{stage} {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        socket_ = ends[0];
        server::Worker& worker = stage.next_worker();
        REQUIRE(stage.server().admit("127.0.0.1"));
        auto connection = std::make_unique<server::Connection>(worker, ends[1], "127.0.0.1", false);
        server::Connection& here = *connection;
        worker.adopt(std::move(connection));
        here.start();
        const std::string header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
        ask(header, "</stream:features>");
        ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + xmpp::base64('\0' + user + '\0' + "secret") + "</auth>", "<success");
        ask(header, "</stream:features>");
        ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "<jid>");
        ask("<presence/>", "<presence");
    }
    ~Client() { ::close(socket_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void join(const std::string& nick) {
        ask("<presence to='room@groups.localhost/" + nick + "'><x xmlns='http://jabber.org/protocol/muc'/></presence>", "<subject/>");
    }
    void ask(const std::string& text, const std::string& expected) {
        send(text);
        stage_.settle();
        const std::string answer{received()};
        INFO(answer);
        REQUIRE(answer.find(expected) != answer.npos);
    }
    void send(std::string_view bytes) { REQUIRE(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    std::string_view received() {
        const ssize_t got = ::recv(socket_, buffer_, sizeof buffer_, 0);
        return {buffer_, got > 0 ? static_cast<std::size_t>(got) : 0};
    }

private:
    InProcess& stage_;
    int socket_ = -1;
    char buffer_[65536];
};

double allocations_of_a_message(const std::string& settings, std::string_view payload, int together) {
    InProcess stage{1};
    const auto scene = parse_scene("budget", "# budget\n\n[Server]\n\tc2s.require_tls: false\n" + settings +
                                                 "\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n"
                                                 "[Client] Juliet\n\tjid: juliet@localhost/r\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
    INFO((scene ? std::string{} : scene.error()));
    REQUIRE(scene);
    stage.open(*scene);
    std::uint64_t spent = 0;
    {
        Client romeo{stage, "romeo"}, juliet{stage, "juliet"};
        std::string batch;
        for (int i = 0; i < together; ++i) batch.append("<message type='chat' id='m1' to='juliet@localhost/r'>").append(payload).append("</message>");
        for (int i = 0; i < 2 * messages; i += together) {   // the first half makes what is kept for all
            romeo.send(batch);
            const std::uint64_t before = allocations;
            stage.settle();
            if (i >= messages) spent += allocations - before;
            const std::string_view arrived = juliet.received();
            REQUIRE(arrived.ends_with("</message>"));
        }
    }
    stage.close();
    return static_cast<double>(spent) / messages;
}

double allocations_in_a_room(int occupants, int together) {
    InProcess stage{1};
    std::string cast;
    for (int i = 0; i < occupants; ++i) {
        const std::string user = "user" + std::to_string(i);
        cast += "[Client] " + user + "\n\tjid: " + user + "@localhost/r\n\tpassword: secret\n";
    }
    const auto scene = parse_scene("budget", "# budget\n\n[Server]\n\tc2s.require_tls: false\n\tmessages.ack: receive\n\n" + cast + "\n-----\n\nuser0 connects\n");
    REQUIRE(scene);
    stage.open(*scene);
    std::uint64_t spent = 0;
    {
        std::vector<std::unique_ptr<Client>> clients;
        for (int i = 0; i < occupants; ++i) {
            clients.push_back(std::make_unique<Client>(stage, "user" + std::to_string(i)));
            clients.back()->join("nick" + std::to_string(i));
            if (i == 0)
                clients[0]->ask("<iq type='set' id='u' to='room@groups.localhost'><query xmlns='http://jabber.org/protocol/muc#owner'>"
                                "<x xmlns='jabber:x:data' type='submit'/></query></iq>", "type='result'");
        }
        for (const auto& client : clients) client->received();
        std::string batch;
        for (int i = 0; i < together; ++i) batch.append("<message type='groupchat' id='m1' to='room@groups.localhost'><body>Wherefore art thou?</body></message>");
        for (int i = 0; i < 2 * messages; i += together) {
            clients[0]->send(batch);
            const std::uint64_t before = allocations;
            stage.settle();
            if (i >= messages) spent += allocations - before;
            for (const auto& client : clients) REQUIRE(client->received().ends_with("</message>"));
        }
    }
    stage.close();
    return static_cast<double>(spent) / messages;
}

}  // namespace

TEST_CASE("what is said in a room costs an allocation for each who hears it, and a few for all") {
    const int together = GENERATE(1, 20);
    CAPTURE(together);
    const double few = allocations_in_a_room(4, together), many = allocations_in_a_room(20, together);
    CAPTURE(few, many);
    CHECK(many - few < 16.1);   // what is remembered takes a block now and then
    CHECK(few <= 32);
}

TEST_CASE("a delivered message costs two allocations") {
    const int together = GENERATE(1, 20);
    const std::string relayed = "\tmessages.archive: never\n\tmessages.retention: delivered\n\tmessages.ack: receive\n";
    CAPTURE(together);
    CHECK(allocations_of_a_message(relayed, "<body>Wherefore art thou?</body>", together) <= 2);
    CHECK(allocations_of_a_message(relayed, "<body>Wherefore art thou?</body><no-store xmlns='urn:xmpp:hints'/>", together) <= 2);
}
