// SPDX-License-Identifier: MIT
// Logins: what one costs (login), what a session that does nothing holds in memory (idle), and making
// accounts (register).
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"
#include "tests/bench/works.h"

namespace bench {

namespace {

// Each client logs in, leaves, and is followed by the next account.
class Logins final : public Work {
public:
    explicit Logins(const Options& options) : options_{options}, crowd_{options, *this, options.accounts} {}

    void run() {
        // Once each before it counts: the salted passwords are known then.
        for (; next_ < options_.accounts; ++next_) crowd_.connect(crowd_[next_]);
        crowd_.run_until([&] { return left_ + crowd_.failures() >= options_.accounts; },
                         std::chrono::seconds{600}, "first logins");
        goes_on_ = true;
        for (unsigned i = 0; i < options_.parallel; ++i) follow();
        crowd_.run_for(std::chrono::duration<double>{options_.warm_up});

        const ServerProcess server{options_};
        server.profile(true);
        const double cpu = server.cpu_seconds(), own = own_cpu_seconds();
        const unsigned logins = logins_, failures = crowd_.failures();
        const auto start = Clock::now();
        crowd_.run_for(std::chrono::duration<double>{options_.seconds});
        const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
        const double used = server.cpu_seconds() - cpu;
        server.profile(false);
        const double count = logins_ - logins;
        Report{}
            .add("work", "login")
            .add("logins", count)
            .add("seconds", wall)
            .add("cpu", used)
            .add("own_cpu", own_cpu_seconds() - own)
            .add("per_second", count / wall)
            .add("per_cpu", used > 0 ? count / used : 0)
            .add("errors", crowd_.failures() - failures)
            .print();
    }

    void ready(Client& client) override {
        ++logins_;
        if (options_.login != Way::resume) return client.leave();
        client.drop();   // the session waits for it
        gone(client);
    }

    void gone(Client&) override {
        ++left_;
        if (goes_on_) follow();
    }

private:
    void follow() { crowd_.connect(crowd_[next_++ % crowd_.size()]); }

    const Options& options_;
    unsigned next_ = 0, logins_ = 0, left_ = 0;
    bool goes_on_ = false;
    Crowd crowd_;
};

// In band, a connection for each account.
class Registrations final : public Work {
public:
    explicit Registrations(const Options& options)
        : options_{options}, crowd_{options, *this, options.accounts} {}

    void run() {
        for (unsigned i = 0; i < options_.accounts; ++i) crowd_.connect(crowd_[i]);
        crowd_.run_until([&] { return done_ >= options_.accounts; }, std::chrono::seconds{1200},
                         "registrations");
        Report{}
            .add("work", "register")
            .add("accounts", made_)
            .add("errors", options_.accounts - made_)
            .print();
    }

    void ready(Client& client) override {
        ++made_;
        client.leave();
    }

    void gone(Client&) override { ++done_; }

private:
    const Options& options_;
    unsigned made_ = 0, done_ = 0;
    Crowd crowd_;
};

}  // namespace

void run_login(const Options& options) { Logins{options}.run(); }

void run_register(const Options& given) {
    Options options = given;
    options.with_presence = options.with_acks = false;
    Registrations{options}.run();
}

void run_idle(const Options& options) {
    // The first hundred make the server allocate what it has once and not for each.
    constexpr unsigned first = 100;
    Work work;
    Crowd crowd{options, work, first + options.sessions};
    const ServerProcess server{options};
    const auto rest = [&](unsigned from, unsigned to) {
        crowd.settle(from, to);
        server.wait_until_quiet();
        crowd.run_for(std::chrono::duration<double>{options.warm_up});
        return server.anonymous_bytes();
    };
    crowd.connect_all(0, first);
    const double before = rest(0, first);
    crowd.connect_all(first, first + options.sessions);
    const double after = rest(first, first + options.sessions);
    Report{}
        .add("work", "idle")
        .add("sessions", options.sessions)
        .add("before", before)
        .add("after", after)
        .add("per_session", (after - before) / options.sessions)
        .print();
}

}  // namespace bench
