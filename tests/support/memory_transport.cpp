// SPDX-License-Identifier: MIT
#include "tests/support/memory_transport.h"

#include "server/worker.h"

namespace tests {

MemoryTransport::MemoryTransport(server::Worker& worker, bool encrypted, Settle settle)
    : worker_{&worker}, settle_{std::move(settle)}, encrypted_{encrypted} {}

MemoryTransport::~MemoryTransport() { worker_->loop.forget(*this); }

// Jobs keep the transport until they have run, wherever it has moved meanwhile.
void MemoryTransport::post(std::function<void()> work) {
    worker_->loop.post([self = shared_from_this(), work = std::move(work)] { work(); });
}

// ---- the client's side -----------------------------------------------------------------------------------------------

void MemoryTransport::open() {
    post([this] { stream_ = std::make_shared<server::Stream>(*worker_, *this); });
    settle_();
}

void MemoryTransport::type(std::string_view bytes) {
    if (over_) return;
    untaken_.append(bytes);
    post([this] { take_input(); });
    settle_();
}

void MemoryTransport::secure() {
    post([this] {
        tls_wanted_ = false;
        encrypted_ = true;
        untaken_.clear();
        if (!over_) stream_->on_secured();
    });
    settle_();
}

void MemoryTransport::lose() {
    post([this] { finish("connection reset by peer"); });
    settle_();
}

void MemoryTransport::read_output(bool does) {
    client_reads_ = does;
    post([this] { flush(); });
    settle_();
}

// ---- the server's side -----------------------------------------------------------------------------------------------

void MemoryTransport::take_input() {
    if (!input_wanted_ || moving_ || over_ || untaken_.empty()) return;
    const std::string bytes = std::move(untaken_);
    untaken_.clear();
    stream_->receive(bytes);
}

void MemoryTransport::send(xmpp::Wire bytes) {
    if (over_ || closing_) return;
    unsent_.append(bytes.bytes());
    if (!moving_) worker_->loop.at_end_of_turn(*this);
}

void MemoryTransport::on_end_of_turn() { flush(); }

void MemoryTransport::flush() {
    if (over_ || moving_ || !client_reads_) return;
    const bool had_output = !unsent_.empty();
    reader_.feed(std::exchange(unsent_, {}));
    if (closing_) return finish("closed");
    if (had_output) stream_->on_flushed();
}

void MemoryTransport::close() {
    if (over_ || std::exchange(closing_, true)) return;
    if (!moving_) worker_->loop.at_end_of_turn(*this);
}

void MemoryTransport::want_input(bool wanted) {
    input_wanted_ = wanted;
    if (wanted) post([this] { take_input(); });
}

auth::Channel MemoryTransport::channel() const {
    auth::Channel channel;
    channel.encrypted = encrypted_;
    if (encrypted_) {
        channel.tls_exporter = "what both ends of this connection know";
        channel.tls_server_end_point = "the hash of a certificate";
        channel.tls_version = "0304";
    }
    return channel;
}

void MemoryTransport::move_to(server::Worker& worker, std::function<void()> arrived) {
    moving_ = true;
    worker_->loop.forget(*this);
    worker_ = &worker;
    post([this, arrived = std::move(arrived)] {
        moving_ = false;
        stream_->arrive(*worker_);
        if (!unsent_.empty() || closing_) worker_->loop.at_end_of_turn(*this);
        arrived();
        take_input();
    });
}

void MemoryTransport::finish(std::string_view why) {
    if (std::exchange(over_, true)) return;
    worker_->loop.forget(*this);
    stream_->on_disconnected(why);
    // The stream may stand below on the call stack; it goes when this turn's jobs have been done.
    worker_->loop.post([self = shared_from_this(), gone = std::move(stream_)] {});
}

}  // namespace tests
