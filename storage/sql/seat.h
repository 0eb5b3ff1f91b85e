// SPDX-License-Identifier: MIT
// A place at the database for one thread: makes its connection when needed, drops it when it is no good any longer, and
// tries a piece of work once, in a transaction. Retrying is the business of who sits there (pool.h,
// group_commit.h).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "storage/sql/connection.h"

namespace storage::sql {

// Whether the last thing asked of the database was answered; says so in the log when that changes.
class Health {
public:
    explicit Health(std::function<void(std::string_view, std::string_view)> log) : log_{std::move(log)} {}
    void note(const std::optional<Error>& error);
    bool is_good() const { return good_.load(std::memory_order_relaxed); }

private:
    void log(std::string_view level, std::string_view text) const {
        if (log_) log_(level, text);
    }
    void note_full(const std::string& text);
    std::atomic<bool> good_{true};
    std::atomic<std::int64_t> full_said_{0};  // when, in seconds
    std::function<void(std::string_view, std::string_view)> log_;
};

enum class Access : std::uint8_t {
    read,      // one statement that changes nothing
    search,    // the same, that may look at much: few at a time, and each not for long
    set,       // one statement that has the same effect when done twice
    transact,  // several statements, all or none
};

class Work {
public:
    virtual ~Work() = default;
    // May run several times. False: take everything back; the reason is known to the work.
    virtual bool run(Connection& connection) = 0;
    virtual std::optional<std::chrono::milliseconds> time_limit() const { return std::nullopt; }   // of each statement
};

class Seat {
public:
    // Seats may share a connection (SQLite in memory has only one) or just the right to write (SQLite has one
    // writer).
    struct Place {
        std::unique_ptr<Connection> connection;
    };
    Seat(Connector& connector, Connector::Purpose purpose, Health& health,
         std::shared_ptr<std::mutex> turn = {}, std::shared_ptr<Place> place = std::make_shared<Place>())
        : connector_{&connector},
          purpose_{purpose},
          health_{&health},
          turn_{std::move(turn)},
          place_{std::move(place)} {}

    struct Outcome {
        std::optional<Error> error;
        bool is_unknown = false;  // the connection was lost when it may have been done already
    };
    Outcome attempt(Access access, Work& work);
    void leave() {  // the last one there takes the connection down
        if (place_.use_count() == 1) place_->connection.reset();
    }
    Connector& connector() const { return *connector_; }

private:
    std::optional<Error> connect();
    bool is_useless(Error::Kind kind) const;   // a connection on which that was said
    Outcome run(Access access, Work& work);

    Connector* connector_;
    Connector::Purpose purpose_;
    Health* health_;
    std::shared_ptr<std::mutex> turn_;
    std::shared_ptr<Place> place_;
};

}  // namespace storage::sql
