// SPDX-License-Identifier: MIT
// Follows one stanza of a client through everything that it causes to be stored, on whatever worker: each append, task
// and hand-over in between holds a reference. When the last one is gone, all of it is durable (or was refused), and
// whoever made the receipt hears of it. Stream management's acks wait for that (an ack means durable).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

namespace server {

class Receipt {
public:
    // `settled` is called on the thread that lets go last, and told whether other threads had to do with it.
    explicit Receipt(std::function<void(bool travelled)> settled) : settled_{std::move(settled)} {}
    ~Receipt() { settled_(travelled_.load(std::memory_order_relaxed)); }
    // It is about to be handed to another thread. On any thread; what lets go last sees it, by the count of references.
    void travels() { travelled_.store(true, std::memory_order_relaxed); }
    // Something of it was not stored. True: its sender has not been told yet, and is to be told now. On any thread.
    bool refuse() { return !refused_.exchange(true); }
    Receipt(const Receipt&) = delete;
    Receipt& operator=(const Receipt&) = delete;

    // Of the stanza that this thread is routing now; nullptr when nobody waits for it.
    static const std::shared_ptr<Receipt>& current() { return current_; }

    // What happens while it lives happens because of that stanza.
    class Scope {
    public:
        explicit Scope(std::shared_ptr<Receipt> receipt) : before_{std::exchange(current_, std::move(receipt))} {}
        ~Scope() { current_ = std::move(before_); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        std::shared_ptr<Receipt> before_;
    };

private:
    static inline thread_local std::shared_ptr<Receipt> current_;
    std::function<void(bool)> settled_;
    std::atomic<bool> travelled_ = false;
    std::atomic<bool> refused_ = false;
};

}  // namespace server
